/** The judge of the fuzzer finds each kind of wrong answer, and nothing wrong with right ones. */
import { describe, expect, it } from 'vitest';
import type { Campaign } from '../fuzz/campaign.ts';
import { Model, noFates } from '../fuzz/model.ts';
import type { FuzzFrame } from '../fuzz/mutator.ts';
import { faultsOf } from '../fuzz/verdict.ts';
import type { Answer } from '../helpers/raw-device.ts';

const frame = (value: unknown, isGood = false): FuzzFrame => ({
  data: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  isBinary: false,
  isGood,
});
const telemetry = (seq?: number) => frame({ type: 'telemetry', seq, stream: 'environment', readings: [{ light: 1 }] });
const good = (seq: number) => ({ ...telemetry(seq), isGood: true });
const hello = frame({ type: 'hello', epoch: 'e' });
const error: Answer = { type: 'error', code: 'not-json' };
const flow = (from: number): Answer => ({ type: 'flow', reason: 'window', from, retryAfterMs: 1 });
const reject = (seq: number): Answer => ({ type: 'reject', seq, errors: [] });
const welcome = (resume: number): Answer => ({ type: 'welcome', resume });

function judged(frames: FuzzFrame[], answers: Answer[], ...acks: number[]): Model {
  const model = new Model();
  model.judge(frames, answers);
  for (const seq of acks) model.ack(seq);
  return model;
}

describe('the model', () => {
  it('takes what the protocol allows, and gives each numbered frame one fate', () => {
    const frames = [hello, good(6), frame('{'), telemetry(7), telemetry(6), telemetry(9), telemetry(10), telemetry(9)];
    const model = judged(frames, [welcome(5), error, reject(7), flow(9)], 6, 9);
    expect(model.isSettled(false)).toBe(true);
    expect(model.fates).toEqual({
      ...noFates(),
      frames: 8,
      numbered: 6,
      acked: 2,
      rejected: 1,
      flow: 2,
      again: 1,
      errors: 1,
    });
    expect(model.next).toBe(10);
  });

  it('reads a repeated flow in both ways until an ack tells', () => {
    const frames = [telemetry(1), telemetry(2), telemetry(3), telemetry(1)];
    const taken = judged(frames, [flow(1), flow(1)], 1);
    expect([taken.isSettled(false), taken.next, taken.isHeld]).toEqual([true, 2, false]);
    const refused = judged(frames, [flow(1), flow(1)]);
    expect([refused.isSettled(false), refused.isSettled(true), refused.next, refused.isHeld]).toEqual([
      false,
      true,
      1,
      true,
    ]);
  });

  it.each<[string, FuzzFrame[], Answer[]]>([
    ['no error to what is wrong', [frame('{')], []],
    ['two errors to one frame', [frame('{')], [error, error]],
    ['an error to a good frame', [good(1)], [error]],
    ['a reject of a good frame', [good(1)], [reject(1)]],
    ['a reject of another frame', [telemetry(1)], [reject(2)]],
    ['two rejects', [telemetry(1)], [reject(1), reject(1)]],
    ['a flow from a frame that was never sent', [telemetry(1)], [flow(2)]],
    ['no welcome', [hello], []],
    ['a second welcome', [hello, hello], [welcome(0), welcome(0)]],
    ['an answer to nothing', [], [error]],
    ['an error about a command answer that was none of the hub', [frame({ type: 'result', id: 'x', ok: true })], []],
    ['life after bytes that are no UTF-8', [{ data: Buffer.from([0xff]), isBinary: false, isGood: false }], [error]],
    [
      'no error to what is too deep',
      [frame(`{"type":"hello","epoch":"e","x":${'['.repeat(9)}${']'.repeat(9)}}`)],
      [welcome(0)],
    ],
  ])('does not take %s', (_, frames, answers) => {
    expect(() => judged(frames, answers)).toThrow();
  });

  it('does not take acks that go back, or of frames that were never taken, nor miss those that do not come', () => {
    expect(() => judged([good(1), good(2)], [], 2, 1)).toThrow('went back');
    expect(() => judged([good(1)], [], 2).isSettled(false)).toThrow('never taken');
    expect(judged([good(1), good(2)], [], 1).isSettled(true)).toBe(false);
  });

  it('does not take a close for nothing', () => {
    expect(() => new Model().judgeClosed([good(1)], 1006)).toThrow('for nothing');
    expect(() => new Model().judgeClosed([good(1)], 1011)).toThrow('for nothing');
    const model = new Model();
    model.judgeClosed([good(1), { data: Buffer.from('x'), isBinary: true, isGood: false }], 1003);
    expect(model.fates).toMatchObject({ numbered: 1, closed: 1 });
  });
});

describe('the verdict', () => {
  const line = (fields: object) =>
    JSON.stringify({ level: 30, time: '2026-01-01T00:00:00.000Z', msg: 'ready', ...fields });
  const calm: Campaign = {
    ...{ fates: { ...noFates(), numbered: 2, acked: 1, closed: 1 }, closes: {}, seconds: 1, dataDir: '', loopFile: '' },
    ...{
      ackMs: 1,
      healthMs: 1,
      loop: { wall: 900, p99: 1, cpu: 99 },
      rssMib: { peak: 99, firstHalf: 1, secondHalf: 1 },
    },
    ...{ exitCode: 0, log: `${line({})}\n${line({ level: 50, msg: 'quarantine: it is full; …' })}\n` },
  };

  it('finds nothing wrong with a calm hub', () => {
    expect(faultsOf(calm, { stallMs: 100, rssMib: 100 })).toEqual([]);
  });

  it.each<[string, Partial<Campaign>]>([
    ['a frame without a fate', { fates: { ...calm.fates, acked: 0 } }],
    ['a frame with two', { fates: { ...calm.fates, acked: 2 } }],
    ['a stall', { loop: { ...calm.loop, cpu: 101 } }],
    ['growth', { rssMib: { ...calm.rssMib, peak: 101 } }],
    ['a crash', { exitCode: 70 }],
    ['an error in the log', { log: line({ level: 50 }) }],
    ['a forged line in the log', { log: '{"level":30,"x":1}' }],
    ['a broken line in the log', { log: 'forged' }],
    ['a secret in the log', { log: line({ token: `thd_${'a'.repeat(12)}_secret` }) }],
  ])('finds %s', (_, change) => {
    expect(faultsOf({ ...calm, ...change }, { stallMs: 100, rssMib: 100 })).toHaveLength(1);
  });
});
