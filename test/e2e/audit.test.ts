/** A real hub: who did what is in the audit log of the CLI, over kill -9 too; and retries over a restart. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { AuditEntry } from '../../hub/audit/audit.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const ROOT = join(import.meta.dirname, '../..');

let hub: TestHub;
beforeEach(async () => {
  hub = await startTestHub();
});
afterEach(() => hub.dispose());

async function cli(...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, ['hub/main.ts', ...args, '--data', hub.dataDir], {
    cwd: ROOT,
  });
  return stdout;
}
const audit = async (...args: string[]): Promise<AuditEntry[]> => JSON.parse(await cli('audit', '--json', ...args));

it('shows who did what, when, from where and with what result', async () => {
  await cli('devices', 'add', 'meter-7');
  await cli('send', 'meter-7', 'identify');
  await cli('devices', 'disable', 'meter-7');
  await cli('devices', 'rm', 'nobody').catch(() => '');
  const from = '127.0.0.1';
  const actor = 'operator:admin';
  expect(await audit()).toMatchObject([
    { actor, from, action: 'DELETE /v1/devices/:id', target: 'nobody', result: 'not-found' },
    { actor, from, action: 'PATCH /v1/devices/:id', target: 'meter-7', result: 'ok', detail: 'enabled=false' },
    { actor, from, action: 'POST /v1/devices/:id/commands', target: 'meter-7', result: 'ok' },
    { actor, from, action: 'POST /v1/devices', target: 'meter-7', result: 'ok' },
    { actor: 'hub', action: 'operator.token', target: 'admin', result: 'ok' },
  ]);
  const table = await cli('audit', '--target', 'meter-7');
  expect(table.split('\n')[0]).toMatch(/^WHEN +WHO +WHAT +TARGET +RESULT +FROM +DETAIL$/);
  expect(table).toContain('enabled=false');
  expect(table).toMatch(/admin +changed the device +meter-7 +ok/);
  expect(await cli('audit', '--target', 'nobody')).toContain('tried to remove the device');
  expect(await cli('audit', '--json')).not.toContain('words');
});

it('has a device that knocks with a token that was revoked, or while it is disabled', async () => {
  const revoked = await hub.addDevice('revoked');
  const disabled = await hub.addDevice('disabled');
  await hub.call('DELETE', '/v1/devices/revoked/tokens');
  await hub.call('PATCH', '/v1/devices/disabled', { enabled: false });
  for (const token of [revoked, disabled]) await expect(connectRaw(hub, { token })).rejects.toThrow();
  const keyOf = (token: string) => `key ${token.split('_')[1]}`;
  await expect
    .poll(() => audit('--actor', 'unknown'))
    .toMatchObject([
      { action: 'device.connect', target: keyOf(disabled), result: 'device-disabled' },
      { action: 'device.connect', target: keyOf(revoked), result: 'token-invalid' },
    ]);
});

it('has the runs of schedules', async () => {
  await hub.addDevice('a');
  await hub.call('POST', '/v1/schedules', { id: 'often', cron: '* * * * * *', name: 'identify', device: 'a' });
  await expect
    .poll(async () => (await audit('--actor', 'schedule:often')).at(-1))
    .toMatchObject({
      action: 'schedule.run',
      target: 'often',
      result: 'ok',
      detail: expect.stringContaining('command'),
    });
});

it('has every change that was answered when the hub is killed at that moment', async () => {
  let answered = 0;
  let isOver = false;
  const change = async (worker: number) => {
    for (let n = 0; !isOver; n++) {
      const done = await hub.call('POST', '/v1/devices', { id: `d${worker}-${n}` }).then(
        () => true,
        () => false,
      );
      if (!done) return;
      answered += 1;
    }
  };
  const workers = [0, 1, 2, 3].map(change);
  await expect.poll(() => answered, { interval: 1 }).toBeGreaterThan(50);
  await hub.kill();
  isOver = true;
  await Promise.all(workers);
  await hub.start();
  const entries = await audit('--limit', '1000');
  const added = entries.filter(({ action, result }) => action === 'POST /v1/devices' && result === 'ok');
  expect(added.length).toBeGreaterThanOrEqual(answered);
});

it('a log that cannot be written makes the hub unready, and says so, until it heals', async () => {
  const database = new DatabaseSync(join(hub.dataDir, 'audit.db'));
  const readyz = async () => {
    const response = await fetch(`${hub.api}/readyz`);
    return { status: response.status, body: await response.json() };
  };
  database.exec('ALTER TABLE audit RENAME TO away');
  await hub.addDevice('a');
  const reasons = ['the audit log cannot be written; the log says why'];
  expect(await readyz()).toEqual({ status: 503, body: { ready: false, reasons } });
  expect(await hub.call('GET', '/v1/status')).toMatchObject({ reasons, audit: { failing: true, waiting: 1 } });
  expect(await cli('status')).toContain(`not ready: ${reasons[0]}`);
  database.exec('ALTER TABLE away RENAME TO audit');
  database.close();
  await expect.poll(async () => (await readyz()).status).toBe(200);
  expect(await audit('--target', 'a')).toMatchObject([{ action: 'POST /v1/devices', result: 'ok' }]);
});

it('a retry with the same key after kill -9 and a restart finds the command, and another request is refused', async () => {
  await hub.addDevice('a');
  const send = async (body: object) => {
    const response = await fetch(`${hub.api}/v1/devices/a/commands`, {
      method: 'POST',
      headers: {
        ...{ authorization: `Bearer ${hub.adminToken}`, 'content-type': 'application/json' },
        'idempotency-key': 'once',
      },
      body: JSON.stringify(body),
    });
    return (await response.json()) as { id?: string; code?: string };
  };
  const first = await send({ name: 'set-interval', params: { seconds: 5 } });
  await hub.kill();
  await hub.start();
  expect((await send({ name: 'set-interval', params: { seconds: 5 } })).id).toBe(first.id);
  await hub.kill();
  await hub.start();
  expect(await send({ name: 'set-interval', params: { seconds: 6 } })).toMatchObject({ code: 'key-reused' });
  expect(await hub.call('GET', '/v1/commands?device=a')).toMatchObject({ commands: [{ id: first.id }] });
});
