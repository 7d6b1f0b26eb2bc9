import { describe, expect, it } from 'vitest';
import { createAdmission, type Knock } from '../../hub/gateway/admission.ts';
import { isTooDeep } from '../../hub/gateway/depth.ts';
import { createBucket } from '../../hub/gateway/rate.ts';
import { Sequence } from '../../hub/gateway/sequence.ts';
import { createTakeovers } from '../../hub/gateway/takeovers.ts';

describe('admission', () => {
  const NOW = 1_760_000_000_000;
  const knock = (change: Partial<Knock> = {}): Knock => ({
    url: '/v1/device',
    address: '192.0.2.1',
    authorization: 'Bearer good',
    origin: undefined,
    subprotocols: 'telemetry-hub.v1',
    ...change,
  });
  const make = () =>
    createAdmission(
      {
        authenticate: (token) => (token === 'good' ? { id: 'd1' } : { code: 'token-invalid', detail: 'no such token' }),
      },
      { maxConnections: 10, origins: ['https://ok.example'], failedAttemptsPerMinute: 3, admissionsPerSecond: 10 },
    );

  it('lets a device in by its token alone, in the header or as a subprotocol', () => {
    expect(make().admit(knock(), 0, NOW)).toMatchObject({ device: 'd1' });
    const offered = { authorization: undefined, subprotocols: 'telemetry-hub.v1, bearer.good' };
    expect(make().admit(knock(offered), 0, NOW)).toMatchObject({ device: 'd1' });
  });

  it.each([
    ['token-missing', { authorization: undefined }],
    ['token-invalid', { authorization: 'Bearer bad' }],
    ['token-in-query', { url: '/v1/device?token=good' }],
    ['token-in-query', { url: '/v1/device?x=thd_abc' }],
    ['subprotocol', { subprotocols: undefined }],
    ['subprotocol', { subprotocols: 'mqtt' }],
    ['origin', { origin: 'https://evil.example' }],
  ])('refuses with %s', (code, change) => {
    expect(make().admit(knock(change), 0, NOW)).toMatchObject({ code });
  });

  it('lets an allowed Origin in', () => {
    expect(make().admit(knock({ origin: 'https://ok.example' }), 0, NOW)).toMatchObject({ device: 'd1' });
  });

  it('sends away with Retry-After when full or draining', () => {
    expect(make().admit(knock(), 10, NOW)).toMatchObject({ code: 'full', retryAfterSeconds: expect.any(Number) });
    const admission = make();
    admission.drain();
    expect(admission.admit(knock(), 0, NOW)).toMatchObject({ code: 'draining', retryAfterSeconds: expect.any(Number) });
  });

  it('throttles an address that keeps failing, but never a good token behind it', () => {
    const admission = make();
    const bad = knock({ authorization: 'Bearer bad' });
    for (let attempt = 0; attempt < 3; attempt++)
      expect(admission.admit(bad, 0, NOW)).toMatchObject({ code: 'token-invalid' });
    expect(admission.admit(bad, 0, NOW)).toMatchObject({ code: 'too-many-attempts', retryAfterSeconds: 60 });
    expect(admission.admit(knock(), 0, NOW)).toMatchObject({ device: 'd1' });
    expect(admission.admit(bad, 0, NOW + 60_000)).toMatchObject({ code: 'token-invalid' });
    expect(admission.admit({ ...bad, address: '192.0.2.2' }, 0, NOW)).toMatchObject({ code: 'token-invalid' });
  });
});

describe('the depth of JSON', () => {
  it.each([
    ['{"a":[1,[2,{"b":3}]]}', 4, false],
    ['{"a":[1,[2,{"b":3}]]}', 3, true],
    ['{"a":"[[[[[[[["}', 1, false],
    ['{"a":"\\"[[[[","b":"\\\\","c":[1]}', 2, false],
    ['"never ends [[[[', 1, false],
    ['[[[[[[[[[', 8, true],
    ['', 1, false],
  ])('%s at limit %i: %s', (text, limit, tooDeep) => {
    expect(isTooDeep(Buffer.from(text), limit)).toBe(tooDeep);
  });
});

