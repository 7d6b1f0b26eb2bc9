/** The sessions of this node: one for each device, the newest; and the sequences that outlive them. */
import { randomUUID } from 'node:crypto';
import type { SessionEnd } from '../devices/presence.ts';
import { REFUSALS, type RefusalCode } from '../kit/errors.ts';
import type { Journal, Offset } from '../telemetry/journal.ts';
import type { Frame } from '../telemetry/reading.ts';
import type { Connection } from './connection.ts';
import { Allowance } from './rate.ts';
import type { Road } from './road.ts';
import { Sequence } from './sequence.ts';
import { Session } from './session.ts';
import type { Traffic } from './traffic.ts';

export interface Sessions {
  /**
   * Makes the session of a device on a new connection; an older one of the same device is closed as replaced. `keyId`: of
   * the token it came in with.
   */
  open(device: string, connection: Connection, now: number, keyId?: string): Session;
  /** The socket of a session is gone, with this close code. Touches nothing of a newer session of the same device. */
  ended(session: Session, closeCode: number, now: number): void;
  get(device: string): Session | undefined;
  values(): IterableIterator<Session>;
  readonly size: number;
  /** What each device sends that is connected, or was a moment ago: its rates outlive its connections, and so does this. */
  traffics(): Iterable<[device: string, Traffic]>;
  /** Closes the session of a device, if there is one. */
  close(device: string, code: RefusalCode, detail: string): void;
  /** The telemetry store's cursor moved: acks that waited for it may leave. */
  storedUpTo(offset: Offset): void;
  /** From now on no frame is taken. Resolves when all that were taken are acknowledged, or after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

export interface SessionsDeps extends Omit<Road, 'append' | 'sequence' | 'draining' | 'monotonicMs'> {
  journal: Pick<Journal, 'append' | 'held' | 'onCommit'>;
  /** Told of each session: when it has begun, and when its socket is gone and why. */
  onOpen?(session: Session): void;
  onEnd?(session: Session, end: SessionEnd): void;
  /** The telemetry store has everything before `stored`, the journal everything before `next`. */
  storeProgress(): { stored: Offset; next: Offset };
  /** Seconds from the arrival of the oldest frame of a group to the ack of the group. */
  observeAck(seconds: number): void;
  /** `performance.now`, unless a test has a clock of its own. */
  monotonicMs?: () => number;
}

const SETTLE_POLL_MS = 5;
/** Devices that are not connected and whose allowance is remembered. */
const MAX_AWAY = 10_000;
/** What WebSocket calls a connection that went without a goodbye. */
const NO_GOODBYE = 1006;

export function createSessions(deps: SessionsDeps): Sessions {
  const { journal, storeProgress, observeAck, onOpen = () => {}, onEnd = () => {}, ...rest } = deps;
  const sessions = new Map<string, Session>();
  const sequences = new Map<string, Sequence>();
  const waitingForStore = new Set<Sequence>();
  /** By device, so that a reconnect is no new allowance; dropped when it is full again. */
  const allowances = new Map<string, Allowance>();

  function sequence(device: string, epoch: string, ack: 'journaled' | 'stored'): Sequence {
    const known = sequences.get(device);
    const own = known?.epoch === epoch ? known : restored(device, epoch);
    sequences.set(device, own);
    const { stored, next } = ack === 'stored' ? storeProgress() : { stored: 0, next: 0 };
    own.begin(ack, stored, next);
    if (known && known !== own) waitingForStore.delete(known);
    if (ack === 'stored' && !own.settled) waitingForStore.add(own);
    return own;
  }

  function restored(device: string, epoch: string): Sequence {
    const held = journal.held(device);
    return new Sequence(epoch, held?.epoch === epoch ? held.seq : 0);
  }

  function allowanceOf(device: string, now: number): Allowance {
    const allowance = allowances.get(device) ?? new Allowance(rest.limits, now);
    allowances.set(device, allowance);
    if (allowances.size > sessions.size + MAX_AWAY) forgetAway();
    return allowance;
  }

  /** Who is away and is forgotten has its whole allowance again, which is a little too much and no more. */
  function forgetAway(): void {
    for (const device of allowances.keys()) if (!sessions.has(device)) allowances.delete(device);
  }

  journal.onCommit((frames: readonly Frame[], next: Offset) => {
    for (const frame of frames) {
      const owner = frame.owner;
      if (owner instanceof Sequence && owner.waitsForStore && sequences.get(frame.device) === owner)
        waitingForStore.add(owner);
    }
    for (const owner of waitingForStore) owner.committedUpTo(next);
    if (frames[0]) observeAck((Date.now() - frames[0].receivedAt) / 1000);
  });

  const road: Road = {
    monotonicMs: () => performance.now(),
    ...rest,
    draining: false,
    append: (frame, asSent) => journal.append(frame, asSent),
    sequence,
  };

  function* traffics(): Generator<[string, Traffic]> {
    for (const [device, { traffic }] of allowances) yield [device, traffic];
  }

  function forget(device: string, now: number): void {
    const left = sequences.get(device);
    if (left && left.listener === undefined && left.settled) sequences.delete(device);
    const allowance = allowances.get(device);
    if (allowance?.isFull(now) && allowance.traffic.isQuiet) allowances.delete(device);
  }

  return {
    open(device, connection, now, keyId = '') {
      const name = { id: randomUUID(), device, keyId };
      const session = new Session(name, connection, road, allowanceOf(device, now), now);
      sessions.get(device)?.close('replaced', 'a newer connection of this device took over');
      sessions.set(device, session);
      onOpen(session);
      return session;
    },
    ended(session, closeCode, now) {
      session.ended();
      onEnd(session, endOf(session, closeCode, now));
      if (sessions.get(session.device) !== session) return;
      sessions.delete(session.device);
      forget(session.device, now);
    },
    get: (device) => sessions.get(device),
    values: () => sessions.values(),
    get size() {
      return sessions.size;
    },
    traffics,
    close(device, code, detail) {
      sessions.get(device)?.close(code, detail);
    },
    storedUpTo(offset) {
      for (const waiting of waitingForStore) {
        waiting.storedUpTo(offset);
        if (waiting.settled) waitingForStore.delete(waiting);
      }
    },
    async drain(timeoutMs) {
      road.draining = true;
      const until = performance.now() + timeoutMs;
      const unsettled = () => [...sessions.values()].some((session) => !session.settled);
      while (unsettled() && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
      }
    },
  };
}

function endOf({ left }: Session, closeCode: number, at: number): SessionEnd {
  if (left) return { at, reason: left.code, detail: left.detail, closeCode: REFUSALS[left.code].close };
  return { at, reason: closeCode === NO_GOODBYE ? 'lost' : 'closed', closeCode };
}
