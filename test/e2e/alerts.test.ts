/** Alerts of a running hub: devices go wrong and right, the receiver fails and comes back, the hub is killed in between. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Alert, Notice } from '../../hub/alerts/alert.ts';
import { runHub } from '../helpers/cli.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const RULES = [
  { id: 'hot', kind: 'field', stream: 'environment', field: 'temperature', above: 30, clear: 28 },
  { id: 'refusals', kind: 'quarantine', readings: 0, windowMs: 60_000 },
];

let hub: TestHub;
let receiver: Server;
let got: Notice[];
/** The receiver answers so. */
let status: number;

beforeEach(async () => {
  got = [];
  status = 200;
  receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      if (status === 200) got.push(JSON.parse(body));
      response.writeHead(status).end();
    });
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook?key=geheim`;
  hub = await startTestHub({
    HUB_ALERTS__RULES: JSON.stringify(RULES),
    HUB_ALERTS__WEBHOOKS: JSON.stringify([{ name: 'on-call', url }]),
  });
});
afterEach(async () => {
  await hub.dispose();
  receiver.closeAllConnections();
  receiver.close();
});

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 50));
}
const alerts = async (query = '') => (await hub.call<{ alerts: Alert[] }>('GET', `/v1/alerts${query}`)).alerts;
const newsOf = (rule: string) => got.filter((each) => each.rule === rule).map(({ state }) => state);
const cli = (...args: string[]) => runHub(args, { HUB_DATA: hub.dataDir });

async function say(device: Awaited<ReturnType<typeof connectRaw>>, seq: number, temperature: unknown) {
  device.say({ type: 'telemetry', seq, stream: 'environment', readings: [{ temperature }] });
  await device.next();
}

describe('alerts', () => {
  it('tell a receiver that fails and comes back, once and in order, over a kill of the hub', async () => {
    status = 503;
    let device = await connectRaw(hub, { token: await hub.addDevice('oven') });
    const { token } = await hub.call<{ token: string }>('POST', '/v1/devices/oven/tokens');
    await say(device, 1, 35);
    await until(async () => (await alerts('?state=firing')).length === 1);
    await until(() => hub.log().includes('a channel takes no notices'));
    await hub.kill();
    await hub.start();
    expect((await alerts())[0]).toMatchObject({ rule: 'hot', device: 'oven', state: 'firing', value: 35 });
    device = await connectRaw(hub, { token });
    await say(device, 2, 29);
    await say(device, 3, 20);
    await until(async () => (await alerts('?state=resolved')).length === 1);
    expect(got).toEqual([]);
    status = 200;
    await until(() => got.length === 2);
    expect(newsOf('hot')).toEqual(['firing', 'resolved']);
    expect(got[0]).toMatchObject({
      device: 'oven',
      value: 35,
      summary: 'oven: environment.temperature is 35, above 30',
    });
    const metrics = await (
      await fetch(`${hub.api}/metrics`, { headers: { authorization: `Bearer ${hub.adminToken}` } })
    ).text();
    expect(metrics).toMatch(/^hub_alerts\{state="resolved"\} 1$/m);
    expect(metrics).toMatch(/^hub_alert_notices_total\{channel="on-call",outcome="delivered"\} \d$/m);
    await until(async () => (await cli('alerts', 'channels')).stdout.includes('ok'));
    expect(hub.log()).not.toContain('geheim');
    device.close();
  });

  it('come of refused readings and of devices that go away, and rules are changed while the hub runs', async () => {
    const added = await cli('alerts', 'rules', 'add', 'gone', 'offline', '--severity', 'critical', '--tag', 'floor=1');
    expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining('floor=1') });
    const device = await connectRaw(hub, { token: await hub.addDevice('oven') });
    await hub.call('PATCH', '/v1/devices/oven', { tags: { floor: '1' } });
    await say(device, 1, 'warm');
    await until(() => newsOf('refusals').length === 1);
    device.close();
    await until(() => newsOf('gone').length === 1);
    const shown = await cli('alerts', 'ls', '--state', 'firing');
    expect(shown.stdout).toMatch(/firing +critical +gone .* oven: offline/);
    expect(await cli('alerts', 'rules', 'rm', 'gone')).toMatchObject({ code: 0 });
    await until(() => newsOf('gone').length === 2);
    expect(newsOf('gone')).toEqual(['firing', 'resolved']);
    expect(await cli('alerts', 'rules', 'rm', 'hot')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is in the configuration: change it there'),
    });
  });

  it('say whether a channel works', async () => {
    expect(await cli('alerts', 'test', 'on-call')).toMatchObject({
      code: 0,
      stderr: 'on-call took the test notice.\n',
    });
    expect(got[0]).toMatchObject({ rule: 'test', severity: 'info' });
    status = 401;
    expect(await cli('alerts', 'test', 'on-call')).toMatchObject({ code: 1, stderr: expect.stringContaining('401') });
    expect(
      (await runHub(['config', 'show'], { HUB_ALERTS__WEBHOOKS: '[{"name":"x","url":"http://h/geheim"}]' })).stdout,
    ).not.toContain('geheim');
  });

  it('of a mistaken configuration keep the hub from starting, with a sentence', async () => {
    const check = (rules: object[]) => runHub(['config', 'check'], { HUB_ALERTS__RULES: JSON.stringify(rules) });
    const wrong = await check([{ id: 'hot', kind: 'field', stream: 'environment', field: 'heat', above: 3 }]);
    expect(wrong).toMatchObject({
      code: 78,
      stderr: expect.stringContaining(
        'environment HUB_ALERTS__RULES: alerts.rules.0.field is "heat", but the fields of environment are',
      ),
    });
    const unknown = await check([{ id: 'hot', kind: 'warm' }]);
    expect(unknown).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('HUB_ALERTS__RULES: alerts.rules.0.kind'),
    });
  });
});
