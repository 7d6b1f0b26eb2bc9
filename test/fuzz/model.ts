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

export class Model {
  readonly fates = noFates();
  /** The highest number taken and the highest acknowledged; what the hub said to begin again with. */
  accepted = 0;
  acked = 0;
  waitingFor: number | undefined;
  /** Ids of commands that the hub has sent on this connection. */
  readonly commands = new Set<string>();
  #begun = false;

  /** Frames that were sent and the answers to all of them, acks left out, in order. Throws on what may not be. */
  judge(frames: readonly FuzzFrame[], answers: Answer[]): void {
    for (const frame of frames) this.#one(frame, answers);
    if (answers.length > 0) throw new Error(`an answer to nothing: ${JSON.stringify(answers[0])}`);
  }

  /** The connection was closed while these were under way: an answer to each, or the close stands for it. */
  judgeClosed(frames: readonly FuzzFrame[], answers: Answer[], code: number): void {
    const kinds = frames.map(kindOf);
    const mayEnd = kinds.some((kind) => kind.kind === 'ends' && kind.code === code) || IMPATIENT.includes(code);
    if (!mayEnd) throw new Error(`the hub closed with ${code}, for which there was no reason`);
    if (answers.length > frames.length) throw new Error('more answers than frames before the close');
    this.fates.frames += frames.length;
    const numbered = kinds.filter((kind) => kind.kind === 'telemetry' && kind.seq > 0).length;
    this.fates.numbered += numbered;
    this.fates.closed += numbered;
  }

  /** An ack came. */
  ack(seq: number): void {
    if (seq < this.acked) throw new Error(`an ack went back from ${this.acked} to ${seq}`);
    this.acked = seq;
  }

  #one(frame: FuzzFrame, answers: Answer[]): void {
    const what = kindOf(frame);
    this.fates.frames++;
    const before = answers[0];
    if (what.kind === 'ends') throw new Error(`the hub lived with a frame that ends a connection: ${what.code}`);
    if (what.kind === 'wrong') this.#expect('error', answers, frame);
    else if (what.kind === 'hello') this.#hello(answers, frame);
    else if (what.kind === 'answer') this.#answer(what.id, answers, frame);
    else if (what.seq === 0) this.#unnumbered(answers);
    else this.#numbered(what.seq, answers);
    const isRefused = before !== answers[0] && before?.type !== 'flow';
    if (frame.isGood && isRefused) throw new Error(`a good frame got ${JSON.stringify(before)}`);
  }

  #expect(type: string, answers: Answer[], frame: FuzzFrame): Answer {
    const answer = answers.shift();
    if (answer?.type !== type) {
      throw new Error(`${type} was due, not ${JSON.stringify(answer)}, to ${frame.data.toString().slice(0, 400)}`);
    }
    if (type === 'error') this.fates.errors++;
    return answer;
  }

  #hello(answers: Answer[], frame: FuzzFrame): void {
    if (this.#begun) return void this.#expect('error', answers, frame);
    const { resume } = this.#expect('welcome', answers, frame);
    this.#begun = true;
    this.accepted = Number(resume);
  }

  /** Of a command that the hub has sent it may be right; of any other it is an error. Too many are put off. */
  #answer(id: string, answers: Answer[], frame: FuzzFrame): void {
    const isFlow = answers[0]?.type === 'flow' && answers[0].from === undefined;
    if (isFlow) answers.shift();
    else if (!this.commands.has(id)) this.#expect('error', answers, frame);
    else if (answers[0]?.type === 'error' && answers[0].id === id) answers.shift();
  }

  #unnumbered(answers: Answer[]): void {
    this.#begun = true;
    const [next] = answers;
    if (next?.type === 'reject' && next.seq === undefined) answers.shift();
    else if (next?.type === 'flow' && next.from === undefined) answers.shift();
  }

  #numbered(seq: number, answers: Answer[]): void {
    this.#begun = true;
    this.fates.numbered++;
    const [next] = answers;
    if (seq <= this.accepted) {
      this.fates.again++;
    } else if (this.waitingFor !== undefined && seq !== this.waitingFor) {
      // The flow before stands for it as well; a device that goes on for long is told once more.
      this.fates.flow++;
      if (next?.type === 'flow' && next.from === this.waitingFor) answers.shift();
    } else if (next?.type === 'flow' && next.from === seq) {
      answers.shift();
      this.fates.flow++;
      this.waitingFor = seq;
    } else {
      if (next?.type === 'reject' && next.seq === seq) {
        answers.shift();
        this.fates.rejected++;
      } else this.fates.acked++;
      this.accepted = seq;
      this.waitingFor = undefined;
    }
  }
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
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
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
