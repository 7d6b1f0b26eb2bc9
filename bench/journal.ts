/** What a frame costs in the journal: `node bench/journal.ts [seconds]` appends and commits on the disk of the temp folder. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../hub/telemetry/journal.file.ts';
import type { Journal } from '../hub/telemetry/journal.ts';
import type { Frame, FrameOwner } from '../hub/telemetry/reading.ts';

const SECONDS = Number(process.argv[2] ?? 3);
const ROUNDS = 5;
const DEVICES = 1000;
const T0 = Date.UTC(2026, 0, 1);

interface Load {
  name: string;
  inFlight: number;
  asSent: boolean;
}

const LOADS: Load[] = [
  { name: '200 in flight', inFlight: 200, asSent: false },
  { name: '200 in flight, as sent', inFlight: 200, asSent: true },
  { name: '5,000 in flight', inFlight: 5000, asSent: false },
  { name: '5,000 in flight, as sent', inFlight: 5000, asSent: true },
];

/** One frame per device, about 150 bytes of JSON with five fields, as in performance.md. */
function makeFrames(): { frame: Frame; asSent: string }[] {
  return Array.from({ length: DEVICES }, (_, index) => {
    const readings = [
      { ts: T0 + index, temperature: 21.4, humidity: 48.2, pressure: 1013.25, co2: 417 + index, battery: 3.71 },
    ];
    const owner: FrameOwner = { durable() {}, refused() {} };
    const frame = { device: `sensor-${index}`, epoch: `e${index}-abcdef0123456789`, seq: 1, stream: 'environment' };
    const asSent = JSON.stringify({ type: 'telemetry', seq: 1, stream: 'environment', readings });
    return { frame: { ...frame, receivedAt: T0, readings, owner }, asSent };
  });
}

/** Keeps so many frames in flight for a while; resolves to frames per second and CPU per frame. */
async function measure(journal: Journal, { inFlight, asSent }: Load, seconds: number) {
  const sources = makeFrames();
  let sent = 0;
  let committed = 0;
  let isOver = false;
  const done = Promise.withResolvers<void>();
  const refill = () => {
    while (!isOver && sent - committed < inFlight) {
      const source = sources[sent % DEVICES]!;
      const frame = { ...source.frame, seq: 1 + Math.floor(sent / DEVICES) };
      const refusal = journal.append(frame, asSent ? source.asSent : undefined);
      if (refusal) throw new Error(`the journal is ${refusal}`);
      sent++;
    }
    if (isOver && committed === sent) done.resolve();
  };
  journal.onCommit((frames) => {
    committed += frames.length;
    journal.advance('bench', journal.cursor('bench') + frames.length);
    isOver ||= performance.now() >= end;
    refill();
  });
  const cpu = process.cpuUsage();
  const start = performance.now();
  const end = start + seconds * 1000;
  refill();
  await done.promise;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (committed * 1000) / (performance.now() - start), cpuMicros: (user + system) / committed };
}

async function run(load: Load, seconds: number) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-journal-'));
  try {
    const dir = join(folder, 'journal');
    const sizes = { limitBytes: 2 ** 30, segmentBytes: 2 ** 26, memoryReadings: 20_000 };
    const journal = await openJournal({ dir, lingerMs: 0, replayMs: 0, ...sizes });
    const result = await measure(journal, load, seconds);
    await journal.close();
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const results = LOADS.map((load) => ({ load, rounds: [] as Awaited<ReturnType<typeof run>>[] }));
await run(LOADS[0]!, 0.5);
for (let round = 0; round < ROUNDS; round++) {
  for (const { load, rounds } of results) rounds.push(await run(load, SECONDS / ROUNDS));
}
for (const { load, rounds } of results) {
  const perSecond = Math.round(median(rounds.map((round) => round.perSecond))).toLocaleString('en');
  const cpu = median(rounds.map((round) => round.cpuMicros)).toFixed(2);
  process.stdout.write(`${load.name.padEnd(26)} ${perSecond.padStart(10)} frames/s  ${cpu} µs of CPU per frame\n`);
}
