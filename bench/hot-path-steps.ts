/** The steps of a reading inside the hub, each ready to be timed alone: for `bench/hot-path.ts`. */
import type { Connection } from '../hub/gateway/connection.ts';
import { createGatewayCounts } from '../hub/gateway/road.ts';
import { createSessions, type SessionsDeps } from '../hub/gateway/sessions.ts';
import { isTooDeep } from '../hub/kit/depth.ts';
import { createIngest } from '../hub/telemetry/ingest.ts';
import type { Journal } from '../hub/telemetry/journal.ts';
import type { Frame, FrameOwner } from '../hub/telemetry/reading.ts';
import { loadCatalog, loadUplinkChecks } from '../schemas/index.ts';
import { frameText } from './frames.ts';

const DEVICES = 64;
/** Fewer than the window of a session. */
const FRAMES_PER_DEVICE = 200;
/** As the listener's budget has it. */
const FRAMES_PER_TURN = 1_024;
const NOW = Date.now();
const given = new Map();
const catalog = loadCatalog();
const checks = loadUplinkChecks();
const streamCheck = catalog.streams.get('environment')!.check;
const limits = {
  frameBytes: 131_072,
  readingsPerFrame: 1_000,
  window: 256,
  readingsPerSecond: 1e9,
  framesPerSecond: 1e9,
  bytesPerSecond: 1e12,
  backlogBytes: 262_144,
};
const ingest = createIngest({ ...limits, streams: catalog.streams, clockAheadMs: 300_000, retentionMs: 0 });

/** A frame as it stands after each step, so that a later one can be measured alone. */
export interface Prepared {
  device: number;
  bytes: Buffer;
  text: string;
  parsed: { seq: number; stream: string; readings: unknown[] };
  frame: Frame;
}

/** One row of the table. `prepare` brings it into a fresh state; what that returns is what is timed. */
export interface Step {
  name: string;
  prepare(frames: readonly Prepared[]): () => void | Promise<void>;
}

/** Every device sends one frame after the other, all devices in turn. */
export function prepareFrames(readingsPerFrame: number): Prepared[] {
  return Array.from({ length: DEVICES * FRAMES_PER_DEVICE }, (_, index) => {
    const device = index % DEVICES;
    const seq = 1 + Math.floor(index / DEVICES);
    const text = frameText(seq, NOW + seq * readingsPerFrame, readingsPerFrame);
    const parsed = JSON.parse(text);
    const head = { device: `device-${device}`, epoch: 'bench', seq, stream: parsed.stream, receivedAt: NOW };
    return { device, bytes: Buffer.from(text), text, parsed, frame: { ...head, readings: parsed.readings } };
  });
}

/** The steps in the order of the road. */
export function stepsWith(journal: Journal): Step[] {
  return [
    eachFrame('bytes to text', ({ bytes }) => bytes.toString()),
    eachFrame('depth (isTooDeep)', ({ bytes }) => isTooDeep(bytes, 8)),
    eachFrame('text and JSON.parse', ({ bytes }) => JSON.parse(bytes.toString())),
    eachFrame('ajv: envelope', ({ parsed }) => checks.telemetry(parsed)),
    eachFrame('ajv: stream', ({ parsed }) => {
      for (const reading of parsed.readings) streamCheck(reading);
    }),
    eachFrame('ingest (ajv: stream, clock)', ({ parsed }) => ingest.check(parsed.stream, parsed.readings, NOW, given)),
    { name: 'journal: encode, commit', prepare: (frames) => appendAll(frames, journal, false) },
    { name: 'journal: text as sent, commit', prepare: (frames) => appendAll(frames, journal, true) },
    { name: 'session, acknowledged at once', prepare: (frames) => receiveAll(frames, instantJournal()) },
    { name: 'session and journal: all of it', prepare: (frames) => receiveAll(frames, journal) },
  ];
}

/** A step without state and without waiting. Its results are kept until the end, or the compiler would drop it. */
function eachFrame(name: string, work: (frame: Prepared) => unknown): Step {
  return {
    name,
    prepare: (frames) => () => {
      let last: unknown;
      for (const frame of frames) last = work(frame);
      if (last === NOW) throw new Error('never');
    },
  };
}

/** Resolves, once run, when every frame is on the disk. */
function appendAll(frames: readonly Prepared[], journal: Journal, isAsSent: boolean): () => Promise<void> {
  const done = Promise.withResolvers<void>();
  let left = DEVICES;
  const owners = Array.from(
    { length: DEVICES },
    (): FrameOwner => ({
      durable: (seq) => {
        if (seq === FRAMES_PER_DEVICE && --left === 0) done.resolve();
      },
      refused: () => done.reject(new Error('the journal could not write')),
    }),
  );
  for (const { frame, device } of frames) frame.owner = owners[device]!;
  return async () => {
    await inTurns(frames, ({ frame, text }) => {
      if (journal.append(frame, isAsSent ? text : undefined)) throw new Error('the journal took no more');
    });
    await done.promise;
  };
}

/** Nobody is told anything here. */
const NO_COMMANDS: SessionsDeps['commands'] = {
  opened: () => {},
  closed: () => {},
  progress: () => false,
  result: () => undefined,
};

/** New sessions, so that the numbers begin at 1; resolves when every frame was acknowledged. */
function receiveAll(frames: readonly Prepared[], journal: SessionsDeps['journal']): () => Promise<void> {
  const sessions = createSessions({
    limits,
    heartbeatMs: 25_000,
    checks,
    ingest,
    quarantine: { admits: () => true, drop: () => {} },
    counts: createGatewayCounts(),
    observeAck: () => {},
    storeProgress: () => ({ stored: 0, next: 0 }),
    commands: NO_COMMANDS,
    // Without its listeners, which would stay; here no ack waits for a store.
    journal: { append: (frame, text) => journal.append(frame, text), onCommit: () => {}, held: () => undefined },
  });
  let left = DEVICES;
  const done = Promise.withResolvers<void>();
  const connection: Connection = {
    backlog: 0,
    address: 'bench',
    close: () => done.reject(new Error('a session was closed')),
    send: (text) => {
      if (!text.startsWith('{"type":"ack"')) done.reject(new Error(text));
      if (text.endsWith(`:${FRAMES_PER_DEVICE}}`) && --left === 0) done.resolve();
    },
  };
  const open = Array.from({ length: DEVICES }, (_, index) => sessions.open(`device-${index}`, connection, NOW));
  return async () => {
    await inTurns(frames, ({ device, bytes }) => open[device]!.receive(bytes, NOW));
    await done.promise;
  };
}

/** Holds everything durable at the end of the turn, for nothing. */
function instantJournal(): SessionsDeps['journal'] {
  const last = new Map<Frame['owner'], number>();
  const commit = () => {
    for (const [owner, seq] of last) owner?.durable(seq);
    last.clear();
  };
  return {
    append: (frame) => {
      if (last.size === 0) setImmediate(commit);
      last.set(frame.owner, frame.seq);
      return undefined;
    },
    onCommit: () => {},
    held: () => undefined,
  };
}

async function inTurns(frames: readonly Prepared[], work: (frame: Prepared) => void): Promise<void> {
  for (let at = 0; at < frames.length; at += FRAMES_PER_TURN) {
    for (const frame of frames.slice(at, at + FRAMES_PER_TURN)) work(frame);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
