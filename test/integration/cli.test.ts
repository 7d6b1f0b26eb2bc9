/** The command line against a real operator API: what it prints, where, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../hub/kit/errors.ts';
import { REFUSED, startApi, type TestApi } from '../helpers/api.ts';
import { BARE_ENV } from '../helpers/cli.ts';

const PROGRAM = join(import.meta.dirname, '../../hub/main.ts');
let hub: TestApi;
let running: ChildProcess[] = [];

beforeEach(async () => {
  hub = await startApi();
});
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  running = [];
  await hub.close();
});

function start(args: string[], env: Record<string, string> = { HUB_DATA: hub.dataDir }) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...BARE_ENV, ...env } });
  running.push(child);
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const ended = once(child, 'close').then(([code]) => ({ code, ...output }));
  return { child, output, ended };
}

const run = (args: string[], env?: Record<string, string>) => start(args, env).ended;

function reading(device: string, ts: number, power: number) {
  return { device, stream: 'power', epoch: 'e', seq: 1, receivedAt: ts, readings: [{ ts, power }] };
}

describe('hub devices', () => {
  it('add --json prints exactly the id and the token', async () => {
    const { code, stdout, stderr } = await run(['devices', 'add', 'a', '--tag', 'room=12', '--tag', 'x=y=z', '--json']);
    expect([code, stderr]).toEqual([0, '']);
    expect(Object.keys(JSON.parse(stdout))).toEqual(['id', 'token']);
    expect(hub.devices.authenticate(JSON.parse(stdout).token, Date.now())).toMatchObject({
      id: 'a',
      tags: { room: '12', x: 'y=z' },
    });
  });

  it('add prints the token alone on standard output, and the hint beside it', async () => {
    const { code, stdout, stderr } = await run(['devices', 'add', 'a', '--description', 'Main meter']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^thd_\w+\n$/);
    expect(stderr).toContain('only now');
    expect(stderr).toContain('It never expires.');
    expect(hub.devices.get('a')?.description).toBe('Main meter');
    expect((await run(['devices', 'add', 'b', '--expires', '30d'])).stderr).toMatch(
      /It expires .+, in (30 d 0|29 d 23) h/,
    );
  });

  it('add says why it was refused, and whether it was a mistake of usage', async () => {
    await hub.devices.add('a');
    expect(await run(['devices', 'add', 'a'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'There is a device "a" already.\n',
    });
    expect(await run(['devices', 'add', 'a/b'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no device id'),
    });
  });

  it('ls shows every device, over many pages, as a table or as JSON', async () => {
    await Promise.all(
      Array.from({ length: 1_100 }, (_, index) => hub.devices.add(`d${String(index).padStart(4, '0')}`)),
    );
    await hub.devices.setEnabled('d0001', false);
    const { stdout } = await run(['devices', 'ls']);
    const lines = stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^DEVICE +STATE +SEEN +TOKEN EXPIRES +TAGS +DESCRIPTION$/);
    expect(lines[2]).toMatch(/^d0001 +offline, disabled +never +–$/);
    expect(lines).toHaveLength(1_101);
    expect(stdout).not.toContain('\u001b');
    expect(JSON.parse((await run(['devices', 'ls', '--json'])).stdout)).toHaveLength(1_100);
  });

  it('ls shows those that are asked for', async () => {
    for (const [id, room] of Object.entries({ a: '1', b: '2', c: '2' })) await hub.devices.add(id, { tags: { room } });
    hub.presence.opened({ id: 's', device: 'b', address: '::1', connectedAt: 1 });
    hub.presence.sweep(Date.now());
    const ids = async (...asked: string[]) =>
      JSON.parse((await run(['devices', 'ls', '--json', ...asked])).stdout).map(({ id }: { id: string }) => id);
    expect(await ids('--tag', 'room=2')).toEqual(['b', 'c']);
    expect(await ids('--presence', 'silent')).toEqual(['b']);
    expect(await ids('--presence', 'offline', '--tag', 'room=2')).toEqual(['c']);
    expect((await run(['devices', 'ls'])).stdout).toMatch(/^b +silent +never +– +room=2$/m);
    expect(await run(['devices', 'ls', '--presence', 'online'])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'There is no such device.\n',
    });
    expect((await run(['devices', 'ls', '--presence', 'away'])).code).toBe(2);
  });

  it('show and sessions tell since when a device is there or not, and why', async () => {
    await hub.devices.add('a', { expectedIntervalMs: 300_000 });
    expect(await run(['devices', 'sessions', 'a'])).toMatchObject({ stderr: 'a has never been connected.\n' });
    const connectedAt = Date.UTC(2026, 6, 1);
    hub.presence.opened({ id: 's', device: 'a', address: '10.0.0.9', connectedAt });
    hub.presence.heard('a', connectedAt, 5);
    hub.presence.ended({ id: 's', device: 'a' }, { at: connectedAt + 61_000, reason: 'lost', closeCode: 1006 });
    const { stdout } = await run(['devices', 'show', 'a']);
    expect(stdout).toMatch(/^state +offline\nsince +2026-07-01 00:01:01.000Z \(.+ ago\): lost \(1006\)$/m);
    expect(stdout).toMatch(/^expected +a reading each 5 min$/m);
    expect((await run(['devices', 'sessions', 'a'])).stdout).toMatch(
      /^CONNECTED +LASTED +ADDRESS +FRAMES +READINGS +END\n2026-07-01 00:00:00.000Z +1 min 1 s +10.0.0.9 +1 +5 +lost \(1006\)\n$/,
    );
    expect(JSON.parse((await run(['devices', 'sessions', 'a', '--json'])).stdout)).toHaveLength(1);
  });

  it('set changes what is said, and nothing else', async () => {
    await hub.devices.add('a', { tags: { room: '12' }, description: 'Meter' });
    expect((await run(['devices', 'set', 'a', '--expected-interval', '5m'])).stdout).toMatch(/5 min$/m);
    expect(hub.devices.get('a')).toMatchObject({ expectedIntervalMs: 300_000, tags: { room: '12' } });
    await run(['devices', 'set', 'a', '--expected-interval', 'learn', '--tag', 'floor=1']);
    expect(hub.devices.get('a')).toMatchObject({ tags: { floor: '1' }, description: 'Meter' });
    expect(hub.devices.get('a')).not.toHaveProperty('expectedIntervalMs');
    expect((await run(['devices', 'set', 'a'])).code).toBe(2);
    expect((await run(['devices', 'set', 'a', '--expected-interval', 'soon'])).code).toBe(2);
  });

  it('show tells the last readings', async () => {
    await hub.devices.add('a', { tags: { room: '12' } });
    hub.live.update([reading('a', Date.UTC(2026, 6, 1), 3.5)]);
    const { stdout } = await run(['devices', 'show', 'a']);
    expect(stdout).toMatch(/^tags +room=12$/m);
    expect(stdout).toMatch(/^power +2026-07-01 00:00:00.000Z {2}power=3.5$/m);
  });

  it('disable, enable, revoke and rm do what they say', async () => {
    await hub.devices.add('a');
    expect((await run(['devices', 'disable', 'a'])).code).toBe(0);
    expect(hub.devices.get('a')?.enabled).toBe(false);
    expect((await run(['devices', 'enable', 'a'])).code).toBe(0);
    expect(hub.devices.get('a')?.enabled).toBe(true);
    expect((await run(['devices', 'revoke', 'a'])).code).toBe(0);
    expect(hub.devices.get('a')?.tokens).toEqual([]);
    expect((await run(['devices', 'rm', 'a'])).code).toBe(0);
    expect(await run(['devices', 'rm', 'a'])).toMatchObject({ code: 1, stderr: 'There is no device "a".\n' });
  });
});

describe('hub query', () => {
  beforeEach(async () => {
    await hub.devices.add('a');
    hub.store.answer(() => [{ ts: Date.UTC(2026, 6, 1), power: 3.5, voltage: 230 }]);
  });

  it('asks what it was told and shows a table, JSON or CSV', async () => {
    const asked = ['query', 'a', 'power', '--from', '2026-07-01', '--to', '2026-07-02', '--every', '5m', '--fn', 'max'];
    const { code, stdout } = await run([...asked, '--fields', 'power,voltage', '--limit', '7']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^TIME +power +voltage\n2026-07-01 00:00:00.000Z +3.5 +230\n$/);
    expect(hub.store.asked).toEqual([
      {
        device: 'a',
        stream: 'power',
        fields: ['power', 'voltage'],
        from: Date.UTC(2026, 6, 1),
        to: Date.UTC(2026, 6, 2),
        limit: 7,
        descending: true,
        buckets: { everyMs: 300_000, fn: 'max' },
      },
    ]);
    expect(JSON.parse((await run([...asked, '--json'])).stdout).rows).toHaveLength(1);
    expect(await run([...asked, '--json', '--csv'])).toMatchObject({ code: 2, stdout: '' });
    expect((await run([...asked, '--fields', 'power', '--csv'])).stdout).toBe('ts,power\r\n1782864000000,3.5\r\n');
  });

  it('ends with 130 when Ctrl-C comes before the answer', async () => {
    hub.store.hold = true;
    const { child, ended } = start(['query', 'a', 'power']);
    await expect.poll(() => hub.store.asked.length).toBe(1);
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 130, stdout: '', stderr: '' });
  });

  it('is not disturbed by a reader that has enough', async () => {
    hub.store.answer(() => Array.from({ length: 10_000 }, (_, ts) => ({ ts, power: ts })));
    const { child, ended } = start(['query', 'a', 'power', '--limit', '10000']);
    child.stdout.once('data', () => child.stdout.destroy());
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(['--csv', '--ndjson', '--json'])(
    'hands a long answer on (%s) as it comes, at the pace of its reader',
    async (format) => {
      // A page of four megabytes, of which there are a thousand.
      hub.store.answer(() => {
        const { to, limit } = hub.store.asked.at(-1)!;
        return Array.from({ length: limit }, (_, n) => ({ ts: to - n - 1, state: 'x'.repeat(4_000) }));
      });
      const { child, ended } = start(['query', 'a', 'machine', '--from', '0', '--limit', '1000000', format]);
      let bytes = 0;
      child.stdout.on('data', ({ length }) => {
        bytes += length;
        if (bytes > 20_000_000) child.stdout.pause();
      });
      await expect.poll(() => child.stdout.isPaused()).toBe(true);
      const settled = async (before: number): Promise<number> => {
        await new Promise((done) => setTimeout(done, 200));
        return hub.store.asked.length === before ? before : settled(hub.store.asked.length);
      };
      expect(await settled(-1)).toBeLessThan(20);
      child.stdout.destroy();
      expect(await ended).toMatchObject({ code: 0, stderr: '' });
    },
  );

  it('says that the answer is not whole when the store fails in the middle', async () => {
    hub.store.answer(() => {
      const { to, limit } = hub.store.asked.at(-1)!;
      if (hub.store.asked.length > 5) throw new Unavailable('gone');
      return Array.from({ length: limit }, (_, n) => ({ ts: to - n - 1, power: n }));
    });
    const { code, stderr } = await run(['query', 'a', 'power', '--from', '0', '--limit', '1000000', '--csv']);
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/broke in the middle of the answer: .* is not whole\.\n$/),
    ]);
  });

  it('asks several devices, or those with a tag, at once', async () => {
    await hub.devices.add('b', { tags: { floor: '1' } });
    const line = '{"device":"b","ts":1782864000000,"power":3.5,"voltage":230}\n';
    expect(await run(['query', 'a,b', 'power', '--ndjson'])).toMatchObject({ stdout: line.replace('b', 'a') + line });
    expect(await run(['query', 'floor=1', 'power', '--ndjson'])).toMatchObject({ stdout: line });
    const { stdout } = await run(['query', 'floor=1', 'power', '--points', '10']);
    expect(stdout).toMatch(/^TIME +device +resolution +power +voltage\n2026-07-01 \S+ +b +raw +3.5 +230\n$/);
    expect(hub.store.asked.at(-1)).toMatchObject({ device: 'b', buckets: { fn: 'envelope' } });
  });

  it('tells each mistake that the hub found by the option that was typed', async () => {
    const { code, stderr } = await run(['query', 'a', 'power', '--from', 'yesterday', '--fields', 'colour']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^--fields: "colour" is no field of power.*\n--from must be .*\n$/);
    expect((await run(['query', 'a,b=3', 'power'])).stderr).toBe('<device> must be name=value\n');
  });

  it('tells whoever said no limit that there is one', async () => {
    const rows = Array.from({ length: 100 }, (_, n) => ({ ts: 100 - n, power: n / 3 }));
    hub.store.answer(() => rows.slice(0, hub.store.asked.at(-1)!.limit));
    const hint =
      /^There may be more: without --limit there are at most 100 rows of each device\. Ask with --limit .+\n$/;
    for (const format of [[], ['--json'], ['--csv'], ['--ndjson']])
      expect((await run(['query', 'a', 'power', ...format])).stderr).toMatch(hint);
    expect(JSON.parse((await run(['query', 'a', 'power', '--json'])).stdout)).toMatchObject({ limited: true });
    expect((await run(['query', 'a', 'power', '--limit', '100', '--csv'])).stderr).toBe('');
  });

  it('shows as many digits as a person reads, and a dash where nothing was measured', async () => {
    hub.store.answer(() => [{ ts: 0, power: 64.00983759733037 }]);
    const asked = [
      'query',
      'a',
      'power',
      '--from',
      '0',
      '--to',
      '2',
      '--every',
      '1ms',
      '--fields',
      'power',
      '--order',
      'asc',
    ];
    expect((await run([...asked, '--fill', 'null'])).stdout).toMatch(/ 64\.0098376\n.* –\n$/);
    expect((await run([...asked, '--csv'])).stdout).toContain('64.00983759733037');
  });

  it('shows no control characters that came from a device', async () => {
    hub.store.answer(() => [{ ts: 0, state: '\u001b[2Jgone' }]);
    expect((await run(['query', 'a', 'machine'])).stdout).not.toContain('\u001b');
  });
});

describe('hub tail', () => {
  it('shows readings as they come, and ends with 0 at Ctrl-C', async () => {
    await hub.devices.add('a');
    hub.live.update([reading('a', 1, 9)]);
    const { child, output, ended } = start(['tail', 'a', '--stream', 'power']);
    await expect.poll(() => hub.live.subscribers).toBe(1);
    hub.live.update([reading('b', 0, 1), reading('a', Date.UTC(2026, 6, 1), 3.5)]);
    await expect.poll(() => output.stdout).toBe('a power 2026-07-01 00:00:00.000Z  power=3.5\n');
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });

  it('connects again when the hub was restarted, wherever it is now', async () => {
    const { child, output, ended } = start(['tail', '--json']);
    await expect.poll(() => hub.live.subscribers).toBe(1);
    await hub.api.close();
    const next = await startApi();
    await writeFile(join(hub.dataDir, 'hub.json'), JSON.stringify({ pid: 1, api: next.api.url, gateway: '' }));
    await writeFile(join(hub.dataDir, 'admin.token'), next.tokens.viewer);
    await expect.poll(() => next.live.subscribers).toBe(1);
    next.live.update([reading('a', 1, 2)]);
    await expect.poll(() => output.stdout).toBe('{"device":"a","stream":"power","ts":1,"power":2}\n');
    expect(output.stderr).toContain('Connecting again.');
    child.kill('SIGINT');
    expect((await ended).code).toBe(0);
    await next.close();
  });

  it('ends quietly when nobody reads its output any more', async () => {
    const { child, ended } = start(['tail']);
    await expect.poll(() => hub.live.subscribers).toBe(1);
    child.stdout!.destroy();
    hub.live.update([reading('a', 1, 2)]);
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('hub status and hub quarantine ls', () => {
  it('show what the hub says of itself', async () => {
    const { code, stdout } = await run(['status']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^state +ready$/m);
    expect(stdout).toMatch(/^readings +42 accepted, 1 rejected$/m);
    expect(stdout).toMatch(/^journal +2 KiB of 1 GiB$/m);
    expect(stdout).toMatch(/^store +up to date +42 +1 +none$/m);
    expect(JSON.parse((await run(['status', '--json'])).stdout)).toEqual(hub.deps.status());
  });

  it('--watch goes on until Ctrl-C', async () => {
    const { child, output, ended } = start(['status', '--watch', '--json']);
    await expect.poll(() => output.stdout.split('\n').length).toBeGreaterThan(2);
    child.kill('SIGINT');
    expect((await ended).code).toBe(0);
  });

  it('show what was refused', async () => {
    expect(await run(['quarantine', 'ls'])).toMatchObject({ code: 0, stdout: '', stderr: 'Nothing was refused.\n' });
    hub.state.quarantine.push(REFUSED);
    const { stdout } = await run(['quarantine', 'ls']);
    expect(stdout).toMatch(/^ID +RECEIVED +DEVICE +STREAM +PATH +RULE +MESSAGE +READING$/m);
    expect(stdout).toMatch(
      /^1 +2026-07-01 00:00:00.000Z +a +power +\/power +type +must be number +\{"ts":1,"power":"much"\}$/m,
    );
    expect(JSON.parse((await run(['quarantine', 'ls', '--json'])).stdout)).toHaveLength(1);
    expect((await run(['quarantine', 'show', '1'])).stdout).toMatch(/^reason +\/power must be number \(type\)$/m);
    expect(await run(['quarantine', 'show', '2'])).toMatchObject({ code: 1 });
  });

  it('say when a reading that was named is not there', async () => {
    const none = 'No such reading is in the quarantine.\n';
    expect(await run(['quarantine', 'replay', '99'])).toMatchObject({ code: 1, stdout: '', stderr: none });
    expect(await run(['quarantine', 'drop', '99', '--yes'])).toMatchObject({ code: 1, stderr: none });
    expect(await run(['quarantine', 'replay', '--device', 'nobody'])).toMatchObject({ code: 0, stderr: none });
    expect(await run(['quarantine', 'show', 'abc'])).toMatchObject({ code: 2 });
    hub.state.quarantine.push(REFUSED);
    expect(await run(['quarantine', 'replay', '1', '99', '99'])).toMatchObject({
      code: 1,
      stdout: '1 replayed, 0 stay.\n',
      stderr: '1 of the 2 readings are not in the quarantine.\n',
    });
  });

  it('ask what is meant, and before anything is forgotten', async () => {
    hub.state.quarantine.splice(0, 9, REFUSED, REFUSED);
    expect(await run(['quarantine', 'drop', '--yes'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Say which readings'),
    });
    expect(await run(['quarantine', 'drop', '--all'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--yes'),
    });
    expect(await run(['quarantine', 'drop', 'x', '--yes'])).toMatchObject({ code: 2 });
    expect(hub.state.quarantine).toHaveLength(2);
    expect(await run(['quarantine', 'drop', '--all', '--yes'])).toMatchObject({ code: 0, stdout: '2 dropped.\n' });
    hub.state.quarantine.push(REFUSED);
    expect(await run(['quarantine', 'replay', '1'])).toMatchObject({ code: 0, stdout: '1 replayed, 0 stay.\n' });
  });

  it('show which devices send most', async () => {
    expect(await run(['top'])).toMatchObject({ code: 0, stdout: 'No device sent anything in the last seconds.\n' });
    const perSecond = { frames: 5_000, readings: 5_000, bytes: 512_000, flows: 2.5 };
    hub.state.talkers.push({ device: 'a', perSecond });
    const { stdout } = await run(['top', '--by', 'flows']);
    expect(stdout).toMatch(/^DEVICE +BYTES +READINGS\/S +FRAMES\/S +FLOWS\/S$/m);
    expect(stdout).toMatch(/^a +500 KiB\/s +5000 +5000 +2.5$/m);
    expect(JSON.parse((await run(['top', '--json'])).stdout)).toEqual({ talkers: hub.state.talkers });
    expect(await run(['top', '--by', 'noise'])).toMatchObject({ code: 2 });
  });

  it('show which frames are missing', async () => {
    expect(await run(['gaps'])).toMatchObject({ code: 0, stdout: '', stderr: 'No frame is missing.\n' });
    hub.state.gaps.push({ id: 1, device: 'a', epoch: 'boot-1', from: 17, to: 20, at: Date.UTC(2026, 6, 1) });
    expect(await run(['gaps', 'nobody'])).toMatchObject({ code: 1, stderr: expect.stringContaining('nobody') });
    await hub.devices.add('a');
    const { stdout } = await run(['gaps', 'a', '--since', '-1d']);
    expect(stdout).toMatch(/^NOTICED +DEVICE +EPOCH +FROM +TO +FRAMES$/m);
    expect(stdout).toMatch(/^2026-07-01 00:00:00.000Z +a +boot-1 +17 +20 +4$/m);
  });
});

describe('finding the hub', () => {
  it('works by --data, or by HUB_URL and HUB_TOKEN', async () => {
    await hub.devices.add('a');
    expect((await run(['devices', 'ls', '--data', hub.dataDir], {})).code).toBe(0);
    const env = { HUB_URL: hub.api.url, HUB_TOKEN: hub.tokens.viewer };
    expect((await run(['devices', 'ls'], env)).code).toBe(0);
    expect(await run(['devices', 'rm', 'a'], env)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('role operator'),
    });
  });

  it('says in one sentence that none is running, and ends with 3', async () => {
    await rm(join(hub.dataDir, 'hub.json'));
    const { code, stdout, stderr } = await run(['status']);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/^No hub is running with the data folder .+\n$/);
  });

  it.each([['status'], ['tail']])('%s ends with 3 when the hub does not answer', async (verb) => {
    await hub.api.close();
    expect(await run([verb])).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^The hub at \S+ does not answer.+\n$/),
    });
  });

  it('ends with 1 when the token is refused', async () => {
    const env = { HUB_URL: hub.api.url, HUB_TOKEN: 'tho_wrong' };
    expect(await run(['status'], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('opens nothing') });
  });
});

describe('usage', () => {
  it.each([[['devices', 'add']], [['query', 'a']], [['status', '--colour']], [['devices', 'add', 'a', '--tag', 'x']]])(
    '%j is wrong and ends with 2',
    async (args) => {
      expect(await run(args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('error:') });
    },
  );

  it.each([
    ['devices', 'add'],
    ['devices', 'ls'],
    ['devices', 'show'],
    ['devices', 'rm'],
    ['devices', 'enable'],
    ['devices', 'disable'],
    ['devices', 'revoke'],
    ['query'],
    ['tail'],
    ['status'],
    ['quarantine', 'ls'],
    ['quarantine', 'replay'],
    ['quarantine', 'drop'],
    ['gaps'],
    ['send'],
    ['commands', 'ls'],
    ['commands', 'show'],
    ['commands', 'cancel'],
    ['groups', 'send'],
    ['groups', 'show'],
  ])('%s %s --help shows examples and exit codes', async (...words) => {
    const args = words.filter((word) => typeof word === 'string');
    const { code, stdout } = await run([...args, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:\n  hub ');
    expect(stdout).toContain('Exit codes:');
  });

  it('hub help VERB is VERB --help, of every depth', async () => {
    for (const words of [['devices', 'add'], ['send'], ['config', 'check'], ['devices']])
      expect(await run(['help', ...words])).toEqual(await run([...words, '--help']));
    expect(await run(['help', 'devices', 'dance'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("unknown command 'dance'"),
    });
  });

  it('help is not disturbed by a reader that has enough', async () => {
    const { child, ended } = start(['help', 'send']);
    child.stdout.destroy();
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('hub dashboard', () => {
  it('prints a link alone on standard output, which signs a browser in once, and the hint beside it', async () => {
    const { code, stdout, stderr } = await run(['dashboard']);
    expect([code, stderr]).toEqual([0, expect.stringContaining('It works once, within')]);
    const url = new URL(stdout.trim());
    expect(url.origin).toBe(hub.api.url);
    const [path, link] = url.hash.split('?link=');
    expect(path).toBe('#/sign-in');
    const signIn = () => hub.call('POST', '/v1/session', { token: '', body: { link } });
    expect((await signIn()).body).toMatchObject({ operator: 'admin', role: 'admin' });
    expect((await signIn()).status).toBe(401);
  });

  it('--json says until when', async () => {
    const { stdout } = await run(['dashboard', '--json']);
    expect(JSON.parse(stdout)).toEqual({
      url: expect.stringContaining('#/sign-in?link='),
      expiresAt: expect.any(Number),
    });
  });
});
