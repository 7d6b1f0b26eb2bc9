/** The modes of `bench/wire.ts`, what is measured in them, and how it is told beside the targets. */
import { BARE_FRAME, BARE_TURN, HUB_INFLUX, HUB_ROAD, HUB_SQLITE } from './subjects.ts';
import { markdownTable } from './table.ts';

export interface Mode {
  title: string;
  devices: number;
  readingsPerFrame: number;
  /** 0: bursts, of which the server has all at once. */
  framesPerSecond: number;
  window: number;
}

export const MODES: Record<string, Mode> = {
  single: { title: 'Saturated, 1 reading a frame', devices: 100, readingsPerFrame: 1, framesPerSecond: 0, window: 200 },
  ten: { title: 'Saturated, 10 readings a frame', devices: 100, readingsPerFrame: 10, framesPerSecond: 0, window: 100 },
  paced: {
    title: 'Paced, one frame at a time',
    devices: 1000,
    readingsPerFrame: 1,
    framesPerSecond: 20_000,
    window: 200,
  },
};

/** Medians over the rounds of one server in one mode. */
export interface Figures {
  subject: string;
  /** Microseconds of the server's processor time for each reading acknowledged: all threads, and the main one. */
  cpuUs: number;
  mainUs: number;
  /** The same for each reading sent, counted until the store has all of them; 0 without a store. */
  storedUs: number;
  readingsPerSecond: number;
  framesPerAck: number;
  /** Shares of a core. */
  serverBusy: number;
  generatorBusy: number;
  /** 0 in bursts, where frames wait on purpose. */
  ackP50Ms: number;
  ackP99Ms: number;
  frameBytes: number;
}

const HEAD =
  'server|µs CPU a reading|main thread|until stored|readings/s acked|frames an ack|ack p50 ms|p99 ms|server busy|generator busy'.split(
    '|',
  );

export function reportMode({ title, devices }: Mode, figures: readonly Figures[]): string {
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const figure = (value: number, digits: number) => (value > 0 ? value.toFixed(digits) : '–');
  const rows = figures.map((each) => [
    each.subject,
    figure(each.cpuUs, 2),
    figure(each.mainUs, 2),
    figure(each.storedUs, 2),
    Math.round(each.readingsPerSecond).toLocaleString('en'),
    figure(each.framesPerAck, 1),
    figure(each.ackP50Ms, 1),
    figure(each.ackP99Ms, 1),
    percent(each.serverBusy),
    percent(each.generatorBusy),
  ]);
  return `\n## ${title}\n${devices} devices, ${figures[0]?.frameBytes} bytes a frame on the wire\n\n${markdownTable(HEAD, rows)}`;
}

interface Target {
  what: string;
  mode: string;
  must: number;
  aim: number;
  /** What is divided by what; without a divisor the figure itself is the measure. */
  figure: 'cpuUs' | 'ackP99Ms';
  by?: { mode: string; subject: string };
}

/** From the design; a bare server that acks once a turn is cheaper when saturated, so it is the stricter baseline there. */
const TARGETS: readonly Target[] = [
  {
    what: 'CPU a reading, 1 a frame, saturated, to bare',
    mode: 'single',
    must: 2.6,
    aim: 1.5,
    figure: 'cpuUs',
    by: { mode: 'single', subject: BARE_TURN },
  },
  {
    what: 'CPU a reading, 10 a frame, to a bare frame of 1',
    mode: 'ten',
    must: 1.15,
    aim: 0.6,
    figure: 'cpuUs',
    by: { mode: 'single', subject: BARE_TURN },
  },
  {
    what: 'CPU a reading, paced, to bare with an ack a frame',
    mode: 'paced',
    must: 1.15,
    aim: 0.9,
    figure: 'cpuUs',
    by: { mode: 'paced', subject: BARE_FRAME },
  },
  { what: 'ack p99 in ms, paced', mode: 'paced', must: 15, aim: 8, figure: 'ackP99Ms' },
];

/** Each target for each hub that was measured; nothing here is an error, a timing never is. */
export function reportTargets(results: Record<string, readonly Figures[]>): string {
  const find = (mode: string, subject: string) => results[mode]?.find((figures) => figures.subject === subject);
  const rows = TARGETS.flatMap(({ what, mode, must, aim, figure, by }) =>
    [HUB_ROAD, HUB_SQLITE, HUB_INFLUX].flatMap((subject) => {
      const own = find(mode, subject)?.[figure];
      const divisor = by ? find(by.mode, by.subject)?.[figure] : 1;
      if (own === undefined || divisor === undefined) return [];
      const value = own / divisor;
      const verdict = value <= aim ? 'aim met' : value <= must ? 'met' : 'not met';
      return [[what, subject, value.toFixed(2), `≤ ${must}`, `≤ ${aim}`, verdict]];
    }),
  );
  return `\n## Targets\n\n${markdownTable(['what', 'server', 'measured', 'must', 'aim', 'verdict'], rows)}`;
}
