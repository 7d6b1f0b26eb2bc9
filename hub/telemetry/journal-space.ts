/** How much room the journal has left, by its limit and on its disk, and when people hear that it ends. */
import type { Files } from './files.ts';
import type { JournalLog } from './journal-segments.ts';

/** Percent of the limit that is used up or not to be had: from each of them on an alarm stands. */
export const ALARMS = [70, 85, 95] as const;
export type Alarm = 0 | (typeof ALARMS)[number];

export interface JournalSpace {
  /** What the journal may still grow: to its limit, or as long as the disk has room. */
  roomBytes: number;
  /** What ends first. */
  endsBy: 'limit' | 'disk';
  /** 100 − `roomBytes` in percent of the limit. */
  usedPercent: number;
  /** The highest alarm that stands; 0 for none. */
  alarm: Alarm;
  /** Free for the hub's user on the journal's disk; absent where the machine does not tell. */
  diskFreeBytes?: number;
}

export interface SpaceOptions {
  files: Pick<Files, 'space'>;
  folder: string;
  limitBytes: number;
  /** Size of the journal now. */
  bytes(): number;
  log: JournalLog;
}

export interface SpaceWatch {
  /** Asks the disk, and logs when an alarm begins, rises, falls or ends. Never rejects. */
  look(): Promise<void>;
  /** As of the last look. */
  status(): JournalSpace;
  close(): void;
}

const LOOK_MS = 2_000;
/** An alarm ends so far below where it began, so that one at its threshold is not told again and again. */
const SLACK_PERCENT = 3;

/** Looks every two seconds until it is closed. */
export function createSpaceWatch({ files, folder, limitBytes, bytes, log }: SpaceOptions): SpaceWatch {
  let diskFreeBytes: number | undefined;
  let isUnknown = false;
  let alarm: Alarm = 0;
  const timer = setInterval(() => void look(), LOOK_MS).unref();

  async function look(): Promise<void> {
    try {
      diskFreeBytes = (await files.space(folder)).freeBytes;
    } catch (error) {
      diskFreeBytes = undefined;
      if (!isUnknown) log.warn({ err: error }, 'journal: the disk does not tell how much room it has');
      isUnknown = true;
    }
    const before = alarm;
    const { usedPercent, endsBy, roomBytes } = measure();
    alarm = alarmAt(usedPercent, before);
    if (alarm === before) return;
    const fields = { alarm, roomBytes, endsBy, usedPercent: Math.floor(usedPercent) };
    tell(log, alarm > before, fields);
  }

  function measure() {
    const underLimit = Math.max(0, limitBytes - bytes());
    const roomBytes = Math.min(underLimit, diskFreeBytes ?? underLimit);
    const endsBy = roomBytes < underLimit ? ('disk' as const) : ('limit' as const);
    return { roomBytes, endsBy, usedPercent: (100 * (limitBytes - roomBytes)) / limitBytes };
  }

  return {
    look,
    status: () => ({ ...measure(), alarm, ...(diskFreeBytes !== undefined && { diskFreeBytes }) }),
    close: () => clearInterval(timer),
  };
}

/** The alarm that stands at this fill when `before` stood. */
export function alarmAt(usedPercent: number, before: Alarm): Alarm {
  const reached = ALARMS.findLast((alarm) => usedPercent >= alarm) ?? 0;
  const kept = ALARMS.findLast((alarm) => alarm <= before && usedPercent > alarm - SLACK_PERCENT) ?? 0;
  return reached > kept ? reached : kept;
}

function tell(log: JournalLog, isWorse: boolean, fields: { alarm: Alarm; endsBy: string; roomBytes: number }): void {
  const { alarm, endsBy } = fields;
  if (alarm === 0) return log.info(fields, 'journal: there is room again');
  if (!isWorse) return log.info(fields, `journal: room comes back; less than ${alarm + 1} % are used`);
  const where = endsBy === 'disk' ? 'its disk runs full before its limit is reached' : 'it comes near its limit';
  const message = `journal: ${alarm} % of its room are gone, ${where}; at the end devices are told to wait`;
  if (alarm === ALARMS.at(-1)) log.error(fields, message);
  else log.warn(fields, message);
}
