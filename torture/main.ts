/** `npm run torture`: hub, InfluxDB and Mosquitto under load and under random faults, and whether every promise was kept. */
import { flagsOf, wrongUsage } from '../bench/flags.ts';
import { describeMachine } from '../bench/machine.ts';
import { createProgress } from './progress.terminal.ts';
import { reportOf } from './report.ts';
import { type Plan, torture } from './run.ts';
import { brokenPromises } from './verdict.ts';

const HELP = `npm run torture -- [options]
  --minutes N    how long there are faults (10)
  --devices N    simulated devices, each with a ledger of its own (200)
  --seed N       the order of faults and much of their timing; another one each day by default
  --rate N       frames of each device in a second, of one to four readings (2)
  --commands N   commands in a second (5)
  --json         print figures instead of the report
Needs influxd and mosquitto, and a small disk of its own for the journal (a tmpfs: root, or user namespaces).
Ctrl-C ends the faults early; what happened until then is judged. Exit code: 0 every promise was kept; 1 one was broken; 2 wrong usage.
`;

const flags = flagsOf({
  minutes: { type: 'string', default: '10' },
  devices: { type: 'string', default: '200' },
  seed: { type: 'string', default: new Date().toISOString().slice(0, 10).replaceAll('-', '') },
  rate: { type: 'string', default: '2' },
  commands: { type: 'string', default: '5' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

function planOf(): Plan {
  const [minutes, devices, seed] = [Number(flags.minutes), Number(flags.devices), Number(flags.seed)];
  if (minutes === 0) wrongUsage('--minutes must be more than 0.');
  if (!Number.isInteger(devices) || devices === 0) wrongUsage('--devices must be a whole number from 1 on.');
  return { minutes, devices, seed, rate: Number(flags.rate), commandsPerSecond: Number(flags.commands) };
}

async function main(): Promise<number> {
  const plan = planOf();
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ended.abort());
  const progress = createProgress();
  const figures = await torture(plan, progress.show, ended.signal).finally(() => progress.close());
  const report = `${describeMachine()}, ${new Date().toISOString()}\n\n${reportOf(figures, plan)}`;
  process.stdout.write(`${flags.json ? JSON.stringify({ plan, figures }, null, 2) : report}\n`);
  return brokenPromises(figures).length === 0 ? 0 : 1;
}

if (flags.help) process.stdout.write(HELP);
else {
  process.exitCode = await main().catch((error: Error) => {
    process.stderr.write(`The torture could not be carried out: ${error.message}\n`);
    return 1;
  });
}
