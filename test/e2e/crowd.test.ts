/** A crowd that loses the hub at one moment comes back whole; `npm run bench:reconnect` does the same with 10,000. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { CrowdPlan, CrowdReport } from '../../bench/reconnect-crowd.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';

const DEVICES = 400;

let hub: TestHub;
let crowd: ChildProcess;

afterEach(async () => {
  crowd.kill('SIGKILL');
  await hub.dispose();
});

it(`lets ${DEVICES} devices in at once, and again after kill -9, though it takes few in a second`, async () => {
  hub = await startTestHub({ HUB_LOG__LEVEL: 'warn', HUB_LIMITS__ADMISSIONS_PER_SECOND: '100' });
  const tokens = await Promise.all(Array.from({ length: DEVICES }, (_, index) => hub.addDevice(`d${index}`)));
  crowd = fork(join(import.meta.dirname, '../../bench/reconnect-crowd.ts'), { stdio: 'inherit' });
  crowd.send({ url: hub.gateway, tokens, ca: hub.ca } satisfies CrowdPlan);
  const first = await report();
  expect(first.sentAway).toBeGreaterThan(0);
  await hub.kill();
  await hub.start();
  await report();
  const { devices } = await hub.call<{ devices: { online: number } }>('GET', '/v1/status');
  expect(devices.online).toBe(DEVICES);
});

async function report(): Promise<CrowdReport> {
  const [told] = (await once(crowd, 'message')) as [CrowdReport];
  return told;
}
