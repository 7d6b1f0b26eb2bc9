/** Presence with a real hub and real sockets: each change has its time and reason, and survives what the hub survives. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventsIn } from '../../hub/cli/client.http.ts';
import type { Presence, SessionRecord } from '../../hub/devices/presence.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

let hub: TestHub;

beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub.dispose());

const presence = async (id: string) => (await hub.call<{ presence: Presence }>('GET', `/v1/devices/${id}`)).presence;
const sessions = async (id: string) =>
  (await hub.call<{ sessions: SessionRecord[] }>('GET', `/v1/devices/${id}/sessions`)).sessions;
const becomes = (id: string, expected: Partial<Presence>) => expect.poll(() => presence(id)).toMatchObject(expected);

const reading = (seq: number) => ({ type: 'telemetry', seq, stream: 'power', readings: [{ power: seq }] });

describe('a device', () => {
  it('that was only added has never connected', async () => {
    await hub.addDevice('new');
    expect(await presence('new')).toMatchObject({ state: 'offline', reason: 'never connected' });
    expect(await sessions('new')).toEqual([]);
  });

  it('is online while it is connected, and its session says what it brought and how it ended', async () => {
    const device = await connectRaw(hub, { token: await hub.addDevice('meter') });
    await becomes('meter', { state: 'online', reason: 'connected' });
    device.say(reading(1));
    expect(await device.next()).toEqual({ type: 'ack', seq: 1 });
    expect(await sessions('meter')).toMatchObject([{ address: expect.stringContaining('127.0.0.1'), readings: 1 }]);
    device.ws.close(1000);
    await becomes('meter', { state: 'offline', reason: 'closed', closeCode: 1000 });
    const [session] = await sessions('meter');
    expect(session).toMatchObject({ frames: 1, readings: 1, reason: 'closed', closeCode: 1000 });
    expect(session!.endedAt).toBeGreaterThanOrEqual(session!.connectedAt);
    expect((await presence('meter')).since).toBe(session!.endedAt);
  });

  it('is seen by its connection and its answers, not only by its readings', async () => {
    const seen = async () => (await hub.call<{ lastSeenAt?: number }>('GET', '/v1/devices/mute')).lastSeenAt ?? 0;
    const device = await connectRaw(hub, { token: await hub.addDevice('mute') });
    await expect.poll(seen).toBeGreaterThan(0);
    const before = await seen();
    device.say({ type: 'hello', epoch: 'e1' });
    await device.next();
    await hub.call('POST', '/v1/devices/mute/commands', { name: 'identify' });
    const { id } = await device.next();
    device.say({ type: 'result', id, ok: true });
    await expect.poll(seen).toBeGreaterThan(before);
  });

  it('whose connection breaks without a goodbye is lost', async () => {
    const device = await connectRaw(hub, { token: await hub.addDevice('broken') });
    device.ws.terminate();
    await becomes('broken', { state: 'offline', reason: 'lost', closeCode: 1006 });
  });

  it('that connects twice stays online, and the older session ended as replaced', async () => {
    const token = await hub.addDevice('twice');
    const older = await connectRaw(hub, { token });
    await connectRaw(hub, { token });
    expect(await older.closed).toBe(4500);
    await becomes('twice', { state: 'online', reason: 'replaced' });
    expect(await sessions('twice')).toMatchObject([{}, { reason: 'replaced', closeCode: 4500 }]);
  });

  it('whose tokens are revoked is offline for that reason', async () => {
    const device = await connectRaw(hub, { token: await hub.addDevice('revoked') });
    await hub.call('DELETE', '/v1/devices/revoked/tokens');
    expect(await device.closed).toBe(4502);
    await becomes('revoked', { state: 'offline', reason: 'token-invalid', closeCode: 4502 });
    expect(await sessions('revoked')).toMatchObject([{ reason: 'token-invalid' }]);
  });

  it('that was removed leaves nothing, and one of the same name begins anew', async () => {
    const device = await connectRaw(hub, { token: await hub.addDevice('again') });
    await hub.call('DELETE', '/v1/devices/again');
    expect(await device.closed).toBe(4503);
    await hub.addDevice('again');
    expect(await presence('again')).toMatchObject({ state: 'offline', reason: 'never connected' });
    expect(await sessions('again')).toEqual([]);
  });
});

it('a device that is connected and sends nothing is silent, is found as such, and is back with its next reading', async () => {
  const { token } = await hub.call<{ token: string }>('POST', '/v1/devices', { id: 'quiet', expectedIntervalMs: 500 });
  const abort = new AbortController();
  const headers = { authorization: `Bearer ${hub.adminToken}` };
  const live = await fetch(`${hub.api}/v1/live?device=quiet&snapshot=false`, { headers, signal: abort.signal });
  const events = eventsIn(live.body!);
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { event, data } of events) heard.push(event === 'presence' ? JSON.parse(data).state : event);
  })().catch(() => {});
  const device = await connectRaw(hub, { token });
  await becomes('quiet', { state: 'silent', reason: 'no reading' });
  const asked = await hub.call<{ devices: { id: string }[] }>('GET', '/v1/devices?presence=silent');
  expect(asked.devices.map(({ id }) => id)).toEqual(['quiet']);
  const status = await hub.call<{ devices: Record<string, number> }>('GET', '/v1/status');
  expect(status.devices).toMatchObject({ silent: 1 });
  const metrics = await fetch(`${hub.api}/metrics`, { headers });
  expect(await metrics.text()).toContain('hub_devices{state="silent"} 1\n');
  await hub.call('PATCH', '/v1/devices/mute', { expectedIntervalMs: 60_000 });
  device.say(reading(1));
  await becomes('quiet', { state: 'online', reason: 'reading came' });
  device.close();
  await becomes('quiet', { state: 'offline', reason: 'closed' });
  await expect
    .poll(() => heard.filter((word) => word !== 'reading'))
    .toEqual(['online', 'silent', 'online', 'offline']);
  abort.abort();
  await listening;
});

/** What would survive if the hub died now. */
function stored(id: string): Presence | undefined {
  const database = new DatabaseSync(join(hub.dataDir, 'hub.db'), { readOnly: true });
  try {
    const row = database.prepare(`SELECT value FROM row WHERE tbl = 'presence' AND key = ?`).get(id);
    return row && JSON.parse(String(row.value));
  } finally {
    database.close();
  }
}

