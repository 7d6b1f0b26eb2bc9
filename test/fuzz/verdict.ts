/** What a campaign must not have done to a hub. */
import type { Campaign } from './campaign.ts';

/** Milliseconds of processor time in one turn of the loop, and MiB. */
export interface Limits {
  stallMs: number;
  rssMib: number;
}

export const LIMITS: Limits = { stallMs: 100, rssMib: 768 };

/** Levels of pino: from here on somebody must act, or data was refused for good. */
const ERROR = 50;
/** What a hub has to say to somebody when it gets more nonsense than it can keep. */
const ALARM = /^quarantine: (it is full|it fills|a device)/;
/** A token of a device or an operator with its secret. */
const SECRET = /th[do]_[A-Za-z0-9]{12}_/;

/** In words; none when all is well. */
export function faultsOf({ fates, loop, rssMib, log, exitCode }: Campaign, limits: Limits): string[] {
  const { numbered, acked, rejected, flow, again, closed } = fates;
  const answered = acked + rejected + flow + again + closed;
  return [
    ...(answered === numbered ? [] : [`of ${numbered} numbered frames ${answered} have a fate`]),
    ...(loop.cpu <= limits.stallMs ? [] : [`one turn of the loop took ${loop.cpu} ms`]),
    ...(rssMib.peak <= limits.rssMib ? [] : [`the hub grew to ${rssMib.peak} MiB`]),
    ...(exitCode === 0 ? [] : [`the hub ended with ${exitCode}`]),
    ...log.trimEnd().split('\n').flatMap(faultsOfLine),
  ];
}

/** A line that is no entry of the hub's own was forged, or broken in two, by somebody's text. */
function faultsOfLine(line: string): string[] {
  const shown = JSON.stringify(line.slice(0, 300));
  try {
    const { level, time, msg } = JSON.parse(line) as Record<string, unknown>;
    if (typeof level !== 'number' || time === undefined || typeof msg !== 'string') return [`in the log: ${shown}`];
    if (level >= ERROR && !ALARM.test(msg)) return [`an error in the log: ${shown}`];
    return SECRET.test(line) ? ['a secret in the log'] : [];
  } catch {
    return [`no entry of the log: ${shown}`];
  }
}