describe('the token bucket', () => {
  it('lets ten seconds’ worth through at once, then the sustained rate', () => {
    const bucket = createBucket(100, 0);
    expect(bucket.take(1000, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(10);
    expect(bucket.take(1, 10)).toBe(0);
  });

  it('says when to come back, takes nothing until then, and survives a clock that steps back', () => {
    const bucket = createBucket(10, 1_000_000);
    bucket.take(100, 1_000_000);
    expect(bucket.take(50, 1_000_000)).toBe(5000);
    expect(bucket.take(50, 0)).toBe(5000);
    expect(bucket.take(50, 5_000)).toBe(0);
  });

  it('lets through a frame larger than it can ever hold, once it is full', () => {
    const bucket = createBucket(1, 0);
    expect(bucket.take(1000, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBeGreaterThan(900_000);
  });
});

describe('a sequence', () => {
  const make = (held = 0) => {
    const sequence = new Sequence('e', held);
    const heard: string[] = [];
    sequence.listener = { ack: (seq) => heard.push(`ack ${seq}`), lost: (from) => heard.push(`lost ${from}`) };
    return { sequence, heard };
  };

  it('acknowledges what the journal made durable', () => {
    const { sequence, heard } = make();
    sequence.accepted = 3;
    sequence.durable(3);
    expect(heard).toEqual(['ack 3']);
    expect(sequence.settled).toBe(true);
  });

  it('acknowledges to the next session what an earlier one sent', () => {
    const { sequence, heard } = make();
    sequence.accepted = 2;
    sequence.listener = undefined;
    sequence.durable(1);
    const later: number[] = [];
    sequence.listener = { ack: (seq) => later.push(seq), lost: () => {} };
    sequence.durable(2);
    expect(heard).toEqual([]);
    expect(later).toEqual([2]);
  });

  it('goes back when the journal could not keep a group', () => {
    const { sequence, heard } = make(5);
    sequence.accepted = 9;
    sequence.refused(6);
    expect(sequence).toMatchObject({ accepted: 5, waitingFor: 6, acked: 5 });
    expect(heard).toEqual(['lost 6']);
  });

  it('waits for the telemetry store when the device asked for stored acks', () => {
    const { sequence, heard } = make();
    sequence.begin('stored', 0, 0);
    sequence.accepted = 4;
    sequence.durable(2);
    sequence.committedUpTo(10);
    sequence.durable(4);
    sequence.committedUpTo(14);
    sequence.storedUpTo(9);
    expect(heard).toEqual([]);
    sequence.storedUpTo(13);
    expect(heard).toEqual(['ack 2']);
    sequence.storedUpTo(14);
    expect(heard).toEqual(['ack 2', 'ack 4']);
  });

  it('resumes a device that waits for the store at what is stored, not at what is only on disk', () => {
    const { sequence, heard } = make(7);
    sequence.begin('stored', 90, 100);
    expect(sequence.acked).toBe(0);
    sequence.storedUpTo(99);
    expect(heard).toEqual([]);
    sequence.storedUpTo(100);
    expect(heard).toEqual(['ack 7']);
  });

  it('needs no waiting for what the store has already, nor for a device that is content with the journal', () => {
    const stored = make(7).sequence;
    stored.begin('stored', 100, 100);
    expect(stored.acked).toBe(7);
    const { sequence } = make(7);
    sequence.begin('stored', 0, 100);
    sequence.begin('journaled', 0, 100);
    expect(sequence.acked).toBe(7);
  });
});

describe('takeovers', () => {
  const make = () => createTakeovers({ limit: 2, withinMs: 10_000 });

  it('lets a device take over from itself a few times, and then makes it wait until the window is over', () => {
    const takeovers = make();
    const waits = [0, 1_000, 2_000, 3_000, 10_000].map((now) => takeovers.knock('d1', now).waitMs);
    expect(waits).toEqual([0, 0, 8_000, 7_000, 0]);
  });

  it('is news once, also when the quarrel goes on into the next window', () => {
    const takeovers = make();
    const news = Array.from({ length: 40 }, (_, index) => takeovers.knock('d1', index * 1_000).isNews);
    expect(news.filter(Boolean)).toHaveLength(1);
    for (const now of [100_000, 100_001, 100_002]) news.push(takeovers.knock('d1', now).isNews);
    expect(news.filter(Boolean)).toHaveLength(2);
  });

  it('counts each device for itself', () => {
    const takeovers = make();
    for (let i = 0; i < 5; i++) takeovers.knock('d1', 0);
    expect(takeovers.knock('d2', 0).waitMs).toBe(0);
  });
});
