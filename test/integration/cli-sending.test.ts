/** The command line where it sends commands: what it asks before, what it says while they wait, and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../helpers/api.ts';
import { BARE_ENV } from '../helpers/cli.ts';

const PROGRAM = join(import.meta.dirname, '../../hub/main.ts');
let hub: TestApi;

beforeEach(async () => {
  hub = await startApi();
  for (const id of ['a', 'b']) await hub.devices.add(id, { tags: { floor: '1' } });
});
afterEach(() => hub.close());

async function ended(program: string, args: string[], input = '', more: Record<string, string> = {}) {
  const env = { ...BARE_ENV, HUB_DATA: hub.dataDir, TERM: 'dumb', ...more };
  const child = spawn(program, args, { env });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code, ...output };
}

const run = (...args: string[]) => ended(process.execPath, [PROGRAM, ...args]);
/** On a terminal of its own, whose user types the input. */
const typed = (line: string, input: string) =>
  ended('script', ['-qec', `"${process.execPath}" "${PROGRAM}" ${line}`, '/dev/null'], input);
const sent = (device: string) => hub.commands.list({ device, limit: 10 }).commands;

describe('who is meant', () => {
  it.each([
    [['groups', 'send', 'identify', '--all', '--tag', 'floor=1']],
    [['schedule', 'add', 's', '0 3 * * *', 'identify', '--all', '--device', 'a']],
  ])('hub %j is two wishes in one, and sends nothing', async ([...args]) => {
    const { code, stderr } = await run(...args);
    expect([code, stderr]).toEqual([2, '--all means every device; leave it out, or leave out --tag and --device.\n']);
    expect(sent('a')).toEqual([]);
  });

  it('keeps the token of this machine from a hub that is elsewhere', async () => {
    const authorization: unknown[] = [];
    const stranger = createServer((request, response) => {
      authorization.push(request.headers.authorization);
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    const { port } = stranger.address() as AddressInfo;
    const args = [PROGRAM, 'commands', 'cancel', 'x'];
    const { code, stderr } = await ended(process.execPath, args, '', { HUB_URL: `http://127.0.0.1:${port}` });
    stranger.close();
    expect([code, authorization]).toEqual([2, []]);
    expect(stderr).toContain('set HUB_TOKEN');
  });
});

describe('mistakes that the hub finds', () => {
  it.each([
    [
      ['set-interval', 'seconds=100000', '--ttl', '500ms', '--timeout', '40d'],
      ['--timeout must be at most 1d', '--ttl must be at least 1s'],
    ],
    [['set-interval', 'seconds=100000'], ['seconds must be at most 86400']],
    [['set-interval'], ['seconds is missing']],
    [
      ['identify', 'colour=1', 'seconds=0'],
      ['colour is not a known field', 'seconds must be at least 1'],
    ],
    [['set-config', 'settings.mode=[1]'], [expect.stringMatching(/^settings\.mode must be/)]],
  ])('hub send a %j ends with 2 and %j', async (args, lines) => {
    const { code, stdout, stderr } = await run('send', 'a', ...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.trim().split('\n').sort()).toEqual(expect.arrayContaining(lines));
    expect(stderr).not.toContain('/');
    expect(sent('a')).toEqual([]);
  });

  it.each([
    [['groups', 'send', 'identify', 'seconds=0', '--all'], 'seconds must be at least 1\n'],
    [['groups', 'send', 'identify', '--all', '--parallel', '0'], '--parallel must be at least 1\n'],
    [
      ['schedule', 'add', 's', '0 3 * * *', 'identify', '--all', '--missed-limit', '0'],
      '--missed-limit must be at least 1\n',
    ],
    [
      ['schedule', 'add', 's', '0 3 * * *', 'identify', '--all', '--zone', 'Mars'],
      '--zone: "Mars" is no time zone: write it like Europe/Berlin or UTC.\n',
    ],
    [['devices', 'add', 'c', '--expires', '1ms'], '--expires must be at least 1s\n'],
    [['devices', 'set', 'a', '--tag', `floor=${'9'.repeat(999)}`], expect.stringMatching(/^--tag floor must /)],
    [['commands', 'ls', '--limit', '0'], '--limit must be at least 1\n'],
    [['operators', 'add', 'a b', '--role', 'viewer'], expect.stringMatching(/^<name> must match pattern/)],
  ])('hub %j ends with 2 and names what was typed', async (args, stderr) => {
    expect(await run(...args)).toEqual({ code: 2, stdout: '', stderr });
  });

  it('what is refused for another reason ends with 1', async () => {
    expect(await run('send', 'nobody', 'identify')).toMatchObject({
      code: 1,
      stderr: 'There is no device "nobody".\n',
    });
    expect(await run('send', 'a', 'dance')).toMatchObject({ code: 1, stderr: expect.stringContaining('"dance"') });
  });
});

describe('a command that hurts', () => {
  it.each([
    ['send', 'a'],
    ['groups', 'send'],
  ])('hub %s %s asks, and is refused where nobody can answer', async (...words) => {
    const all = words[0] === 'groups' ? ['--all'] : [];
    const { code, stdout, stderr } = await run(...words, 'reboot', ...all);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^reboot asks: "The device stops measuring.+" .+ --yes\.\n$/);
    expect(sent('a')).toEqual([]);
    expect((await run(...words, 'reboot', ...all, '--yes')).code).toBe(0);
    await expect.poll(() => sent('a')).toHaveLength(1);
  });

  it('hub schedule run asks too, hub schedule add does not', async () => {
    expect((await run('schedule', 'add', 's', '@daily', 'reboot', '--device', 'a')).code).toBe(0);
    expect(await run('schedule', 'run', 's')).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    expect(sent('a')).toEqual([]);
    const { code, stderr } = await run('schedule', 'run', 's', '-y');
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^It is queued\. a has never been connected; .+\n.*commands show /),
    ]);
    expect((await run('schedule', 'show', 's')).stdout).toMatch(/ran by hand {2}\S+ is queued$/m);
  });

  it.each([
    ['y', 0, 1],
    ['Yes', 0, 1],
    ['n', 1, 0],
    ['', 1, 0],
  ])('asked on a terminal, "%s" ends with %i', async (answer, code, count) => {
    const { code: exit, stdout } = await typed('send a reboot', `${answer}\n`);
    expect(stdout).toContain('reboot (a): The device stops measuring until it is back. Reboot it? (y/N)');
    expect([exit, sent('a').length]).toEqual([code, count]);
    if (count === 0) expect(stdout).toContain('Nothing was sent.');
  });

  it('Ctrl-C at the question sends nothing, and ends with 130', async () => {
    const child = spawn(
      'script',
      ['-qec', `"${process.execPath}" "${PROGRAM}" groups send reboot --all`, '/dev/null'],
      {
        env: { ...BARE_ENV, HUB_DATA: hub.dataDir, TERM: 'dumb' },
      },
    );
    let shown = '';
    child.stdout.on('data', (chunk) => (shown += chunk));
    await expect.poll(() => shown).toContain('reboot (every device)');
    child.stdin.write('\u0003');
    const [code] = await once(child, 'close');
    expect([code, sent('a')]).toEqual([130, []]);
  });
});

