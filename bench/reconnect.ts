/**
 * `npm run bench:reconnect`: thousands of devices lose the hub at one moment and come back. Says how
 * long that took, who was told to wait, and what it cost; exit 1 when not all are back in time.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { openBackplane } from '../hub/backplane/backplane.sqlite.ts';
import { createDevices, type DeviceRow } from '../hub/devices/devices.ts';
import { startTestHub } from '../test/helpers/hub.ts';
import { flagsOf } from './flags.ts';
import { cpuTimeOf, describeMachine } from './machine.ts';
import type { CrowdPlan, CrowdReport } from './reconnect-crowd.ts';
import { markdownTable } from './table.ts';

const HELP = `npm run bench:reconnect -- [options]
  --devices N   that lose the hub and come back (10000)
  --within N    seconds in which all must be back (60)
Exit code: 0 they were; 1 they were not; 2 wrong usage.
`;

const flags = flagsOf({
  devices: { type: 'string', default: '10000' },
  within: { type: 'string', default: '60' },
  help: { type: 'boolean', default: false },
});
if (flags.help) {
  process.stdout.write(HELP);
  process.exit();
}
const [devices, withinSeconds] = [Number(flags.devices), Number(flags.within)];

const hub = await startTestHub({ HUB_LOG__LEVEL: 'warn', HUB_LIMITS__CONNECTIONS: String(devices + 1_000) });
try {
  await hub.stop();
  const tokens = await register(devices);
  await hub.start();
  const crowd = fork(join(import.meta.dirname, 'reconnect-crowd.ts'), { stdio: 'inherit' });
  crowd.send({ url: hub.gateway, tokens, ca: hub.ca } satisfies CrowdPlan);
  const first = await reportOf(crowd);
  await hub.kill();
  const killedAt = performance.now();
  await hub.start();
  const startedMs = performance.now() - killedAt;
  const again = await reportOf(crowd);
  const cpuSeconds = cpuTimeOf(hub.pid).all;
  crowd.disconnect();
  const others = `${loadavg()[0]!.toFixed(1)} processes wanted to run`;
  process.stdout.write(`${describeMachine()}, ${others}\n\n${tableOf(first, again, startedMs, cpuSeconds)}\n`);
  if (again.allMs > withinSeconds * 1_000) {
    process.stderr.write(`Not all were back within ${withinSeconds} s.\n`);
    process.exitCode = 1;
  }
} finally {
  await hub.dispose();
}

function tableOf(first: CrowdReport, again: CrowdReport, startedMs: number, cpuSeconds: number): string {
  const seconds = (ms: number) => (ms / 1_000).toFixed(1);
  const memoryKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${hub.pid}/status`, 'utf8'))?.[1]);
  return markdownTable(
    [`${devices} devices at once`, 'first time', 'after kill -9 of the hub'],
    [
      ['hub listens again after, s', '', seconds(startedMs)],
      ['half are in after, s', seconds(first.halfMs), seconds(again.halfMs)],
      ['all are in after, s', seconds(first.allMs), seconds(again.allMs)],
      ['attempts', String(first.attempts), String(again.attempts)],
      ['answered 503', String(first.sentAway), String(again.sentAway)],
      ['connections that broke', String(first.broken), String(again.broken)],
      ['processor time of the hub, s', '', cpuSeconds.toFixed(1)],
      [
        'processor time of the devices, s',
        first.cpuSeconds.toFixed(1),
        (again.cpuSeconds - first.cpuSeconds).toFixed(1),
      ],
      ['most memory of the hub, MiB', '', (memoryKiB / 1_024).toFixed(0)],
    ],
  );
}

/** Writes them into the hub's folder while it is stopped: its API would let in 6,000 a minute. */
async function register(count: number): Promise<string[]> {
  const backplane = openBackplane(join(hub.dataDir, 'hub.db'));
  const registry = createDevices(backplane.table<DeviceRow>('devices'), { seen: backplane.table('seen') });
  const added = await Promise.all(Array.from({ length: count }, (_, index) => registry.add(`d${index}`)));
  await registry.close();
  await backplane.close();
  return added.map(({ token }) => token);
}

async function reportOf(crowd: ChildProcess): Promise<CrowdReport> {
  const [report] = (await once(crowd, 'message')) as [CrowdReport];
  return report;
}
