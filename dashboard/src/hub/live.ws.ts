/** The WebSocket of live news: what is wanted becomes subscriptions, and frames of the hub become news. */
import type { Command } from './commands.ts';
import type { PresenceState, Reading } from './devices.ts';
import type { News, OpenWire, Want } from './live.ts';

interface Events {
  id: string;
  readings?: (Reading & { device: string; stream: string })[];
  presence?: { device: string; state: PresenceState; since: number; reason: string; detail?: string }[];
  commands?: Command[];
  merged?: number;
}

type Frame =
  | ({ type: 'snapshot' | 'changes' } & Events)
  | { type: 'alive' }
  | { type: 'subscribed'; id: string }
  | { type: 'error'; id?: string; detail: string; unknown?: string[] };

/** The hub gives a sign of life every 15 seconds; who hears nothing for twice as long has lost it. */
const SILENCE_MS = 32_000;
/** Readings are drawn about as often as eyes see. */
const EVERY_MS = 250;
/** The hub takes no more names in one subscription. */
const MAX_DEVICES = 1_000;
/** The token or session of whoever listens has ended. */
const EXPELLED = 4502;

/** One subscription for each kind of news; readings only of named devices. */
export const openSocket: OpenWire = ({ onOpen, onNews, onMerged, onCommands, onEnd }) => {
  const socket = new WebSocket(new URL('/v1/live', location.href.replace(/^http/, 'ws')));
  const subscribed = new Map<string, string>();
  let silence: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  let wanted: Required<Want> | undefined;
  /** Devices that are not there any more: the hub refuses to tell of them. */
  const unknown = new Set<string>();
  const tell = () => {
    if (socket.readyState !== WebSocket.OPEN || !wanted) return;
    for (const frame of changesFor(subscribed, wanted, unknown)) socket.send(frame);
  };
  const end = (code?: number) => {
    if (over) return;
    over = true;
    clearTimeout(silence);
    socket.close();
    onEnd(code === EXPELLED);
  };
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => end(), SILENCE_MS);
  };
  socket.onopen = () => {
    alive();
    onOpen();
  };
  socket.onclose = ({ code }) => end(code);
  socket.onmessage = ({ data }) => {
    alive();
    const frame = JSON.parse(String(data)) as Frame;
    if (frame.type === 'subscribed' && frame.id === 'commands') onCommands();
    if (frame.type === 'error' && frame.unknown) {
      for (const name of frame.unknown) unknown.add(name);
      subscribed.delete(frame.id ?? '');
      tell();
    }
    if (frame.type !== 'snapshot' && frame.type !== 'changes') return;
    if (frame.merged) onMerged(frame.merged);
    const news = newsOf(frame);
    if (news.length > 0) onNews(news);
  };
  return {
    want(want) {
      wanted = want;
      // Who asks for one of them again later may mean another of the same name.
      for (const name of unknown) if (!want.readings.includes(name)) unknown.delete(name);
      tell();
    },
    close() {
      over = true;
      clearTimeout(silence);
      socket.close();
    },
  };
};

/** The frames that bring the subscriptions there are to those that are wanted, but of no `unknown` device; remembers them as made. */
export function changesFor(
  subscribed: Map<string, string>,
  want: Required<Want>,
  unknown: ReadonlySet<string> = new Set(),
): string[] {
  const devices = want.readings.filter((id) => !unknown.has(id)).slice(0, MAX_DEVICES);
  const wanted = new Map<string, string>();
  const add = (id: string, more: object) => {
    wanted.set(id, JSON.stringify({ type: 'subscribe', id, everyMs: EVERY_MS, snapshot: true, ...more }));
  };
  if (devices.length > 0) add('readings', { kinds: ['reading'], devices });
  if (want.presence) add('presence', { kinds: ['presence'] });
  if (want.commands) add('commands', { kinds: ['command'], snapshot: false });
  const frames = [...wanted].filter(([id, frame]) => subscribed.get(id) !== frame).map(([, frame]) => frame);
  const gone = [...subscribed.keys()].filter((id) => !wanted.has(id));
  for (const id of gone) subscribed.delete(id);
  for (const [id, frame] of wanted) subscribed.set(id, frame);
  return [...frames, ...gone.map((id) => JSON.stringify({ type: 'unsubscribe', id }))];
}

function newsOf({ readings = [], presence = [], commands = [] }: Events): News[] {
  return [
    ...readings.map(({ device, stream, ...reading }): News => ({ kind: 'reading', device, stream, reading })),
    ...presence.map(({ device, ...now }): News => ({ kind: 'presence', device, presence: now })),
    ...commands.map((command): News => ({ kind: 'command', device: command.device, command })),
  ];
}
