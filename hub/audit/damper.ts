/** Lets strangers write a little into the audit log and no more, so that they cannot push out what matters. */
import type { AuditEvent, RecordEvent } from './audit.ts';

const MINUTE_MS = 60_000;
/** Of strangers altogether; the rest is counted. */
const PER_MINUTE = 60;
/** The same attempt again within this is counted, not kept: a device that was disabled tries for days. */
const SAME_MS = 10 * MINUTE_MS;
/** Different attempts that are remembered; when there are more, all are forgotten. */
const MAX_REMEMBERED = 10_000;

/** A `record` for attempts of those who are not known. What was left out is told in the next entry's detail. */
export function createDamper(record: RecordEvent, now: () => number = Date.now): RecordEvent {
  const seen = new Map<string, number>();
  let minute = 0;
  let count = 0;
  let leftOut = 0;

  function isOneMore(event: AuditEvent): boolean {
    const at = now();
    const { actor, action, target, result, from, detail } = event;
    const name = JSON.stringify([actor, action, target, result, from, detail]);
    const last = seen.get(name);
    if (last !== undefined && at - last < SAME_MS) return false;
    if (Math.floor(at / MINUTE_MS) !== minute) {
      minute = Math.floor(at / MINUTE_MS);
      count = 0;
    }
    if (++count > PER_MINUTE) return false;
    if (seen.size >= MAX_REMEMBERED) seen.clear();
    seen.set(name, at);
    return true;
  }

  return async (event) => {
    if (!isOneMore(event)) {
      leftOut += 1;
      return;
    }
    const more = leftOut === 0 ? [] : [`${leftOut} attempts like these left out before`];
    leftOut = 0;
    const detail = [event.detail ?? [], more].flat().join('; ');
    await record(detail === '' ? event : { ...event, detail });
  };
}

/** What was done is written down each time; whoever asks for nothing but nonsense does not fill the log with it. */
export function dampRefusals(record: RecordEvent): RecordEvent {
  const damped = createDamper(record);
  return (event) => (event.result === 'ok' ? record(event) : damped(event));
}
