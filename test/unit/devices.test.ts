/** The registry of devices and the list of operators, over tables that live in memory. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane } from '../../hub/backplane/backplane.ts';
import { whyLeave } from '../../hub/devices/device-tokens.ts';
import { createDevices, type Device, type DeviceRow, type Devices } from '../../hub/devices/devices.ts';
import { createToken } from '../../hub/devices/token.ts';
import { createOperators, includesRole, type OperatorRow, ROLES } from '../../hub/operators/operators.ts';

const NOW = 1_760_000_000_000;
let backplane: Backplane;
let devices: Devices;

const open = () =>
  createDevices(backplane.table<DeviceRow>('devices'), { seen: backplane.table('devices.seen'), now: () => NOW });

beforeEach(() => {
  backplane = openBackplane(':memory:');
  devices = open();
});

afterEach(async () => {
  vi.useRealTimers();
  await devices.close();
  await backplane.close();
});

describe('adding a device', () => {
  it('returns the device and a token that opens it', async () => {
    const { device, token } = await devices.add('meter-7', { tags: { room: '12' }, description: 'Main meter' });
    expect(device).toMatchObject({ id: 'meter-7', enabled: true, tags: { room: '12' }, createdAt: NOW });
    expect(devices.authenticate(token, NOW)).toEqual(device);
  });

  it('shows no hash of the token anywhere', async () => {
    const { device } = await devices.add('meter-7');
    expect(JSON.stringify([device, devices.get('meter-7'), devices.list({ limit: 9 })])).not.toContain('sha256');
    expect(device.tokens).toEqual([{ keyId: expect.any(String), createdAt: NOW }]);
  });

  it('refuses an id that exists, and keeps the token of the first', async () => {
    const { token } = await devices.add('meter-7');
    await expect(devices.add('meter-7')).rejects.toMatchObject({ code: 'exists' });
    expect(devices.authenticate(token, NOW)).toMatchObject({ id: 'meter-7' });
  });

  it('lets only one of two at the same moment win', async () => {
    const outcomes = await Promise.allSettled([devices.add('a'), devices.add('a')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });

  it.each(['', '.a', '-a', 'a/b', 'a+b', 'a#', '$a', 'a b', 'a\n', 'a\u0000', 'ä', 'a'.repeat(65), '__proto__'])(
    'refuses the id %j',
    async (id) => {
      await expect(devices.add(id)).rejects.toMatchObject({ code: 'invalid' });
    },
  );

  it.each(['a', '7', 'urn:dev:mac:0024befffe804ff1', 'Building.A_3-x', 'a'.repeat(64)])(
    'takes the id %j',
    async (id) => {
      expect((await devices.add(id)).device.id).toBe(id);
    },
  );

  it.each([
    [{ tags: { 'no good': 'x' } }],
    [{ tags: { a: 'line\nbreak' } }],
    [{ tags: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`t${index}`, 'x'])) }],
    [{ description: 'x'.repeat(501) }],
    [{ description: '\u001b[31m' }],
  ])('refuses %j', async (details) => {
    await expect(devices.add('a', details)).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('a token', () => {
  it('is refused when it is garbage, unknown or of an operator', async () => {
    const { token } = await createOperators(backplane.table('operators')).add('ada', 'admin');
    const { token: gone } = await devices.add('a');
    await devices.remove('a');
    for (const text of ['', 'x', token, gone]) {
      expect(devices.authenticate(text, NOW)).toMatchObject({ code: 'token-invalid' });
    }
  });

  it('opens nothing while its device is disabled, and opens it again', async () => {
    const { token } = await devices.add('a');
    await devices.setEnabled('a', false);
    expect(devices.authenticate(token, NOW)).toMatchObject({ code: 'device-disabled' });
    await devices.setEnabled('a', true);
    expect(devices.authenticate(token, NOW)).toMatchObject({ id: 'a' });
  });

  it('opens nothing once it is revoked', async () => {
    const { token } = await devices.add('a');
    expect((await devices.revokeTokens('a')).tokens).toEqual([]);
    expect(devices.authenticate(token, NOW)).toMatchObject({ code: 'token-invalid' });
  });

  it('still opens its device when the registry is opened anew', async () => {
    const { token } = await devices.add('a');
    const again = open();
    expect(again.authenticate(token, NOW)).toMatchObject({ id: 'a' });
    await again.close();
  });
});

describe('changing devices', () => {
  it('tells listeners what each is now, and that it is gone', async () => {
    const heard: [string, Device | undefined][] = [];
    devices.onChange((id, device) => heard.push([id, device]));
    await devices.add('a');
    await devices.setEnabled('a', false);
    await devices.revokeTokens('a');
    await devices.remove('a');
    expect(heard.map(([id]) => id)).toEqual(['a', 'a', 'a', 'a']);
    expect(heard.map(([, device]) => device && [device.enabled, device.tokens.length])).toEqual([
      [true, 1],
      [false, 1],
      [false, 0],
      undefined,
    ]);
  });

  it('tells those who must close a socket what happened', async () => {
    const why: unknown[] = [];
    let keyId = '';
    await devices.add('a');
    devices.onChange((_, device, isRevoked) => why.push(whyLeave(device, keyId, isRevoked)?.detail));
    const inUse = () => {
      keyId = devices.get('a')!.tokens[0]!.keyId;
    };
    inUse();
    await devices.rotate('a', { overlapMs: 0 });
    inUse();
    await devices.rotate('a');
    await devices.revokeToken('a', keyId);
    inUse();
    await devices.setEnabled('a', false);
    await devices.remove('a');
    expect(why).toEqual([
      'its token gave way to the next one',
      undefined,
      'an operator revoked its token',
      'an operator disabled the device',
      'an operator removed the device',
    ]);
  });

  it('loses neither of two changes at the same moment', async () => {
    await devices.add('a');
    await Promise.all([
      devices.setEnabled('a', false),
      devices.update('a', { description: 'x' }),
      devices.revokeTokens('a'),
    ]);
    expect(devices.get('a')).toMatchObject({ enabled: false, description: 'x', tokens: [] });
  });

  it('refuses a device that does not exist', async () => {
    for (const change of [
      () => devices.setEnabled('a', true),
      () => devices.remove('a'),
      () => devices.revokeTokens('a'),
    ]) {
      await expect(change()).rejects.toMatchObject({ code: 'not-found' });
    }
  });
});

describe('the list of devices', () => {
  it('is sorted and comes in pages', async () => {
    await Promise.all(['c', 'a', 'e', 'b', 'd'].map((id) => devices.add(id)));
    const first = devices.list({ limit: 2 });
    expect([first.devices.map(({ id }) => id), first.next]).toEqual([['a', 'b'], 'b']);
    const second = devices.list({ limit: 2, after: 'b' });
    expect([second.devices.map(({ id }) => id), second.next]).toEqual([['c', 'd'], 'd']);
    expect(devices.list({ limit: 2, after: 'd' })).toMatchObject({ devices: [{ id: 'e' }] });
    expect(devices.list({ limit: 2, after: 'd' }).next).toBeUndefined();
  });

  it('goes on after a device that was removed meanwhile', async () => {
    await Promise.all(['a', 'b', 'c'].map((id) => devices.add(id)));
    const { next } = devices.list({ limit: 2 });
    await devices.remove('b');
    expect(devices.list({ limit: 2, after: next! }).devices.map(({ id }) => id)).toEqual(['c']);
  });

  it('shows what was changed since it was last asked for', async () => {
    await devices.add('a');
    expect(devices.list({ limit: 9 }).devices).toMatchObject([{ enabled: true }]);
    await devices.setEnabled('a', false);
    await devices.add('b');
    expect(devices.list({ limit: 9 }).devices).toMatchObject([{ enabled: false }, { id: 'b' }]);
  });
});

describe('the last sign of life', () => {
  it('shows at once and is written at close', async () => {
    await devices.add('a');
    expect(devices.get('a')?.lastSeenAt).toBeUndefined();
    devices.touch('a', NOW + 5);
    expect(devices.get('a')?.lastSeenAt).toBe(NOW + 5);
    expect(backplane.table<number>('devices.seen').get('a')).toBeUndefined();
    await devices.close();
    expect(open().get('a')?.lastSeenAt).toBe(NOW + 5);
  });

  it('is written once a minute, one write for many', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const seen = backplane.table<number>('devices.seen');
    const written: number[] = [];
    seen.onChange((_key, row) => written.push(row!.value));
    const timed = createDevices(backplane.table('devices'), { seen });
    for (let at = 1; at <= 100; at += 1) timed.touch('a', at);
    vi.advanceTimersByTime(60_000);
    await seen.set('other', 0);
    expect(written).toEqual([100, 0]);
    await timed.close();
  });

  it('does not count as a change of the device', async () => {
    await devices.add('a');
    let changes = 0;
    devices.onChange(() => changes++);
    devices.touch('a', NOW);
    await devices.close();
    expect(changes).toBe(0);
  });
});

describe('operators', () => {
  it('have a role and a token', async () => {
    const operators = createOperators(backplane.table('operators'), { now: () => NOW });
    const { token } = await operators.add('ada', 'operator');
    expect(operators.authenticate(token, NOW)).toEqual({ name: 'ada', role: 'operator', createdAt: NOW });
    expect(JSON.stringify(operators.list())).not.toContain('sha256');
  });

  it('get a new token instead of the old one', async () => {
    const operators = createOperators(backplane.table('operators'));
    const { token } = await operators.add('ada', 'viewer');
    const { token: next } = await operators.replaceToken('ada');
    expect(operators.authenticate(token, NOW)).toMatchObject({ code: 'unauthorized' });
    expect(operators.authenticate(next, NOW)).toMatchObject({ name: 'ada' });
  });

  it('may what the roles below theirs may', () => {
    const table = ROLES.map((role) => ROLES.map((needed) => includesRole(role, needed)));
    expect(table).toEqual([
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ]);
  });
});

describe('asking for some devices', () => {
  beforeEach(async () => {
    for (const [id, room] of Object.entries({ a1: '1', a2: '2', a3: '2', b1: '2' })) {
      await devices.add(id, { tags: { room, floor: '0' } });
    }
  });
  const ids = (page: Parameters<Devices['list']>[0]) => devices.list(page).devices.map(({ id }) => id);

  it.each([
    ['tags, all of which must fit', { tags: { room: '2', floor: '0' } }, ['a2', 'a3', 'b1']],
    ['tags nobody has', { tags: { room: '9' } }, []],
    ['the beginning of the id', { prefix: 'a' }, ['a1', 'a2', 'a3']],
    ['anything else', { where: (id: string) => id.endsWith('1') }, ['a1', 'b1']],
  ])('goes by %s', (_, filter, expected) => {
    expect(ids({ limit: 9, ...filter })).toEqual(expected);
  });

  it('has pages that are full, and no next one when nothing is left', () => {
    const filter = { tags: { room: '2' }, limit: 2 };
    expect(devices.list(filter)).toMatchObject({ devices: [{ id: 'a2' }, { id: 'a3' }], next: 'a3' });
    expect(devices.list({ ...filter, after: 'a3' })).toEqual({ devices: [expect.objectContaining({ id: 'b1' })] });
    expect(devices.list({ ...filter, limit: 3 })).not.toHaveProperty('next');
  });
});

describe('the expected interval', () => {
  it('is kept, changed, and taken away by null', async () => {
    await devices.add('a', { expectedIntervalMs: 5_000 });
    expect((await devices.update('a', { description: 'x' })).expectedIntervalMs).toBe(5_000);
    expect((await devices.update('a', { expectedIntervalMs: 60_000 })).expectedIntervalMs).toBe(60_000);
    expect(await devices.update('a', { expectedIntervalMs: null })).not.toHaveProperty('expectedIntervalMs');
  });

  it('is refused when it makes no sense', async () => {
    for (const expectedIntervalMs of [0, -1, Number.NaN, 1e12]) {
      await expect(devices.add('a', { expectedIntervalMs })).rejects.toMatchObject({ code: 'invalid' });
    }
  });
});

describe('rotating the token of a device', () => {
  const ids = (id: string) => devices.get(id)!.tokens.map(({ keyId }) => keyId);

  it('keeps the one in use until the next is used', async () => {
    const { token: old } = await devices.add('a');
    const { token, keyId } = await devices.rotate('a');
    expect(devices.authenticate(old, NOW)).toMatchObject({ id: 'a' });
    await devices.used('a', ids('a')[0]!);
    expect(ids('a')).toHaveLength(2);
    await devices.used('a', keyId);
    expect(ids('a')).toEqual([keyId]);
    expect(devices.authenticate(old, NOW)).toMatchObject({ code: 'token-invalid' });
    expect(devices.authenticate(token, NOW)).toMatchObject({ id: 'a' });
  });

  it('keeps it for the overlap at most, and never longer than it had', async () => {
    const { token } = await devices.add('a', { expiresAt: NOW + 500 });
    await devices.rotate('a', { overlapMs: 1_000 });
    expect(devices.authenticate(token, NOW + 499)).toMatchObject({ id: 'a' });
    expect(devices.authenticate(token, NOW + 500)).toMatchObject({ code: 'token-invalid' });
    await devices.add('b');
    await devices.rotate('b', { overlapMs: 0 });
    expect(ids('b')).toHaveLength(1);
  });

  it('makes one that holds as long as the one before, also when that was dropped or revoked', async () => {
    await devices.add('a', { expiresAt: NOW + 1_000 });
    expect(await devices.rotate('a')).toMatchObject({ expiresAt: NOW + 1_000 });
    await devices.revokeTokens('a');
    expect(await devices.rotate('a')).toMatchObject({ expiresAt: NOW + 1_000 });
    expect(await devices.rotate('a', { expiresAt: NOW + 50 })).toMatchObject({ expiresAt: NOW + 50 });
    expect(await devices.rotate('a')).toMatchObject({ expiresAt: NOW + 50 });
    expect(await devices.rotate('a', { expiresAt: null })).not.toHaveProperty('expiresAt');
    expect(await devices.rotate('a')).not.toHaveProperty('expiresAt');
    expect(devices.get('a')).not.toHaveProperty('tokenLifeMs');
  });

  it('replaces a next one that was never used', async () => {
    await devices.add('a');
    const [first] = ids('a');
    const { token: unused } = await devices.rotate('a');
    const { keyId } = await devices.rotate('a');
    expect(ids('a')).toEqual([first, keyId]);
    expect(devices.authenticate(unused, NOW)).toMatchObject({ code: 'token-invalid' });
  });

  it('tells which tokens have expired, and forgets them', async () => {
    await devices.add('a', { expiresAt: NOW + 10 });
    await devices.add('b', { expiresAt: NOW + 30 });
    const [keyId] = ids('a');
    expect(devices.expired(NOW + 9)).toEqual([]);
    expect(devices.expired(NOW + 10)).toEqual([{ device: 'a', keyId }]);
    expect(devices.expired(NOW + 11)).toHaveLength(1);
    expect(await devices.forgetExpired(NOW + 11)).toBe(1);
    expect([ids('a'), devices.expired(NOW + 29)]).toEqual([[], []]);
    expect(devices.expired(NOW + 30)).toHaveLength(1);
  });
});

describe('operators that expire', () => {
  it('are refused in plain words, and do not count as the last admin', async () => {
    let at = NOW;
    const operators = createOperators(backplane.table('expiring'), { now: () => at });
    const { token } = await operators.add('ada', 'admin', NOW + 10);
    await operators.add('root', 'admin');
    expect(operators.authenticate(token, NOW + 9)).toMatchObject({ name: 'ada', expiresAt: NOW + 10 });
    at = NOW + 10;
    expect(operators.authenticate(token, at)).toEqual({
      code: 'unauthorized',
      detail: 'This token expired at 2025-10-09T08:53:20.010Z; an admin can make another one.',
    });
    await expect(operators.remove('root')).rejects.toMatchObject({ code: 'last-admin' });
    await operators.remove('ada');
    expect(operators.list().map(({ name }) => name)).toEqual(['root']);
  });

  it('get a token that holds as long as the one before, from now, unless somebody says otherwise', async () => {
    let at = NOW;
    const operators = createOperators(backplane.table('expiring'), { now: () => at });
    await operators.add('ada', 'viewer', NOW + 1_000);
    at = NOW + 5_000;
    const expiries = [];
    for (const expiresAt of [undefined, at + 10, null, undefined])
      expiries.push((await operators.replaceToken('ada', expiresAt)).operator.expiresAt);
    expect(expiries).toEqual([at + 1_000, at + 10, undefined, undefined]);
  });
});

describe('a token that opens nothing', () => {
  it('is told apart from a mistyped one and from one for another door, at both doors', async () => {
    const operators = createOperators(backplane.table('operators'), { now: () => NOW });
    const { token: ofOperator } = await operators.add('ada', 'viewer');
    const { token: ofDevice } = await devices.add('a');
    const said = (token: string) => [operators.authenticate(token, NOW), devices.authenticate(token, NOW)];
    const details = (token: string) => said(token).map((answer) => ('detail' in answer ? answer.detail : 'opens'));
    expect(details(ofDevice)).toEqual([expect.stringContaining('a token of a device (thd_…)'), 'opens']);
    expect(details(ofOperator)).toEqual(['opens', expect.stringContaining('a token of an operator (tho_…)')]);
    expect(details(ofDevice.slice(0, -1))).toEqual(Array(2).fill(expect.stringContaining('cut off or mistyped')));
    expect(details(createToken('device', NOW).token)[1]).toContain('not known here');
  });

  it('says expired only to who has the secret: a key id alone tells nothing', async () => {
    const table = backplane.table<OperatorRow>('operators');
    const operators = createOperators(table, { now: () => NOW });
    const { token } = await operators.add('ada', 'viewer', NOW + 1);
    const { token: ofDevice } = await devices.add('a', { expiresAt: NOW + 1 });
    expect(operators.authenticate(token, NOW + 1)).toMatchObject({
      detail: expect.stringMatching(/^This token expired/),
    });
    expect(devices.authenticate(ofDevice, NOW + 1)).toMatchObject({
      detail: expect.stringMatching(/^This token expired/),
    });
    // Another secret of the same key id: to the hub it is as if this token were the guess.
    const { value } = table.get('ada')!;
    await table.set('ada', { ...value, tokens: [{ ...value.tokens[0]!, sha256: '0'.repeat(64) }] });
    expect(operators.authenticate(token, NOW + 1)).toMatchObject({ detail: expect.stringContaining('not known here') });
  });
});
