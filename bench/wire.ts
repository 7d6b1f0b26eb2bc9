/**
 * What a reading costs the hub over WSS, against a bare `ws` server that only acknowledges: `npm run bench:wire`.
 * Servers and generator are processes of their own; in each round every server has its turn, medians are told.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { flagsOf, wrongUsage } from './flags.ts';
import type { LoadPlan, LoadResult } from './load.ts';
import { cpuTimeOf, describeMachine, pin } from './machine.ts';
import { median } from './statistics.ts';
import { SUBJECTS, type Subject, startSubject } from './subjects.ts';
import { type Figures, MODES, type Mode, reportMode, reportTargets } from './wire-report.ts';

const flags = flagsOf({
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '3' },
  warm: { type: 'string', default: '1.5' },
  mode: { type: 'string', multiple: true, default: Object.keys(MODES) },
  subject: { type: 'string', multiple: true, default: SUBJECTS },
  rate: { type: 'string', default: '20000' },
  set: { type: 'string', multiple: true, default: [] },
  profile: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
});

const HELP = `npm run bench:wire -- [options]
  --rounds N        rounds of each mode; medians are told (5)
  --seconds S       measured time of each server in each round (3)
  --warm S          time before it (1.5)
  --mode NAME       ${Object.keys(MODES).join(', ')}; may be given several times (all)
  --subject NAME    ${SUBJECTS.map((name) => `"${name}"`).join(', ')} (all)
  --rate N          frames a second of the mode paced (20000)
  --set NAME=VALUE  an option of the hub, such as HUB_JOURNAL__LINGER_MS=2
  --profile DIR     hubs write CPU profiles into this folder
  --json            print JSON instead of tables
`;

const SERVER_CORE = 0;
const GENERATOR_CORE = 1;
const HOUR_MS = 3_600_000;
/** Each round has times of its own, far from those of the others, as a reading is known by its time. */
const ROUND_MS = 600_000;

/** What `--set` says, for every hub. */
const env = Object.fromEntries(flags.set.map(splitOption));
for (const name of flags.mode) {
  if (!MODES[name]) wrongUsage(`--mode ${name}: there are ${Object.keys(MODES).join(', ')}.`);
}
for (const name of flags.subject) {
  if (!SUBJECTS.includes(name))
    wrongUsage(`--subject "${name}": there are ${SUBJECTS.map((each) => `"${each}"`).join(', ')}.`);
}
if (flags.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const say = flags.json ? () => {} : (line: string) => void process.stdout.write(`${line}\n`);
  say(`${describeMachine()}, ${new Date().toISOString()}`);
  const results: Record<string, Figures[]> = {};
  for (const name of flags.mode) {
    const mode = MODES[name];
    if (!mode) continue;
    results[name] = await runMode(name === 'paced' ? { ...mode, framesPerSecond: Number(flags.rate) } : mode);
    say(reportMode(mode, results[name]));
  }
  if (flags.json) process.stdout.write(`${JSON.stringify({ machine: describeMachine(), flags, results }, null, 2)}\n`);
  else say(reportTargets(results));
}

/** All servers live through all rounds of a mode, idle while it is another's turn. */
async function runMode(mode: Mode): Promise<Figures[]> {
  const subjects: Subject[] = [];
  const rounds = new Map<string, Figures[]>();
  try {
    for (const name of flags.subject) {
      const subject = await tryStart(name, mode);
      if (subject) subjects.push(subject);
    }
    for (let round = 0; round < Number(flags.rounds); round++) {
      for (const subject of subjects) {
        const figures = await measure(subject, mode, round);
        rounds.set(subject.name, [...(rounds.get(subject.name) ?? []), figures]);
      }
    }
  } finally {
    for (const subject of subjects) await subject.stop();
  }
  return [...rounds.values()].map(medianOf);
}

async function tryStart(name: string, { devices }: Mode): Promise<Subject | undefined> {
  try {
    const subject = await startSubject(name, { devices, env, ...(flags.profile && { profileDir: flags.profile }) });
    pin(subject.pid, SERVER_CORE);
    return subject;
  } catch (error) {
    process.stderr.write(`left out: ${name}: ${(error as Error).message}\n`);
    return undefined;
  }
}

/** Only the first `=` separates: a value may hold more of them. */
function splitOption(option: string): [string, string] {
  const at = option.indexOf('=');
  if (at < 0) wrongUsage(`--set ${option}: write NAME=VALUE.`);
  return [option.slice(0, at), option.slice(at + 1)];
}

async function measure(subject: Subject, mode: Mode, round: number): Promise<Figures> {
  const { devices, title, ...demand } = mode;
  const { pid: serverPid, port, tokens } = subject;
  const times = { warmMs: Number(flags.warm) * 1000, measureMs: Number(flags.seconds) * 1000 };
  const firstTs = Date.now() - 24 * HOUR_MS + round * ROUND_MS;
  const load = await generate({ ...demand, ...times, port, tokens, serverPid, firstTs });
  const isStored = await subject.settle();
  const spent = cpuTimeOf(serverPid).all - load.serverAtStart.all;
  const readings = load.frames * mode.readingsPerFrame;
  return {
    subject: subject.name,
    cpuUs: (load.server.all / readings) * 1e6,
    mainUs: (load.server.main / readings) * 1e6,
    storedUs: isStored ? (spent / (load.framesSent * mode.readingsPerFrame)) * 1e6 : 0,
    readingsPerSecond: readings / load.seconds,
    framesPerAck: load.frames / load.acks,
    serverBusy: load.server.all / load.seconds,
    generatorBusy: load.generatorBusy,
    ackP50Ms: load.ackP50Ms,
    ackP99Ms: load.ackP99Ms,
    frameBytes: load.frameBytes,
  };
}

async function generate(plan: LoadPlan): Promise<LoadResult> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/load.ts`], { stdio: ['pipe', 'pipe', 'inherit'] });
  pin(child.pid!, GENERATOR_CORE);
  child.stdin.end(JSON.stringify(plan));
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`the load generator ended with ${code}`);
  return JSON.parse(output) as LoadResult;
}

function medianOf(rounds: Figures[]): Figures {
  const [first] = rounds as [Figures];
  const middle = (name: keyof Figures) => median(rounds.map((figures) => figures[name] as number));
  const names = Object.keys(first).filter((name) => name !== 'subject') as (keyof Figures)[];
  return { ...first, ...Object.fromEntries(names.map((name) => [name, middle(name)])) };
}