describe('a command that waits', () => {
  it.each([
    ['has never been connected', async () => {}],
    ['is disabled (hub devices enable a)', () => hub.devices.setEnabled('a', false)],
    ['has no token (hub devices rotate a makes one)', () => hub.devices.revokeTokens('a')],
    [
      'is offline since 2026-07-01 00:00:01.000Z (lost)',
      async () => {
        const at = Date.UTC(2026, 6, 1);
        hub.presence.opened({ id: 's', device: 'a', address: '::1', connectedAt: at });
        hub.presence.ended({ id: 's', device: 'a' }, { at: at + 1_000, reason: 'lost' });
      },
    ],
  ])('says that the device %s', async (why, prepare) => {
    await prepare();
    const { code, stdout, stderr } = await run('send', 'a', 'identify', '--wait', '50ms');
    expect([code, stdout]).toEqual([8, expect.stringMatching(/^state +queued$/m)]);
    expect(stderr).toContain(`a ${why}; the command waits until 20`);
    expect((await run('send', 'a', 'identify')).stderr).toContain(`a ${why}`);
  });

  it('of a group names the devices that are not done, and why', async () => {
    await hub.devices.revokeTokens('b');
    const { code, stdout } = await run(
      'groups',
      'send',
      'identify',
      '--all',
      '--stop-when-failed',
      '20%',
      '--wait',
      '50ms',
    );
    expect(code).toBe(8);
    expect(stdout).toMatch(/^a +queued +has never been connected$/m);
    expect(stdout).toMatch(/^b +queued +has no token/m);
    const [, id = ''] = /^group +(\S+)$/m.exec(stdout) ?? [];
    expect(hub.deps.groups.get(id)).toMatchObject({ stopWhenFailedPercent: 20 });
    await hub.commands.cancel(sent('a')[0]!.id, 'operator:otto');
    expect((await run('groups', 'show', id)).stdout).toMatch(/^a +cancelled +cancelled: by operator:otto\nb +queued/m);
  });
});

describe('hub schedule add', () => {
  it('tells whoever forgot the quotes', async () => {
    const { code, stderr } = await run('schedule', 'add', 's', '0', '3', '*', '*', '*', 'reboot', '--all');
    expect([code, stderr]).toEqual([2, expect.stringContaining('put all of its fields into quotes')]);
  });

  it.each(['120', 'many%', '-1'])('refuses to stop when %s have failed', async (share) => {
    const { code, stderr } = await run('groups', 'send', 'identify', '--all', `--stop-when-failed=${share}`);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--stop-when-failed')]);
  });
});
