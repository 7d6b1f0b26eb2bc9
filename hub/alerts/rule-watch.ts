/** One rule at work: whom it means, what it saw of each, and what it decides. Pure: times are arguments. */
import type { Device } from '../devices/devices.ts';
import type { Presence } from '../devices/presence.ts';
import type { Frame } from '../telemetry/reading.ts';
import type { Alert, Subject } from './alert.ts';
import { Growth } from './growth.ts';
import { means, patienceMs, type Rule, verdictOf } from './rule.ts';
import { type AlertState, Watch } from './watch.ts';

/** What rules look at beside readings. */
export interface World {
  presenceOf(device: string): Presence | undefined;
  sinks(): readonly { name: string; lagMs: number }[];
  /** Readings refused for good, since the hub started. */
  refused(): number;
}

/** What a rule wants done: an alert of this subject shall have this state; undefined: none at all. */
export interface Decision {
  subject: Subject;
  state: AlertState | undefined;
  since: number;
  value: number | undefined;
}

export class RuleWatch {
  readonly rule: Rule;
  readonly #startedAt: number;
  readonly #hasRoom: () => boolean;
  readonly #watches = new Map<string, Watch>();
  /** Ids of the devices it means. */
  readonly #members = new Set<string>();
  /** Of `no-reading`: when each was heard last. */
  readonly #heard = new Map<string, number>();
  readonly #growth: Growth;

  /** `hasRoom` is asked before one more subject is watched. */
  constructor(rule: Rule, startedAt: number, hasRoom: () => boolean) {
    this.rule = rule;
    this.#startedAt = startedAt;
    this.#hasRoom = hasRoom;
    this.#growth = new Growth(rule.windowMs ?? 1);
  }

  get size(): number {
    return this.#watches.size;
  }

  /** Goes on with an alert that is not over. */
  resume({ device, sink, state, since, value }: Alert): void {
    this.#watches.set(device ?? sink ?? '', Watch.resumed(state, since, value));
  }

  /** A device came, changed, or (undefined) went. */
  deviceChanged(id: string, device: Device | undefined): void {
    if (device?.enabled && means(this.rule, device)) this.#members.add(id);
    else {
      this.#members.delete(id);
      this.#heard.delete(id);
    }
  }

  /** Whether the rule is still for this subject. */
  minds({ device }: Subject): boolean {
    return device === undefined || this.#members.has(device);
  }

  /** A frame that became durable. */
  observe({ device, stream, receivedAt, readings }: Frame): void {
    const { rule } = this;
    if (rule.kind !== 'field' && rule.kind !== 'no-reading') return;
    if (rule.stream !== undefined && rule.stream !== stream) return;
    if (readings.length === 0 || !this.#members.has(device)) return;
    if (rule.kind === 'no-reading') return void this.#heard.set(device, receivedAt);
    for (const reading of readings) {
      const value = reading[rule.field!];
      if (typeof value === 'number') this.#see(device, verdictOf(rule, value), value, receivedAt);
    }
  }

  /** Looks at what is not told by readings. Called every second. */
  look(now: number, world: World): void {
    switch (this.rule.kind) {
      case 'field':
        break;
      case 'no-reading':
        this.#lookForQuiet(now, world);
        break;
      case 'offline':
        for (const id of this.#members) this.#lookAtPresence(id, world.presenceOf(id), now);
        break;
      case 'quarantine': {
        const grown = this.#growth.add(now, world.refused());
        this.#see('', grown > this.rule.readings! ? 'bad' : 'good', grown, now);
        break;
      }
      case 'lag':
        for (const { name, lagMs } of world.sinks()) {
          if (this.rule.sink !== undefined && this.rule.sink !== name) continue;
          this.#see(name, lagMs > this.rule.lagMs! ? 'bad' : 'good', lagMs, now);
        }
    }
  }

  /** What has to change; `stateOf` tells the state of a subject's alert as it is stored. */
  decide(now: number, stateOf: (subject: Subject) => AlertState | undefined): Decision[] {
    const decisions: Decision[] = [];
    for (const [name, watch] of this.#watches) {
      const subject = this.#subjectOf(name);
      const before = stateOf(subject);
      const state = watch.decide(before, now, patienceMs(this.rule), this.rule.clearForMs);
      if (state === before) continue;
      const value = state === 'resolved' ? watch.value : watch.badValue;
      decisions.push({ subject, state, since: watch.badSince ?? now, value });
    }
    return decisions;
  }

  /** Forgets subjects with which nothing is wrong. Called when what was decided is durable. */
  tidy(stateOf: (subject: Subject) => AlertState | undefined): void {
    for (const [name, watch] of this.#watches) {
      const state = stateOf(this.#subjectOf(name));
      const isOver = state === undefined || state === 'resolved';
      if ((isOver && watch.isIdle) || !this.minds(this.#subjectOf(name))) this.#watches.delete(name);
    }
  }

  /** The newest value of a subject that is watched. */
  valueOf({ device, sink }: Subject): number | undefined {
    return this.#watches.get(device ?? sink ?? '')?.value;
  }

  /** Who never connected is not missed; after a start of the hub everybody gets the whole time again. */
  #lookForQuiet(now: number, world: World): void {
    const { forMs } = this.rule;
    for (const id of this.#members) {
      const heardAt = this.#heard.get(id) ?? this.#startedAt;
      if (now - heardAt < forMs) {
        if (this.#heard.has(id)) this.#see(id, 'good', undefined, heardAt);
      } else if (this.#watches.has(id) || world.presenceOf(id)) this.#see(id, 'bad', undefined, heardAt);
    }
  }

  #lookAtPresence(id: string, presence: Presence | undefined, now: number): void {
    if (!presence) return;
    const isOffline = presence.state === 'offline';
    this.#see(id, isOffline ? 'bad' : 'good', undefined, isOffline ? presence.since : now);
  }

  #see(name: string, verdict: 'bad' | 'between' | 'good', value: number | undefined, at: number): void {
    let watch = this.#watches.get(name);
    if (!watch) {
      if (verdict !== 'bad' || !this.#hasRoom()) return;
      watch = new Watch();
      this.#watches.set(name, watch);
    }
    watch.see(verdict, value, at);
  }

  #subjectOf(name: string): Subject {
    if (name === '') return {};
    return this.rule.kind === 'lag' ? { sink: name } : { device: name };
  }
}
