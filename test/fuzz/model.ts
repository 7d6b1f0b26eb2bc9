/** What docs/protocol.md lets a hub answer to each frame of one connection; whatever else it says is a fault. */
import { isUtf8 } from 'node:buffer';
import { loadUplinkChecks } from '../../schemas/index.ts';
import type { Answer } from '../helpers/raw-device.ts';
import type { FuzzFrame } from './mutator.ts';

/** What became of the numbered frames of a connection, and what else was counted. */
export type Fates = Record<
  'frames' | 'numbered' | 'acked' | 'rejected' | 'flow' | 'again' | 'closed' | 'errors',
  number
>;

export const noFates = (): Fates => ({
  ...{ frames: 0, numbered: 0, acked: 0, rejected: 0, flow: 0, again: 0, closed: 0, errors: 0 },
});

export function addFates(a: Fates, b: Fates): Fates {
  const sum = { ...a };
  for (const name of Object.keys(sum) as (keyof Fates)[]) sum[name] += b[name];
  return sum;
}

/** What a frame is by its text alone. `ends`: the close codes that it may bring about. */
type Kind =
  | { kind: 'ends'; code: number }
  | { kind: 'wrong' }
  | { kind: 'hello' }
  | { kind: 'answer'; id: string }
  | { kind: 'telemetry'; seq: number };

const FRAME_BYTES = 131_072;
const MAX_DEPTH = 8;
const checks = loadUplinkChecks();

/** Close codes that a device may get for frames that are merely wrong, too many of them in a row. */
const IMPATIENT = [4501, 4003];
/** For one that sends so many before it reads the answers; the socket of such a one may be cut without a word. */
const MANY = 64;
const UNREAD = [4000, 1006];

/**
 * What may have happened inside the hub, as far as the answers before `at` tell. The highest number taken, what the hub
 * said to begin again with, and whether numbers have a meaning already.
 */
interface World {
  at: number;
  accepted: number;
  waitingFor: number | undefined;
  begun: boolean;
  fates: Fates;
}

export class Model {
  /** The highest number acknowledged. */
  acked = 0;
  /** Ids of commands that the hub has sent on this connection. */
  readonly commands = new Set<string>();
  #closed = noFates();
  /** More than one while the answers can be read in more than one way; each is possible until an ack tells. */
  #worlds: World[] = [{ at: 0, accepted: 0, waitingFor: undefined, begun: false, fates: noFates() }];

  /** What a device should do now: the number to go on with. */
  get next(): number {
    const { accepted, waitingFor } = this.#worlds[0]!;
    return waitingFor ?? accepted + 1;
  }

  get isHeld(): boolean {
    return this.#worlds[0]!.waitingFor !== undefined;
  }

