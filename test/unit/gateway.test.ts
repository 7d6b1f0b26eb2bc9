import { describe, expect, it } from 'vitest';
import { createAdmission, type Knock } from '../../hub/gateway/admission.ts';
import { Allowance, createBucket } from '../../hub/gateway/rate.ts';
import { Sequence } from '../../hub/gateway/sequence.ts';
import { createTakeovers } from '../../hub/gateway/takeovers.ts';
import { isTooDeep } from '../../hub/kit/depth.ts';

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

  it('lets so many in a second, and tells the others to come back at different times', () => {
    const admission = make();
    const verdicts = Array.from({ length: 100 }, () => admission.admit(knock(), 0, NOW));
    expect(verdicts.filter((verdict) => 'device' in verdict)).toHaveLength(20);
    const times = verdicts.flatMap((verdict) => ('code' in verdict ? [verdict.retryAfterSeconds ?? 0] : []));
    expect(verdicts.at(-1)).toMatchObject({ code: 'full' });
    expect(times.every((seconds) => seconds >= 1 && seconds <= 20)).toBe(true);
    expect(new Set(times).size).toBeGreaterThan(5);
    expect(admission.admit(knock(), 0, NOW + 100)).toMatchObject({ device: 'd1' });
  });

  it('does not let strangers use up the room of devices', () => {
    const admission = make();
    for (let attempt = 0; attempt < 1_000; attempt++)
      admission.admit(knock({ authorization: 'Bearer bad', address: `192.0.2.${attempt % 250}` }), 0, NOW);
    expect(admission.admit(knock(), 0, NOW)).toMatchObject({ device: 'd1' });
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

describe('admission by certificate', () => {
  const NOW = 1_760_000_000_000;
  const told: unknown[] = [];
  const admission = createAdmission(
    {
      authenticate: () => ({ id: 'd1' }),
      recognise: (id) => (id === 'd1' ? { id } : { code: 'certificate-invalid', detail: 'nobody' }),
      onFailure: (...failure) => told.push(failure),
    },
    { maxConnections: 10, origins: [], failedAttemptsPerMinute: 3, admissionsPerSecond: 10 },
  );
  const shown = (device: string) => ({ device, fingerprint: 'abcd' });
  const knock = (certificate: Knock['certificate'], authorization?: string): Knock => ({
    ...{ url: '/v1/device', address: '192.0.2.1', origin: undefined, subprotocols: 'telemetry-hub.v1' },
    ...{ authorization, ...(certificate && { certificate }) },
  });

  it('lets in the device that it names, under the name of the certificate', () => {
    expect(admission.admit(knock(shown('d1')), 0, NOW)).toEqual({ device: 'd1', keyId: 'cert:abcd' });
  });

  it('refuses one that is of nobody, is not good, or contradicts the token; and tells of it', () => {
    for (const bad of [knock(shown('d2')), knock({ problem: 'CERT_REVOKED' }), knock(shown('d2'), 'Bearer good')])
      expect(admission.admit(bad, 0, NOW)).toMatchObject({ code: 'certificate-invalid' });
    expect(told).toHaveLength(3);
  });

  it('lets a good token in beside a certificate that is worth nothing', () => {
    expect(admission.admit(knock({ problem: 'CERT_HAS_EXPIRED' }, 'Bearer good'), 0, NOW)).toMatchObject({
      device: 'd1',
    });
  });
});

describe('what a device may send', () => {
  const make = () => new Allowance({ framesPerSecond: 10, readingsPerSecond: 100, bytesPerSecond: 1_000 }, 0);

  it.each([
    ['frames', (allowance: Allowance) => allowance.takeFrame(1, 1, 0), 100],
    ['readings', (allowance: Allowance) => allowance.takeFrame(100, 1, 0), 10],
    ['bytes', (allowance: Allowance) => allowance.takeFrame(1, 1_000, 0), 10],
  ])('is bounded in %s', (_, send, most) => {
    const allowance = make();
    for (let sent = 0; sent < most; sent++) expect(send(allowance)).toBe(0);
    expect(send(allowance)).toBeGreaterThan(0);
  });

  it('is all taken or nothing', () => {
    const allowance = make();
    for (let frame = 0; frame < 10; frame++) allowance.takeFrame(0, 1_000, 0);
    for (let attempt = 0; attempt < 1_000; attempt++) allowance.takeFrame(100, 1_000, 0);
    expect(allowance.takeFrame(1_000, 0, 0)).toBe(0);
    expect(allowance.isFull(9_999)).toBe(false);
    expect(allowance.isFull(10_000)).toBe(true);
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

  it('does not count against the window what an earlier life of the hub made durable and the store may not have', () => {
    const { sequence } = make(300);
    sequence.begin('stored', 90, 100);
    expect(sequence.inFlight).toBe(0);
    sequence.take(301);
    sequence.durable(301);
    sequence.committedUpTo(101);
    expect(sequence.inFlight).toBe(1);
    sequence.storedUpTo(100);
    expect([sequence.acked, sequence.inFlight]).toEqual([300, 1]);
    sequence.storedUpTo(101);
    expect([sequence.acked, sequence.inFlight]).toEqual([301, 0]);
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