describe('when the hub', () => {
  it('is killed, whoever was connected is offline until it is back', async () => {
    const token = await hub.addDevice('survivor');
    await connectRaw(hub, { token });
    await expect.poll(() => stored('survivor')).toMatchObject({ state: 'online' });
    const [before] = await sessions('survivor');
    await hub.kill();
    await hub.start();
    expect(await presence('survivor')).toMatchObject({ state: 'offline', reason: 'hub restarted' });
    expect(await sessions('survivor')).toEqual([
      {
        id: before!.id,
        address: before!.address,
        connectedAt: before!.connectedAt,
        endedAt: expect.any(Number),
        reason: 'hub restarted',
      },
    ]);
    await connectRaw(hub, { token });
    await becomes('survivor', { state: 'online', reason: 'connected' });
    expect(await sessions('survivor')).toHaveLength(2);
  });

  it('stops, it says so to the devices and remembers it', async () => {
    const token = await hub.addDevice('sleeper');
    const device = await connectRaw(hub, { token });
    expect(await hub.stop()).toBe(0);
    expect(await device.closed).toBe(1001);
    await hub.start();
    expect(await presence('sleeper')).toMatchObject({ state: 'offline', reason: 'draining', closeCode: 1001 });
    expect(await presence('revoked')).toMatchObject({ reason: 'token-invalid' });
  });
});
