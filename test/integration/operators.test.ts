/** Operators and the next tokens of devices, by the API and by the command line; and the role that each verb names. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerCli } from '../../hub/cli.ts';
import { startApi, type TestApi } from '../helpers/api.ts';
import { BARE_ENV } from '../helpers/cli.ts';

const PROGRAM = join(import.meta.dirname, '../../hub/main.ts');
let hub: TestApi;

beforeEach(async () => {
  hub = await startApi();
});
afterEach(() => hub.close());

async function run(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...BARE_ENV, HUB_DATA: hub.dataDir },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, ...output };
}

describe('operators', () => {
  it('are added with a token of their role that expires, and listed without it', async () => {
    const body = { name: 'ci', role: 'operator', expiresInMs: 60_000 };
    const added = await hub.call('POST', '/v1/operators', { body });
    expect(added).toMatchObject({ status: 201, body: { name: 'ci', role: 'operator' } });
    expect((await hub.call('GET', '/v1/operators', { token: added.body.token })).status).toBe(403);
    expect((await hub.call('GET', '/v1/devices', { token: added.body.token })).status).toBe(200);
    const { body: listed, text } = await hub.call('GET', '/v1/operators');
    expect(listed.operators).toContainEqual({ ...added.body, token: undefined });
    expect(text).not.toMatch(/tho_|sha256/);
    expect((await hub.call('POST', '/v1/operators', { body })).body.code).toBe('exists');
  });

  it('get another token, and the one before dies at once', async () => {
    const { status, body } = await hub.call('POST', '/v1/operators/vera/tokens', { body: {} });
    expect([status, body.name]).toEqual([201, 'vera']);
    expect((await hub.call('GET', '/v1/devices', { token: hub.tokens.viewer })).status).toBe(401);
    expect((await hub.call('GET', '/v1/devices', { token: body.token })).status).toBe(200);
    expect((await hub.call('POST', '/v1/operators/nobody/tokens', { body: {} })).status).toBe(404);
  });

  it('get one that holds as long as the one before, and is told until when; null makes it hold for ever', async () => {
    await hub.call('POST', '/v1/operators', { body: { name: 'ci', role: 'viewer', expiresInMs: 60_000 } });
    const began = Date.now();
    const inherited = await hub.call('POST', '/v1/operators/ci/tokens');
    expect(inherited.body.expiresAt).toBeGreaterThanOrEqual(began + 60_000);
    expect(inherited.body.expiresAt).toBeLessThanOrEqual(Date.now() + 60_000);
    const forEver = await hub.call('POST', '/v1/operators/ci/tokens', { body: { expiresInMs: null } });
    expect(forEver.body).toEqual({ name: 'ci', token: expect.any(String) });
  });

  it('are told why a token is refused: expired, of a device, or mistyped', async () => {
    const { token: expired } = await hub.operators.add('late', 'viewer', Date.now() - 1);
    const { token: ofDevice } = await hub.devices.add('a');
    const said = async (token: string) => (await hub.call('GET', '/v1/devices', { token })).body;
    expect(await said(expired)).toMatchObject({
      code: 'unauthorized',
      detail: expect.stringMatching(/^This token expired/),
    });
    expect(await said(ofDevice)).toMatchObject({ detail: expect.stringContaining('a token of a device') });
    expect(await said('tho_wrong')).toMatchObject({ detail: expect.stringContaining('cut off or mistyped') });
  });

  it('are removed, but not the last admin, also when the last two are removed at once', async () => {
    expect((await hub.call('DELETE', '/v1/operators/vera')).status).toBe(204);
    expect((await hub.call('GET', '/v1/devices', { token: hub.tokens.viewer })).status).toBe(401);
    const answers = await Promise.all(['admin', 'ada'].map((name) => hub.call('DELETE', `/v1/operators/${name}`)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    expect(answers.find(({ status }) => status === 409)!.body.code).toBe('last-admin');
  });

  it.each([
    { name: 'a b', role: 'viewer' },
    { name: 'a', role: 'king' },
    { name: 'a', role: 'viewer', expiresInMs: 1 },
  ])('like %j are refused', async (body) => {
    expect((await hub.call('POST', '/v1/operators', { body })).status).toBe(400);
  });
});

describe('the next token of a device', () => {
  it('is told once, shown by its key id, and can be taken away', async () => {
    const added = await hub.call('POST', '/v1/devices', { body: { id: 'meter-7', expiresInMs: 60_000 } });
    expect(added.body.expiresAt).toBe(added.body.tokens[0].expiresAt);
    const { status, body } = await hub.call('POST', '/v1/devices/meter-7/tokens', { body: { expiresInMs: 60_000 } });
    expect([status, body]).toEqual([
      201,
      {
        ...{ id: 'meter-7', token: expect.any(String), keyId: expect.any(String), pushed: false },
        expiresAt: expect.any(Number),
      },
    ]);
    expect(hub.devices.get('meter-7')!.tokens).toMatchObject([
      { expiresAt: expect.any(Number) },
      { keyId: body.keyId, expiresAt: expect.any(Number) },
    ]);
    const path = `/v1/devices/meter-7/tokens/${body.keyId}`;
    expect((await hub.call('DELETE', path)).status).toBe(204);
    expect((await hub.call('DELETE', path)).status).toBe(404);
    expect((await hub.call('POST', '/v1/devices/nobody/tokens', { body: {} })).status).toBe(404);
  });
});

describe('a body whose members are all optional', () => {
  it.each([
    ['no body', {}],
    ['an empty body of JSON', { headers: { 'content-type': 'application/json' } }],
    ['an empty object', { body: {} }],
  ])('may be %s', async (_, options) => {
    await hub.devices.add('meter-7');
    expect((await hub.call('POST', '/v1/devices/meter-7/tokens', options)).status).toBe(201);
    expect((await hub.call('POST', '/v1/operators/vera/tokens', options)).status).toBe(201);
  });

  it('is not required by the OpenAPI document, and others are', async () => {
    const { body } = await hub.call('GET', '/openapi.json');
    const required = (path: string, method = 'post') => body.paths[path][method].requestBody.required;
    expect(['/v1/devices/{id}/tokens', '/v1/operators/{name}/tokens'].map((path) => required(path))).toEqual([
      false,
      false,
    ]);
    expect([required('/v1/devices'), required('/v1/devices/{id}', 'patch')]).toEqual([true, true]);
  });

  it.each([
    ['POST', '/v1/devices'],
    ['PATCH', '/v1/devices/meter-7'],
  ])('is not that of %s %s', async (method, path) => {
    await hub.devices.add('meter-7');
    expect((await hub.call(method, path)).body).toMatchObject({ code: 'invalid', errors: [{ in: 'body' }] });
  });
});

describe('the command line', () => {
  it('adds an operator and prints exactly its id and token', async () => {
    const { code, stdout } = await run('operators', 'add', 'ci', '--role', 'viewer', '--expires', '30d', '--json');
    expect([code, JSON.parse(stdout)]).toEqual([0, { id: 'ci', token: expect.stringMatching(/^tho_/) }]);
    expect((await run('operators', 'ls')).stdout).toMatch(/^ci +viewer +\S+ \S+ +2\d{3}-/m);
    const rotated = await run('operators', 'rotate', 'ci', '--expires', '90d');
    expect(rotated.stdout).toMatch(/^tho_\S+\n$/);
    expect(rotated.stderr).toMatch(/It expires \d{4}-.+, in (90 d 0 h|89 d 23 h)\.$/m);
    expect((await run('operators', 'rotate', 'ci')).stderr).toMatch(/It expires /);
    expect((await run('operators', 'rotate', 'ci', '--expires', 'never')).stderr).toMatch(/It never expires\.$/m);
    expect(await run('operators', 'rm', 'ci')).toMatchObject({ code: 0, stdout: '' });
    expect((await run('operators', 'add', 'ci')).code).toBe(2);
  });

  it('gives a device its next token', async () => {
    await run('devices', 'add', 'a', '--expires', '90d');
    const { stdout } = await run('devices', 'rotate', 'a', '--overlap', '1d', '--json');
    expect(JSON.parse(stdout)).toEqual({ id: 'a', token: expect.stringMatching(/^thd_/) });
    expect((await run('devices', 'ls')).stdout).toMatch(/^a +offline +never +in (89|90) d .*\(2 tokens\)/m);
    expect((await run('devices', 'show', 'a')).stdout).toMatch(
      /^tokens +\w{12} \(expires in (1 d|2\d h) .*\), \w{12} \(expires in (89|90) d .*\)$/m,
    );
  });

  it('names in the help of each verb the role that it needs', () => {
    const program = new Command('hub');
    registerCli(program);
    const roles = new Map(leavesOf(program).map(([path, verb]) => [path, roleIn(verb)]));
    const changing =
      /^(send|devices (add|set|rm|enable|disable|revoke|rotate)|(commands|groups) (cancel|send)|schedule (add|rm|pause|resume|run)|quarantine (replay|drop)|store replay|alerts (test|rules (add|rm|enable|disable))|audit)$/;
    for (const [path, role] of roles) {
      // These work without a hub, so they need no token.
      if (path === 'completion' || path === 'help' || path.startsWith('journal ')) {
        expect([path, role]).toEqual([path, undefined]);
        continue;
      }
      const needed = path.startsWith('operators ') ? 'admin' : changing.test(path) ? 'operator' : 'viewer';
      expect([path, role]).toEqual([path, needed]);
    }
    expect(roles.size).toBeGreaterThan(25);
  });
});

function leavesOf(command: Command, path = ''): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((each) => leavesOf(each, `${path} ${each.name()}`.trim()));
}

function roleIn(verb: Command): string | undefined {
  let help = '';
  const writeOut = (text: string) => {
    help += text;
  };
  verb.configureOutput({ writeOut }).outputHelp();
  return /Needs a token of the role (\w+)/.exec(help)?.[1];
}
