/** What the demo shows: one frame of the terminal, and the summary at the end. */
import Table from 'cli-table3';
import picocolors from 'picocolors';

const pc = picocolors.createColors(process.stdout.isTTY === true && picocolors.isColorSupported);

/** The parts of the hub's status that the demo shows. */
export interface DemoStatus {
  devices: { known: number; online: number };
  readings: { accepted: number; rejected: number; perSecond: number };
  journal: { bytes: number };
  sinks: { name: string; written: number; lagFrames: number }[];
}

/** What one simulator process said at its end. */
export interface SimReport {
  devices: number;
  sent: number;
  acked: number;
  rejected: number;
  pending: number;
  ackMs: { p50: number; p99: number; max: number };
}

export interface LastReading {
  device: string;
  stream: string;
  ts: number;
  [field: string]: unknown;
}

/** One fact of the head line, kept short. */
const count = (value: number) => value.toLocaleString('en');
const ROWS = 20;
/** A reading older than this is of a recording. */
const RECORDED_S = 600;

/** What is said before anything else. */
export function welcome(link: string, dataDir: string): string {
  const again = pc.dim(`It signs you in once; another one: npm run hub -- dashboard --data ${dataDir}`);
  return `\nDashboard  ${pc.bold(pc.cyan(link))}\n${again}\n\n`;
}

export function frameOf(status: DemoStatus, last: Map<string, LastReading>, units: Units, hint: string): string {
  const store = status.sinks.find(({ name }) => name === 'store');
  const head = [
    pc.bold(pc.cyan('Telemetry Hub')),
    `${pc.bold(String(status.devices.online))} devices`,
    `${pc.bold(count(status.readings.perSecond))} readings/s`,
    `${pc.bold(pc.green(count(status.readings.accepted)))} accepted`,
    `${pc.bold(count(store?.written ?? 0))} stored`,
    status.readings.rejected > 0 ? pc.red(`${count(status.readings.rejected)} rejected`) : '',
    `journal ${(status.journal.bytes / 1_048_576).toFixed(1)} MiB`,
  ];
  const none = Object.fromEntries(EDGES.map((edge) => [edge, '']));
  const table = new Table({
    head: ['DEVICE', 'STREAM', 'AGE', 'LAST VALUES'].map((text) => pc.dim(text)),
    chars: { ...none, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  const rows = [...last.values()].sort((a, b) => a.device.localeCompare(b.device)).slice(0, ROWS);
  for (const reading of rows)
    table.push([reading.device, pc.dim(reading.stream), ageOf(reading.ts), valuesOf(reading, units)]);
  return `${head.filter(Boolean).join('  ')}\n\n${table}\n\n${pc.dim(hint)}`;
}

/** Unit of a field by stream and name, as a person writes it. */
export type Units = (stream: string, field: string) => string;

function ageOf(ts: number): string {
  const seconds = Math.max(0, (Date.now() - ts) / 1000);
  return pc.dim(seconds < RECORDED_S ? `${seconds.toFixed(0)} s` : 'recording');
}

function valuesOf({ device: _, stream, ts: __, ...fields }: LastReading, units: Units): string {
  return Object.entries(fields)
    .slice(0, 4)
    .map(([name, value]) => `${pc.dim(name)} ${short(value)}${units(stream, name)}`)
    .join('  ');
}

function short(value: unknown): string {
  if (typeof value === 'boolean') return value ? pc.green('yes') : 'no';
  return typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value);
}

export function summaryOf(reports: SimReport[], stored: number): string {
  const sum = (key: 'devices' | 'sent' | 'acked' | 'rejected' | 'pending') =>
    reports.reduce((total, report) => total + report[key], 0);
  const p99 = Math.max(...reports.map(({ ackMs }) => ackMs.p99));
  return [
    `${pc.bold(count(sum('devices')))} devices sent ${pc.bold(count(sum('sent')))} readings:`,
    `  ${pc.green(count(sum('acked')))} acknowledged (on disk), ${count(sum('rejected'))} rejected, ${count(sum('pending'))} pending; ack p99 ${p99} ms`,
    `  ${count(stored)} written to the store`,
    '',
  ].join('\n');
}

const EDGES =
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'.split(
    ' ',
  );
