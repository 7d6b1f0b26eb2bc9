/** Each class of answer has a row, with the words of the servers. */
import { describe, expect, it } from 'vitest';
import { classify } from '../../hub/telemetry/influx-answer.ts';

const NOW = Date.UTC(2026, 0, 1);
const error = (words: string) => JSON.stringify({ error: words });
const CONFLICT = 'partial write: field type conflict: input field "f" on measurement "m" is type string dropped=1';

describe('an answer of InfluxDB', () => {
  it.each([
    ['1.x, taken', 204, '', { kind: 'done' }],
    ['a proxy, taken', 200, '', { kind: 'done' }],
    ['1.x, type conflict', 400, error(CONFLICT), { kind: 'halve', message: CONFLICT }],
    [
      '1.x, unable to parse',
      400,
      error("unable to parse 'm f='"),
      { kind: 'halve', message: "unable to parse 'm f='" },
    ],
    ['1.x, beyond retention', 400, error('partial write: points beyond retention policy dropped=1'), { kind: 'halve' }],
    ['1.x, type conflict in a new shard', 500, error('field type conflict'), { kind: 'halve' }],
    ['1.x, partial write in plain text', 500, 'partial write: x', { kind: 'halve', message: 'partial write: x' }],
    ['2.x, invalid', 400, '{"code":"invalid","message":"bad timestamp"}', { kind: 'halve', message: 'bad timestamp' }],
    ['2.x, unprocessable', 422, '{"code":"unprocessable entity","message":"x"}', { kind: 'halve', message: 'x' }],
    ['3, partial write', 400, '{"error":"partial write of line protocol occurred","data":[]}', { kind: 'halve' }],
    ['too large', 413, '{"error":"Request Entity Too Large"}', { kind: 'halve' }],
    ['too large, from a proxy', 413, '<html>', { kind: 'halve', message: 'InfluxDB answered 413' }],
    ['1.x, no database', 404, error('database not found: "x"'), { kind: 'stall', missing: true }],
    ['1.x, no retention policy', 500, error('retention policy not found: x'), { kind: 'stall', missing: true }],
    [
      '2.x, no bucket',
      404,
      '{"code":"not found","message":"bucket \\"x\\" not found"}',
      { kind: 'stall', missing: true },
    ],
    ['wrong credentials', 401, error('authorization failed'), { kind: 'stall', missing: false }],
    ['no right to write', 403, error('not authorized'), { kind: 'stall', missing: false }],
    ['a redirect', 302, '', { kind: 'stall', missing: false }],
    ['a 400 of something else', 400, 'Client sent an HTTP request to an HTTPS server.', { kind: 'stall' }],
    ['a body that was cut on its way', 400, error('unexpected EOF'), { kind: 'retry' }],
    ['a body that is no gzip any more', 400, error('gzip: invalid header'), { kind: 'retry' }],
    ['a request without a whole head', 400, '400 Bad Request', { kind: 'retry' }],
    ['a damaged body', 400, error('gzip: invalid checksum'), { kind: 'retry' }],
    ['a request without what InfluxDB needs', 400, error('database is required'), { kind: 'stall', missing: false }],
    [
      'a refusal that quotes the words of a device',
      400,
      error(`unable to parse 'm note="database not found, gzip: unexpected EOF"': bad timestamp`),
      { kind: 'halve' },
    ],
    [
      'a full disk',
      500,
      error('engine: write WAL entry: write x: no space left on device'),
      { kind: 'stall', missing: false },
    ],
    ['out of memory', 500, error('engine: cache-max-memory-size exceeded'), { kind: 'retry' }],
    ['a time-out inside', 500, error('timeout'), { kind: 'retry' }],
    ['a gateway', 502, '<html>', { kind: 'retry', message: 'InfluxDB answered 502' }],
    ['a slow request', 408, '', { kind: 'retry' }],
    ['too many requests', 429, '{"code":"too many requests","message":"x"}', { kind: 'retry', message: 'x' }],
    ['overload', 503, '', { kind: 'retry' }],
  ])('%s', (_, status, body, verdict) => {
    expect(classify({ status, body }, NOW)).toMatchObject(verdict);
  });

  it.each([
    ['5', 5000],
    ['0', 0],
    ['-5', 0],
    ['86400', 300_000],
    [new Date(NOW + 7000).toUTCString(), 7000],
    [new Date(NOW - 7000).toUTCString(), 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('with Retry-After %s asks for %s ms', (retryAfter, retryAfterMs) => {
    for (const status of [429, 503]) {
      const verdict = classify({ status, body: '', retryAfter }, NOW);
      expect('retryAfterMs' in verdict ? verdict.retryAfterMs : undefined).toBe(retryAfterMs);
    }
  });

  it('is quoted with at most 500 characters', () => {
    expect(classify({ status: 400, body: error('x'.repeat(10_000)) }, NOW)).toMatchObject({ message: 'x'.repeat(500) });
  });
});