  get fates(): Fates {
    return addFates(this.#worlds[0]!.fates, this.#closed);
  }

  /** Frames that were sent and the answers to all of them, acks left out, in order. Throws on what may not be. */
  judge(frames: readonly FuzzFrame[], answers: readonly Answer[]): void {
    for (const frame of frames) {
      const what = kindOf(frame);
      const worlds = this.#worlds.flatMap((world) => this.#after(world, what, frame.isGood, answers[world.at]));
      if (worlds.length === 0) throw new Error(complaintAbout(frame, this.#worlds, answers));
      this.#worlds = [...new Map(worlds.map((world) => [keyOf(world), world])).values()];
    }
    const rest = answers[Math.max(...this.#worlds.map(({ at }) => at))];
    if (rest) throw new Error(`an answer to nothing: ${JSON.stringify(rest)}`);
    this.#worlds = this.#worlds.filter(({ at }) => at === answers.length);
    for (const world of this.#worlds) world.at = 0;
  }

  /** Whether the acks that have come fit; `isLate`: no other will come. */
  isSettled(isLate: boolean): boolean {
    const most = Math.max(...this.#worlds.map(({ accepted }) => accepted));
    if (this.acked > most) throw new Error(`frame ${this.acked} was acknowledged and never taken`);
    if (this.acked < most && !isLate) return false;
    const right = this.#worlds.filter(({ accepted }) => accepted === this.acked);
    if (right.length > 0) this.#worlds = right;
    return right.length > 0;
  }

  /** The connection was closed while these were under way: the close stands for the answers that did not come. */
  judgeClosed(frames: readonly FuzzFrame[], code: number): void {
    const kinds = frames.map(kindOf);
    const mayEnd = kinds.some((kind) => kind.kind === 'ends' && [kind.code, 1006].includes(code));
    const hasSentMany = frames.length >= MANY && UNREAD.includes(code);
    if (!mayEnd && !hasSentMany && !IMPATIENT.includes(code))
      throw new Error(`the hub closed with ${code} for nothing`);
    const numbered = kinds.filter((kind) => kind.kind === 'telemetry' && kind.seq > 0).length;
    this.#closed = addFates(this.#closed, { ...noFates(), frames: frames.length, numbered, closed: numbered });
  }

  /** An ack came. */
  ack(seq: number): void {
    if (seq < this.acked) throw new Error(`an ack went back from ${this.acked} to ${seq}`);
    this.acked = seq;
  }

  /** The worlds that one may become when this frame got this answer, or none; an empty list: it may not be. */
  #after(world: World, what: Kind, isGood: boolean, answer: Answer | undefined): World[] {
    const plus = (fates: Partial<Fates>, more: Partial<World> = {}): World => ({
      ...world,
      ...more,
      fates: addFates(world.fates, { ...noFates(), frames: 1, ...fates }),
    });
    const taken = { at: world.at + 1 };
    const isError = answer?.type === 'error';
    const error = isError ? [plus({ errors: 1 }, taken)] : [];
    const isFlow = answer?.type === 'flow' && answer.from === undefined;
    if (what.kind === 'ends') return [];
    if (what.kind === 'wrong' || (what.kind === 'hello' && world.begun)) return error;
    if (what.kind === 'hello') {
      if (answer?.type !== 'welcome') return [];
      const accepted = Number(answer.resume);
      this.acked = Math.max(this.acked, accepted);
      return [plus({}, { ...taken, begun: true, accepted })];
    }
    if (what.kind === 'answer') {
      if (isFlow) return [plus({}, taken)];
      return !this.commands.has(what.id) ? error : isError && answer.id === what.id ? error : [plus({})];
    }
    if (what.seq > 0) return numbered(world, what.seq, isGood, answer, plus);
    const isReject = answer?.type === 'reject' && answer.seq === undefined;
    return [plus({}, { ...(isFlow || isReject ? taken : {}), begun: true })];
  }
}

/** What a numbered frame may have brought about. */
function numbered(
  world: World,
  seq: number,
  isGood: boolean,
  answer: Answer | undefined,
  plus: (fates: Partial<Fates>, more?: Partial<World>) => World,
): World[] {
  const taken = { at: world.at + 1, begun: true };
  const isFlowFrom = (from: number) => answer?.type === 'flow' && answer.from === from;
  if (seq <= world.accepted) return [plus({ numbered: 1, again: 1 })];
  if (world.waitingFor !== undefined && seq !== world.waitingFor) {
    // The flow before stands for it as well; a device that goes on for long is told once more.
    const fate = { numbered: 1, flow: 1 };
    return isFlowFrom(world.waitingFor) ? [plus(fate), plus(fate, taken)] : [plus(fate)];
  }
  if (isFlowFrom(seq)) return [plus({ numbered: 1, flow: 1 }, { ...taken, waitingFor: seq })];
  const now = { accepted: seq, waitingFor: undefined, begun: true };
  if (answer?.type === 'reject' && answer.seq === seq)
    return isGood ? [] : [plus({ numbered: 1, rejected: 1 }, { ...now, at: world.at + 1 })];
  return [plus({ numbered: 1, acked: 1 }, now)];
}

const keyOf = ({ at, accepted, waitingFor }: World) => `${at} ${accepted} ${waitingFor}`;

function complaintAbout({ data }: FuzzFrame, worlds: readonly World[], answers: readonly Answer[]): string {
  const answer = JSON.stringify(answers[worlds[0]!.at]);
  return `${answer} is no answer to ${data.toString().slice(0, 400)}`;
}

function kindOf({ data, isBinary }: FuzzFrame): Kind {
  if (data.length > FRAME_BYTES) return { kind: 'ends', code: 1009 };
  if (isBinary) return { kind: 'ends', code: 1003 };
  if (!isUtf8(data)) return { kind: 'ends', code: 1007 };
  const text = data.toString();
  const frame = objectIn(text);
  if (!frame || depthOf(text) > MAX_DEPTH) return { kind: 'wrong' };
  const { type, id, seq } = frame;
  const check = typeof type === 'string' && Object.hasOwn(checks, type) && checks[type as keyof typeof checks];
  if (!check || check(frame)) return { kind: 'wrong' };
  if (type === 'hello') return { kind: 'hello' };
  if (type === 'telemetry') return { kind: 'telemetry', seq: seq === undefined ? 0 : Number(seq) };
  return { kind: 'answer', id: String(id) };
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Of a text that is JSON. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const sign of text.replace(/"(\\.|[^"\\])*"/gs, '')) {
    if (sign === '{' || sign === '[') deepest = Math.max(deepest, ++depth);
    else if (sign === '}' || sign === ']') depth--;
  }
  return deepest;
}
