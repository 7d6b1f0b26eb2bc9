/** The route of what happens now, as server-sent events and as a WebSocket. */
import type { Catalog } from '../../schemas/index.ts';
import type { Live, LiveBatch } from '../telemetry/live.ts';
import type { CommandRouteDeps } from './command-routes.ts';
import { type DeviceRouteDeps, namesIn, tagsOf } from './device-routes.ts';
import { demandKnown, filterOf, type LiveRequest } from './live-request.ts';
import { type News, snapshotOf } from './live-snapshot.ts';
import { LiveTalk, type LiveTalkDeps } from './live-talk.ts';
import { type Call, type Outlet, type Peer, query, type Route, type Schema } from './route.ts';

export interface LiveRouteDeps
  extends Pick<DeviceRouteDeps, 'devices' | 'presence'>,
    Pick<CommandRouteDeps, 'commands'> {
  live: Live;
  catalog: Catalog;
  /** How often a quiet live stream gives a sign of life; 15 s. */
  liveHeartbeatMs?: number;
}

const TEXT: Schema = { type: 'string', maxLength: 4096 };
const EXAMPLE = 'event: reading\ndata: {"device":"meter-7","stream":"power","ts":1760000000000,"power":3.5}\n\n';

export function liveRoutes(deps: LiveRouteDeps): Route[] {
  const { liveHeartbeatMs = 15_000 } = deps;
  const route: Route = {
    method: 'GET',
    path: '/v1/live',
    noHead: true,
    role: 'viewer',
    tag: 'telemetry',
    summary: 'Readings as they become durable, and what happens to devices and commands: events, or a WebSocket.',
    query: query({
      device: { ...TEXT, description: 'Only of these devices, with commas between.', examples: ['meter-7'] },
      tag: { ...TEXT, description: 'Only of devices with these tags: name=value,…', examples: ['floor=1'] },
      stream: { ...TEXT, description: 'Only readings of these streams, and nothing else.', examples: ['power'] },
      snapshot: {
        type: 'string',
        enum: ['true', 'false'],
        default: 'true',
        description: 'Whether it begins with what is known: the last readings, presence, the newest commands.',
      },
    }),
    answers: {
      200: {
        texts: { 'text/event-stream': EXAMPLE },
        description:
          'Events `reading` with {device, stream, ts, …fields}; `presence` with {device, state, since, reason}; `command` with ' +
          'the command; and `merged` with {count}: so many were left out because this reader was slow. What is known comes ' +
          'first, in the same words. Who asks for streams gets their readings only. A WebSocket says by frames what it wants (docs/live.md).',
      },
    },
    handle(call) {
      if (call.isUpgrade) return { socket: (peer) => talkWith(peer, deps, liveHeartbeatMs) };
      const request = requestOf(call, deps);
      return { type: 'text/event-stream', stream: (outlet) => streamLive(deps, request, outlet, liveHeartbeatMs) };
    },
  };
  return [route];
}

/** Returns who hears what the peer says. */
function talkWith(peer: Peer, deps: LiveTalkDeps, heartbeatMs: number): (text: string) => void {
  const talk = new LiveTalk(peer, deps);
  const heartbeat = setInterval(() => talk.alive(), heartbeatMs);
  peer.signal.addEventListener('abort', () => clearInterval(heartbeat));
  return (text) => talk.receive(text);
}

/** Throws `UnknownNames`, and `MistakenRequest` where a name is empty. */
function requestOf({ query: asked }: Call, { devices, catalog }: LiveRouteDeps): LiveRequest {
  const named = namesIn('device', asked.device);
  const streams = namesIn('stream', asked.stream);
  const request = {
    everyMs: 0,
    snapshot: asked.snapshot !== 'false',
    ...(named && { devices: named }),
    ...(asked.tag !== undefined && { tags: tagsOf(asked.tag) }),
    ...(streams && { streams, kinds: new Set(['reading'] as const) }),
  };
  demandKnown(request, { devices, catalog });
  return request;
}

/** Lasts until the reader goes away or the server closes. */
async function streamLive(deps: LiveTalkDeps, request: LiveRequest, outlet: Outlet, heartbeatMs: number) {
  const filter = filterOf(request, deps.devices.get);
  const known = request.snapshot ? snapshotOf(filter, request.devices, deps) : [];
  // Sends the headers, so the reader knows that it is connected before anything happens.
  const begun = outlet.write(`: live\n\n${known.map(eventsOfNews).join('')}`);
  const end = deps.live.subscribe(filter, async (batch) => {
    await begun;
    await outlet.write(eventsOf(batch));
  });
  const heartbeat = setInterval(() => outlet.write(': alive\n\n').catch(() => {}), heartbeatMs);
  try {
    await begun;
    await new Promise<void>((resolve) => {
      if (outlet.signal.aborted) resolve();
      else outlet.signal.addEventListener('abort', () => resolve());
    });
  } finally {
    clearInterval(heartbeat);
    end();
  }
}

const eventOf = (name: string, data: object) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

function eventsOfNews({ readings, presence, commands }: News): string {
  return [
    ...readings.map((each) => eventOf('reading', each)),
    ...presence.map((each) => eventOf('presence', each)),
    ...commands.map((each) => eventOf('command', each)),
  ].join('');
}

function eventsOf({ events, merged }: LiveBatch): string {
  const notice = merged > 0 ? eventOf('merged', { count: merged }) : '';
  const lines = events.map((event) => {
    if ('kind' in event) return eventOf(event.kind, event.data);
    const { device, stream, reading } = event;
    return eventOf('reading', { device, stream, ...reading });
  });
  return notice + lines.join('');
}
