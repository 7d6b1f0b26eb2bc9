/** The alerts: every second each rule decides, and what changes is stored together with the notices that tell of it. */
import type { Table } from '../backplane/backplane.ts';
import type { Devices } from '../devices/devices.ts';
import type { Frame } from '../telemetry/reading.ts';
import { type Alert, alertKey, type Notice, noticeOf, type Subject, summaryOf } from './alert.ts';
import type { Rule } from './rule.ts';
import { type Decision, type Room, RuleWatch, type World } from './rule-watch.ts';
import type { Rules } from './rules.ts';
import { ALERT_STATES, type AlertState } from './watch.ts';

export interface AlertFilter {
  state?: AlertState;
  rule?: string;
  device?: string;
  limit: number;
  /** The `cursor` of an alert: those after it. */
  after?: string;
}

export interface Alerts {
  /** Frames that became durable; called once for each group commit. */
  observe(frames: readonly Frame[]): void;
  /** Lets every rule look and decide; durable when it resolves to the number of changes. Throws `Unavailable`. */
  sweep(): Promise<number>;
  /** Those that began last come first. */
  list(filter: AlertFilter): Alert[];
  counts(): Record<AlertState, number>;
  /** As many subjects are watched as may be: what else goes wrong is not seen. */
  readonly isFull: boolean;
  /** Forgets what was resolved a week ago, and of the rest the oldest beyond 10,000. Resolves to how many. */
  prune(): Promise<number>;
}

export interface AlertsDeps extends Omit<World, 'refused'> {
  rules: Rules;
  table: Table<Alert>;
  devices: Pick<Devices, 'get' | 'ids' | 'onChange'>;
  /** Readings that sinks refused, since the hub started. */
  refusedBySinks(): number;
  /** Asks for the notice to be kept, in the same turn of the loop; durable when it resolves. */
  tell(notice: Notice, channels: readonly string[] | undefined): Promise<void>;
  now?(): number;
}

/** Subjects that are watched at a time, over all rules; what goes wrong beyond it is left out, and `isFull` says so. */
const MAX_WATCHED = 10_000;
/** Changes of one sweep, which are one transaction; the others come a second later. */
const MAX_CHANGES = 1_000;
const TIDY_EVERY = 10;
const KEEP_RESOLVED_MS = 7 * 86_400_000;
const MAX_RESOLVED = 10_000;

/** Where an alert stands in the list. */
export const cursorOf = ({ since, id }: Alert): string => `${String(since).padStart(15, '0')}.${id}`;

