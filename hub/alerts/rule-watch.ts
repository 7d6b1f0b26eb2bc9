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

/** How many subjects may be watched still, shared by all rules. */
export interface Room {
  left: number;
}

export class RuleWatch {
  readonly rule: Rule;
  readonly #startedAt: number;
  readonly #room: Room;
  readonly #watches = new Map<string, Watch>();
  /** Ids of the devices it means. */
  readonly #members = new Set<string>();
  /** Of `no-reading`: when each was heard last. */
  readonly #heard = new Map<string, number>();
  /** Of `no-reading`: since when a first reading is waited for. */
  readonly #awaited = new Map<string, number>();
  readonly #growth: Growth;

  constructor(rule: Rule, startedAt: number, room: Room) {
    this.rule = rule;
    this.#startedAt = startedAt;
    this.#room = room;
    this.#growth = new Growth(rule.windowMs ?? 1);
  }

  /** What was refused before is no growth, and what is refused from now on is. */
  countFrom(now: number, refused: number): void {
    this.#growth.add(now, refused);
  }

  /** Gives its room back; it is used no more. */
  close(): void {
    this.#room.left += this.#watches.size;
    this.#watches.clear();
  }

  /** Goes on with an alert that is not over. */
  resume({ device, sink, state, since, value }: Alert): void {
    this.#room.left -= 1;
    this.#watches.set(device ?? sink ?? '', Watch.resumed(state, since, value));
  }

  /** A device came, changed, or (undefined) went. */
  deviceChanged(id: string, device: Device | undefined): void {
    if (device?.enabled && means(this.rule, device)) this.#members.add(id);
    else {
      this.#members.delete(id);
      this.#heard.delete(id);
      this.#awaited.delete(id);
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

  /** What has to change, one after the other; `stateOf` tells the state of a subject's alert as it is stored. */
  *decide(now: number, stateOf: (subject: Subject) => AlertState | undefined): Generator<Decision> {
    for (const [name, watch] of this.#watches) {
      const subject = this.#subjectOf(name);
      const before = stateOf(subject);
      const state = watch.decide(before, now, patienceMs(this.rule), this.rule.clearForMs);
      if (state === before) continue;
      const value = state === 'resolved' ? watch.value : watch.badValue;
      yield { subject, state, since: watch.badSince ?? now, value };
    }
  }

  /** Forgets subjects with which nothing is wrong. Called when what was decided is durable. */
  tidy(stateOf: (subject: Subject) => AlertState | undefined): void {
    for (const [name, watch] of this.#watches) {
      const state = stateOf(this.#subjectOf(name));
      const isOver = state === undefined || state === 'resolved';
      if (!(isOver && watch.isIdle) && this.minds(this.#subjectOf(name))) continue;
      this.#watches.delete(name);
      this.#room.left += 1;
    }
  }

  /** The newest value of a subject that is watched. */
  valueOf({ device, sink }: Subject): number | undefined {
    return this.#watches.get(device ?? sink ?? '')?.value;
  }

  /** Who never connected is not missed; who was not heard yet has the whole time, from the start of the hub or its coming. */
  #lookForQuiet(now: number, world: World): void {
    for (const id of this.#members) {
      const heardAt = this.#heard.get(id);
      const since = heardAt ?? this.#awaitedSince(id, world);
      if (since === undefined) continue;
      if (now - since >= this.rule.forMs) this.#see(id, 'bad', undefined, since);
      else if (heardAt !== undefined) this.#see(id, 'good', undefined, heardAt);
    }
  }

  /** Found out once: a device that comes and goes without a reading gains no time by it. */
  #awaitedSince(id: string, world: World): number | undefined {
    const known = this.#awaited.get(id);
    if (known !== undefined) return known;
    const presence = world.presenceOf(id);
    if (!presence) return undefined;
    const since = Math.max(this.#startedAt, presence.since);
    this.#awaited.set(id, since);
    return since;
  }

  #lookAtPresence(id: string, presence: Presence | undefined, now: number): void {
    if (!presence) return;
    const isOffline = presence.state === 'offline';
    this.#see(id, isOffline ? 'bad' : 'good', undefined, isOffline ? presence.since : now);
  }

  #see(name: string, verdict: 'bad' | 'between' | 'good', value: number | undefined, at: number): void {
    let watch = this.#watches.get(name);
    if (!watch) {
      if (verdict !== 'bad' || this.#room.left <= 0) return;
      this.#room.left -= 1;
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
