/** The audit log in its file, how it bears floods, and what a request's line says. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Attempt, createAuditTrail } from '../../hub/api/audit-trail.ts';
import { createAuditWords } from '../../hub/api/audit-words.ts';
import type { Route } from '../../hub/api/route.ts';
import { createSqliteAudit } from '../../hub/audit/audit.sqlite.ts';
import type { Audit, AuditEvent } from '../../hub/audit/audit.ts';
import { createDamper } from '../../hub/audit/damper.ts';
import { createToken } from '../../hub/devices/token.ts';

const EVENT: AuditEvent = { actor: 'operator:otto', action: 'PATCH /v1/devices/:id', target: 'a', result: 'ok' };

const route = (method: Route['method'], path: string) => ({ method, path }) as Route;

let dir: string;
let audit: Audit;
const file = () => join(dir, 'audit.db');
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hub-audit-'));
  audit = await createSqliteAudit({ file: file(), limitEntries: 10, now: () => 1_000 });
});
afterEach(async () => {
  await audit.close();
  await rm(dir, { recursive: true });
});
const targets = async () => (await audit.list({ limit: 100 })).map(({ target }) => target);

describe('the audit log', () => {
  it('keeps an entry with its time, and shows what it was told and nothing else', async () => {
    await audit.record({ ...EVENT, from: '10.0.0.1', detail: 'enabled=false' });
    await audit.record(EVENT);
    expect(await audit.list({ limit: 10 })).toEqual([
      { id: 2, at: 1_000, ...EVENT },
      { id: 1, at: 1_000, ...EVENT, from: '10.0.0.1', detail: 'enabled=false' },
    ]);
  });

  it('has an entry on the disk when record resolves, and keeps the order of many at once', async () => {
    const done = Array.from({ length: 8 }, (_, n) => audit.record({ ...EVENT, target: `t${n}` }));
    await done[7];
    const other = new DatabaseSync(file(), { readOnly: true });
    expect(other.prepare('SELECT count(*) AS n FROM audit').get()).toEqual({ n: 8 });
    other.close();
    expect(await targets()).toEqual(['t7', 't6', 't5', 't4', 't3', 't2', 't1', 't0']);
  });

  it('finds by target, by actor, by the bare name of an operator, and page by page', async () => {
    for (const [actor, target] of ['operator:otto a', 'operator:ada a', 'schedule:otto b', 'otto b'].map((text) =>
      text.split(' '),
    ))
      await audit.record({ ...EVENT, actor: actor!, target: target! });
    const ids = async (filter: object) => (await audit.list({ limit: 10, ...filter })).map(({ id }) => id);
    expect(await ids({ target: 'a' })).toEqual([2, 1]);
    expect(await ids({ actor: 'schedule:otto' })).toEqual([3]);
    expect(await ids({ actor: 'otto' })).toEqual([4, 1]);
    expect(await ids({ actor: 'otto', target: 'a' })).toEqual([1]);
    expect(await ids({ limit: 2, before: 4 })).toEqual([3, 2]);
  });

  it('lets the oldest go beyond its limit, and goes on counting after a restart', async () => {
    for (let n = 0; n < 12; n++) await audit.record({ ...EVENT, target: `t${n}` });
    expect(await targets()).toEqual(Array.from({ length: 10 }, (_, n) => `t${11 - n}`));
    await audit.close();
    audit = await createSqliteAudit({ file: file() });
    await audit.record(EVENT);
    expect((await audit.list({ limit: 1 }))[0]!.id).toBe(13);
  });

  it('cannot be rewritten, not even in its file', async () => {
    await audit.record(EVENT);
    const other = new DatabaseSync(file());
    expect(() => other.exec("UPDATE audit SET actor = 'operator:else'")).toThrow('append-only');
    other.close();
  });

  it('keeps no token and no endless text, whoever puts one in', async () => {
    const { token } = createToken('operator', 0);
    await audit.record({ ...EVENT, target: token, detail: `${token} ${'x'.repeat(2_000)}` });
    const [entry] = await audit.list({ limit: 1 });
    expect(JSON.stringify(entry)).not.toContain(token.slice(20));
    expect(entry!.detail!.length).toBeLessThanOrEqual(512);
  });

  it('holds nobody up while the disk fails, and writes what waited when it heals', async () => {
    const troubles: string[] = [];
    const blocked = await createSqliteAudit({ file: file(), onTrouble: (error) => troubles.push(String(error)) });
    const breaker = new DatabaseSync(file());
    breaker.exec('ALTER TABLE audit RENAME TO away');
    await blocked.record({ ...EVENT, target: 'waited' });
    await blocked.record({ ...EVENT, target: 'waited too' });
    expect(troubles).toEqual([expect.stringContaining('no such table')]);
    expect(blocked.status()).toEqual({ failing: true, waiting: 2, lost: 0 });
    breaker.exec('ALTER TABLE away RENAME TO audit');
    breaker.close();
    await expect.poll(targets).toEqual(['waited too', 'waited']);
    await expect.poll(blocked.status).toEqual({ failing: false, waiting: 0, lost: 0 });
    await blocked.close();
  });

  it('writes what is left when it is closed, and takes nothing after', async () => {
    void audit.record(EVENT);
    await audit.close();
    await audit.record(EVENT);
    audit = await createSqliteAudit({ file: file() });
    expect(await targets()).toEqual(['a']);
  });
});

describe('strangers in the audit log', () => {
  it('are kept once for the same attempt, sixty a minute, and what was left out is told', async () => {
    const kept: AuditEvent[] = [];
    let now = 0;
    const record = createDamper(
      async (event) => void kept.push(event),
      () => now,
    );
    for (let n = 0; n < 5; n++) await record(EVENT);
    expect(kept).toEqual([EVENT]);
    for (let n = 0; n < 100; n++) await record({ ...EVENT, from: `10.0.0.${n}` });
    expect(kept).toHaveLength(60);
    now = 60_000;
    await record({ ...EVENT, from: '10.1.0.0', detail: 'key k' });
    expect(kept.at(-1)!.detail).toBe('key k; 41 attempts like these left out before');
    now = 660_000;
    await record(EVENT);
    expect(kept.at(-1)).toEqual(EVENT);
  });
});

describe('the line of a request', () => {
  const lineOf = async (attempt: Partial<Attempt>, of = route('POST', '/v1/devices/:id/commands')) => {
    const known: AuditEvent[] = [];
    const strange: AuditEvent[] = [];
    const trail = createAuditTrail(
      async (event) => void known.push(event),
      async (event) => void strange.push(event),
    );
    await trail.add(of, { from: '::1', params: {}, ...attempt });
    return { known, strange };
  };
  const operator = { name: 'otto', role: 'operator' as const, createdAt: 0 };

  it('says who, what, to what, with what result, from where; of a body the fields, and the values of names and numbers', async () => {
    const body = { name: 'reboot', params: { secret: 'hush' }, ttlMs: 60_000, description: 'hush' };
    const { known } = await lineOf({ operator, params: { id: 'meter-7' }, body, answer: { id: 'c1' } });
    expect(known).toEqual([
      {
        actor: 'operator:otto',
        action: 'POST /v1/devices/:id/commands',
        target: 'meter-7',
        result: 'ok',
        from: '::1',
        detail: 'made c1 name=reboot params ttlMs=60000 description',
      },
    ]);
  });

  it('names what was made, or what should have been', async () => {
    const create = route('POST', '/v1/devices');
    const { known: made } = await lineOf({ operator, body: { id: 'a' }, answer: { id: 'a', token: 'hush' } }, create);
    const { known: refused } = await lineOf({ operator, body: { id: 'a' }, refusal: 'exists' }, create);
    expect([made, refused]).toMatchObject([[{ target: 'a', result: 'ok' }], [{ target: 'a', result: 'exists' }]]);
    expect(JSON.stringify(made)).not.toContain('hush');
  });

  it('of a stranger tells the public part of the token', async () => {
    const { token, stored } = createToken('operator', 0);
    const { strange } = await lineOf({ authorization: `Bearer ${token}`, refusal: 'unauthorized' });
    expect(strange).toMatchObject([{ actor: 'unknown', result: 'unauthorized', detail: `key ${stored.keyId}` }]);
  });

  it('is not written for looking', async () => {
    expect(await lineOf({ operator }, route('GET', '/v1/devices'))).toEqual({ known: [], strange: [] });
  });
});

describe('an action in words', () => {
  const rotate = { ...route('POST', '/v1/devices/:id/tokens'), deed: 'rotate/rotated the token' };
  const wordsOf = createAuditWords([rotate, route('GET', '/v1/operators')]);

  it.each([
    ['POST /v1/devices/:id/tokens', 'ok', 'rotated the token'],
    ['POST /v1/devices/:id/tokens', 'not-found', 'tried to rotate the token'],
    ['GET /v1/operators', 'forbidden', 'tried to look'],
    ['schedule.run', 'interrupted', 'tried to run the schedule'],
    ['command.result', 'unknown-command', "tried to answer another's command"],
    ['DELETE (not decodable)', 'invalid', undefined],
  ])('%s, %s: %s', (action, result, words) => expect(wordsOf({ action, result })).toBe(words));
});