/** Goes on with the alerts that are stored; nothing is decided until `sweep` is called. */
export function createAlerts(deps: AlertsDeps): Alerts {
  const { rules, table, devices, tell, now = Date.now } = deps;
  const startedAt = now();
  const watches = new Map<string, RuleWatch>();
  const room: Room = { left: MAX_WATCHED };
  let rejected = 0;
  let sweeps = 0;
  const world: World = { ...deps, refused: () => rejected + deps.refusedBySinks() };

  function takeUp(id: string, rule: Rule | undefined): void {
    watches.get(id)?.close();
    watches.delete(id);
    if (!rule?.enabled) return;
    const watch = new RuleWatch(rule, startedAt, room);
    watch.countFrom(now(), world.refused());
    for (const device of devices.ids()) watch.deviceChanged(device, devices.get(device));
    for (const { value } of table.values()) if (value.rule === id && value.state !== 'resolved') watch.resume(value);
    watches.set(id, watch);
  }

  const stateOf = (rule: string) => (subject: Subject) => table.get(alertKey(rule, subject))?.value.state;

  /** Rows that no rule minds any more: the rule is gone or off, or the device is. */
  function* orphans(): Generator<Alert> {
    for (const { value } of table.values()) {
      if (value.state !== 'resolved' && !watches.get(value.rule)?.minds(value)) yield value;
    }
  }

  async function end(alert: Alert, at: number): Promise<void> {
    const key = alertKey(alert.rule, alert);
    if (alert.state === 'pending') return void (await table.delete(key));
    const rule = rules.get(alert.rule);
    const ended: Alert = { ...alert, state: 'resolved', resolvedAt: at };
    const told = tell(noticeOf(ended, { description: rule?.description ?? '' }), rule?.deliver);
    await Promise.all([table.set(key, ended), told]);
  }

  async function apply(rule: Rule, decision: Decision, at: number): Promise<void> {
    const key = alertKey(rule.id, decision.subject);
    if (decision.state === undefined) return void (await table.delete(key));
    const alert = changed(rule, table.get(key)?.value, { ...decision, state: decision.state }, at);
    const isTold = alert.state !== 'pending';
    await Promise.all([table.set(key, alert), isTold && tell(noticeOf(alert, rule), rule.deliver)]);
  }

  function* changesAt(at: number): Generator<Promise<void>> {
    for (const alert of orphans()) yield end(alert, at);
    for (const watch of watches.values()) {
      for (const decision of watch.decide(at, stateOf(watch.rule.id)))
        if (watch.minds(decision.subject)) yield apply(watch.rule, decision, at);
    }
  }

  async function sweep(): Promise<number> {
    const at = now();
    for (const watch of watches.values()) watch.look(at, world);
    const changes: Promise<void>[] = [];
    for (const change of changesAt(at)) if (changes.push(change) === MAX_CHANGES) break;
    await Promise.all(changes);
    sweeps += 1;
    if (changes.length > 0 || sweeps % TIDY_EVERY === 0)
      for (const watch of watches.values()) watch.tidy(stateOf(watch.rule.id));
    return changes.length;
  }

  function withNewestValue(alert: Alert): Alert {
    const value = alert.state === 'firing' ? watches.get(alert.rule)?.valueOf(alert) : undefined;
    return value === undefined ? alert : { ...alert, value };
  }

  for (const rule of rules.list()) takeUp(rule.id, rule);
  rules.onChange(takeUp);
  devices.onChange((id, device) => {
    for (const watch of watches.values()) watch.deviceChanged(id, device);
  });
  return {
    observe(frames) {
      for (const frame of frames) {
        rejected += frame.rejected?.length ?? 0;
        for (const watch of watches.values()) watch.observe(frame);
      }
    },
    sweep,
    list({ state, rule, device, limit, after }) {
      return [...table.values()]
        .map(({ value }) => value)
        .filter((each) => (state === undefined || each.state === state) && (rule === undefined || each.rule === rule))
        .filter((each) => (device === undefined || each.device === device) && (!after || cursorOf(each) < after))
        .sort((a, b) => b.since - a.since || (a.id < b.id ? 1 : -1))
        .slice(0, limit)
        .map(withNewestValue);
    },
    counts() {
      const counts = Object.fromEntries(ALERT_STATES.map((state) => [state, 0])) as Record<AlertState, number>;
      for (const { value } of table.values()) counts[value.state] += 1;
      return counts;
    },
    get isFull() {
      return room.left <= 0;
    },
    async prune() {
      const resolved = [...table.values()].filter(({ value }) => value.state === 'resolved');
      resolved.sort((a, b) => b.value.resolvedAt! - a.value.resolvedAt!);
      const isOld = ({ resolvedAt = 0 }: Alert) => now() - resolvedAt > KEEP_RESOLVED_MS;
      const gone = resolved.filter(({ value }, index) => index >= MAX_RESOLVED || isOld(value));
      await Promise.all(gone.map(({ key, revision }) => table.delete(key, revision)));
      return gone.length;
    },
  };
}

/** The alert as it is from now on; a new one when the one before is over. */
function changed(
  rule: Rule,
  before: Alert | undefined,
  { subject, state, since, value }: Decision & { state: AlertState },
  at: number,
): Alert {
  const known = before?.state === 'resolved' ? undefined : before;
  const { id = crypto.randomUUID().slice(0, 13), firedAt } = known ?? {};
  return {
    ...{ id, rule: rule.id, kind: rule.kind, severity: rule.severity, ...subject, state },
    ...(value !== undefined && { value }),
    since: known?.since ?? since,
    ...((firedAt ?? (state === 'firing' ? at : undefined)) !== undefined && { firedAt: firedAt ?? at }),
    ...(state === 'resolved' && { resolvedAt: at }),
    summary: state === 'resolved' && known ? known.summary : summaryOf(rule, subject, value, state),
  };
}
