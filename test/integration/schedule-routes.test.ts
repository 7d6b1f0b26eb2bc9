/** The routes of schedules, groups and jobs over HTTP, and their verbs on the command line. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../helpers/api.ts';
import { BARE_ENV } from '../helpers/cli.ts';

const PROGRAM = join(import.meta.dirname, '../../hub/main.ts');
const DAILY = { id: 'daily', cron: '0 3 * * *', timeZone: 'Europe/Berlin', device: 'a', name: 'identify' };
let hub: TestApi;

beforeEach(async () => {
  const job = { name: 'sweep', at: '* * * * *', running: false, runs: 3, failures: 1, nextRunAt: 60_000 };
  hub = await startApi({ jobs: () => [{ ...job, last: { at: 1, durationMs: 4.2, ok: false, error: 'disk' } }] });
  await hub.devices.add('a', { tags: { floor: '1' } });
  await hub.devices.add('b', { tags: { floor: '1' } });
});
afterEach(() => hub.close());

async function run(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...BARE_ENV, HUB_DATA: hub.dataDir } });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  const [code] = await once(child, 'close');
  return { code, ...output };
}

describe('/v1/schedules', () => {
  it('adds, shows, changes, runs and removes', async () => {
    const added = await hub.call('POST', '/v1/schedules', { token: hub.tokens.operator, body: DAILY });
    expect(added).toMatchObject({
      status: 201,
      body: { ...DAILY, missed: 'skip', missedLimit: 10, enabled: true, createdBy: 'operator:otto' },
    });
    expect(added.body.nextRuns).toHaveLength(5);
    expect((await hub.call('GET', '/v1/schedules')).body).toEqual({ schedules: [added.body] });
    const body = { enabled: false, missed: 'once' };
    expect((await hub.call('PATCH', '/v1/schedules/daily', { body })).body).toMatchObject({ ...body, nextRuns: [] });
    const ran = await hub.call('POST', '/v1/schedules/daily/run', { token: hub.tokens.operator });
    expect(ran).toMatchObject({ status: 202, body: { manual: true, state: 'sent', schedule: 'daily' } });
    const command = (await hub.call('GET', `/v1/commands/${ran.body.command}`)).body;
    expect(command).toMatchObject({ device: 'a', schedule: 'daily', actor: 'operator:otto', state: 'queued' });
    expect((await hub.call('GET', '/v1/schedules/daily/runs')).body).toEqual({ runs: [ran.body] });
    expect((await hub.call('DELETE', '/v1/schedules/daily')).status).toBe(204);
    expect((await hub.call('GET', '/v1/schedules/daily')).status).toBe(404);
  });

  it('says what is wrong', async () => {
    const post = async (change: object) =>
      (await hub.call('POST', '/v1/schedules', { body: { ...DAILY, ...change } })).body;
    expect(await post({ cron: '61 * * * *' })).toMatchObject({
      status: 400,
      detail: expect.stringContaining('minute'),
    });
    expect(await post({ missed: 'maybe' })).toMatchObject({ errors: [{ path: '/missed' }] });
    expect(await post({ ttlMs: 5 })).toMatchObject({ errors: [{ path: '/ttlMs' }] });
    expect(await post({ name: 'fly' })).toMatchObject({ code: 'unknown-command' });
    expect(await post({ params: { seconds: 0 } })).toMatchObject({ code: 'invalid' });
    expect(await post({ device: 'nobody' })).toMatchObject({ code: 'not-found' });
    expect(await post({ selector: { tags: {} } })).toMatchObject({ code: 'invalid' });
  });

  it('lets viewers look and nothing more', async () => {
    await hub.call('POST', '/v1/schedules', { body: DAILY });
    const token = hub.tokens.viewer;
    for (const path of ['/v1/schedules', '/v1/schedules/daily', '/v1/schedules/daily/runs', '/v1/groups', '/v1/jobs'])
      expect([path, (await hub.call('GET', path, { token })).status]).toEqual([path, 200]);
    const changes = [
      ['POST', '/v1/schedules', DAILY],
      ['PATCH', '/v1/schedules/daily', { enabled: false }],
      ['DELETE', '/v1/schedules/daily'],
      ['POST', '/v1/schedules/daily/run'],
      ['POST', '/v1/commands', { selector: { tags: {} }, name: 'identify' }],
    ] as const;
    for (const [method, path, body] of changes)
      expect([path, (await hub.call(method, path, { token, body })).status]).toEqual([path, 403]);
  });
});

describe('/v1/commands and /v1/groups', () => {
  it('sends to a group, shows how far it is, and cancels it', async () => {
    const body = { selector: { tags: { floor: '1' } }, name: 'identify', parallel: 1 };
    const sent = await hub.call('POST', '/v1/commands', { body, token: hub.tokens.operator });
    expect(sent).toMatchObject({ status: 202, body: { total: 2, finished: false } });
    const path = `/v1/groups/${sent.body.id}`;
    await expect.poll(async () => (await hub.call('GET', path)).body.counts.queued).toBe(1);
    expect((await hub.call('GET', path)).body).toMatchObject({ ...body, actor: 'operator:otto', pending: 1 });
    expect((await hub.call('POST', `${path}/cancel`)).body).toMatchObject({ stopped: 'cancelled' });
    await expect.poll(async () => (await hub.call('GET', path)).body.finished).toBe(true);
    expect((await hub.call('GET', '/v1/groups')).body.groups).toHaveLength(1);
    expect((await hub.call('GET', '/v1/groups/nobody')).status).toBe(404);
  });

  it('says what is wrong', async () => {
    const post = async (body: object) => (await hub.call('POST', '/v1/commands', { body })).body;
    expect(await post({ selector: {}, name: 'identify' })).toMatchObject({ errors: [{ path: '/selector' }] });
    expect(await post({ selector: { tags: { floor: '9' } }, name: 'identify' })).toMatchObject({ code: 'not-found' });
    expect(await post({ selector: { tags: {} }, name: 'identify', parallel: 0 })).toMatchObject({ code: 'invalid' });
  });
});

describe('on the command line', () => {
  it('hub schedule add, ls, show, pause, resume, run and rm', async () => {
    const when = ['0 3 * * *', 'set-interval', 'seconds=60'];
    const added = await run(
      'schedule',
      'add',
      'save',
      ...when,
      '--tag',
      'floor=1',
      '--zone',
      'Europe/Berlin',
      '--missed',
      'once',
    );
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout.match(/03:00:00 Europe\/Berlin/g)).toHaveLength(5);
    expect(hub.deps.schedules.get('save')).toMatchObject({
      ...{ selector: { tags: { floor: '1' } }, params: { seconds: 60 }, missed: 'once', timeZone: 'Europe/Berlin' },
    });
    expect((await run('schedule', 'ls')).stdout).toMatch(
      /save +0 3 \* \* \* Europe\/Berlin +set-interval +floor=1 +never/,
    );
    expect((await run('schedule', 'run', 'save')).stdout).toMatch(/^[\w-]+\n$/);
    expect((await run('schedule', 'show', 'save')).stdout).toMatch(/^run .* ran by hand {2}\S+: 0 of 2 succeeded$/m);
    expect((await run('schedule', 'pause', 'save')).stderr).toContain('paused');
    expect((await run('schedule', 'ls')).stdout).toContain('paused');
    expect((await run('schedule', 'resume', 'save')).stderr).toContain('running again');
    expect((await run('schedule', 'rm', 'save')).code).toBe(0);
    expect(await run('schedule', 'show', 'save')).toMatchObject({ code: 1, stderr: 'There is no schedule "save".\n' });
  });

  it('hub schedule add for one device, and refusals with their exit codes', async () => {
    const { stdout } = await run('schedule', 'add', 's', '@daily', 'identify', '--device', 'a', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ device: 'a', cron: '@daily', timeZone: 'UTC' });
    expect(await run('schedule', 'add', 's', '@daily', 'identify')).toMatchObject({ code: 2 });
    expect(await run('schedule', 'add', 't', '* *', 'identify', '--all')).toMatchObject({ code: 2 });
    expect(await run('schedule', 'add', 't', '@daily', 'identify', 'x', '--all')).toMatchObject({ code: 2 });
  });

  it('hub groups send, ls, show and cancel', async () => {
    const { stdout } = await run('groups', 'send', 'identify', 'seconds=3', '--tag', 'floor=1', '--json');
    const { id, total } = JSON.parse(stdout);
    expect(total).toBe(2);
    expect((await run('groups', 'ls')).stdout).toContain(`${id}`);
    expect((await run('groups', 'show', id)).stdout).toMatch(/queued +2\n\nDEVICE +STATE +WHY\n/);
    expect((await run('groups', 'cancel', id)).stderr).toContain('is cancelled: 2 of 2 devices get nothing');
    expect((await run('groups', 'cancel', id)).stderr).toContain('was cancelled already: 2 of 2');
    expect(await run('groups', 'show', id, '--wait', '1m')).toMatchObject({ code: 4 });
    const late = await run('groups', 'send', 'identify', '--tag', 'floor=1', '--wait', '100ms');
    expect(late).toMatchObject({ code: 8, stderr: expect.stringContaining('It is not finished yet') });
  });

  it('hub jobs', async () => {
    const { stdout } = await run('jobs');
    expect(stdout).toMatch(/^JOB +AT \(UTC\) +LAST RUN +RESULT +TOOK +FAILED +NEXT RUN/);
    expect(stdout).toMatch(/sweep +\* \* \* \* \* .*disk +4 ms +1 of 3/);
  });
});
