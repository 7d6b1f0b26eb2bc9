/** Telemetry of devices that live on a broker: messages go up the same road as the frames of a WebSocket. */
import { DEVICE_ID } from '../../devices/device-details.ts';
import { Unavailable } from '../../kit/errors.ts';
import { withoutTokens } from '../../kit/redact.ts';
import type { GivenTimes, Ingest } from '../../telemetry/ingest.ts';
import type { Quarantine } from '../../telemetry/quarantine.ts';
import type { Frame, Rejection } from '../../telemetry/reading.ts';
import type { Incoming } from '../link/link-port.ts';
import { faultOfTopic } from '../link/topic-name.ts';
import { epochOf, HUBS_PROPERTY, MAX_HUBS } from '../origin.ts';
import type { Echoes } from './echoes.ts';
import type { Outcome, Rule } from './rules.ts';

export interface InboundTelemetryDeps {
  /** Name of the broker. */
  broker: string;
  hubId: string;
  /** All rules; those of other brokers are left out here. */
  rules: readonly Rule[];
  ingest: Ingest;
  /** Hands a frame to the journal; false when it cannot take it now. */
  append(frame: Frame): boolean;
  /** What is refused is kept there while there is room, and counted when there is none. */
  quarantine: Pick<Quarantine, 'admits' | 'drop'>;
  /** The registry: undefined for a device that is not known. */
  device(id: string): { enabled: boolean } | undefined;
  /** Adds a device without a token. Throws when it cannot. */
  register(id: string, rule: Rule): Promise<void>;
  /** Readings that were taken and refused, for the metrics. */
  counts: { accepted: number; rejected: number };
  /** Given while messages carry no properties. */
  echoes(): Echoes | undefined;
  log: { warn(fields: object, message: string): void };
  now?: () => number;
  /** Between two attempts to append. */
  retryMs?: number;
}

/** What became of the messages of a rule since the hub started. */
export interface RuleStatus {
  name: string;
  broker: string;
  stream: string;
  filter: string;
  /** Messages that came. */
  messages: number;
  /** Readings that became durable. */
  readings: number;
  /** Messages of which nothing was taken because something is wrong with them. */
  refused: number;
  /** Messages without a field of the rule, and retained ones that it does not take. */
  skipped: number;
  /** Messages that this hub had seen before. */
  looped: number;
  /** Why the last one was refused. */
  lastRefusal?: string;
}

export interface InboundTelemetry {
  /** Each distinct topic filter, to be subscribed to once. */
  readonly filters: readonly string[];
  /** Resolves when what the rules of the filter made of it is durable. Throws `Unavailable` when the journal takes nothing. */
  receive(filter: string, message: Incoming): Promise<void>;
  status(): RuleStatus[];
  /** Forgets a removed device. */
  forget(device: string): void;
  /** Lets nobody wait any longer. Idempotent. */
  close(): void;
}

/** Longer topics are refused: they would be stored with each reading. */
const MAX_TOPIC = 1_024;
const ATTEMPTS = 10;
/** Devices that rules may add until the hub is started again. Policy: refuse, and count. */
const MAX_REGISTERED = 10_000;
/** Different refusals of which one line each is logged. */
const MAX_TOLD = 1_000;
const HUB_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function createInboundTelemetry(deps: InboundTelemetryDeps): InboundTelemetry {
  const { broker, hubId, ingest, append, quarantine, device: known, log, counts } = deps;
  const { now = Date.now, retryMs = 1_000 } = deps;
  const rules = deps.rules
    .filter((rule) => rule.broker === undefined || rule.broker === broker)
    .map((rule) => ({ rule, count: { messages: 0, readings: 0, refused: 0, skipped: 0, looped: 0 }, last: '' }));
  type Counted = (typeof rules)[number];
  const given = new Map<string, GivenTimes>();
  const registering = new Map<string, Promise<void>>();
  const told = new Set<string>();
  const closing = new AbortController();
  let registered = 0;

  function refuse(to: Counted, code: string, about: string, words: string): void {
    to.count.refused += 1;
    to.last = `${about}: ${words}`.slice(0, 300);
    const key = `${to.rule.name} ${code} ${about}`;
    if (told.has(key) || told.size >= MAX_TOLD) return;
    told.add(key);
    log.warn({ broker, rule: to.rule.name, about, code }, `a message was refused: ${words}`);
  }

  async function take(to: Counted, message: Incoming): Promise<void> {
    const { rule, count } = to;
    const { topic, retain, payload } = message;
    count.messages += 1;
    const hubs = hubsOf(message);
    if (hubs.includes(hubId) || hubs.length > MAX_HUBS) count.looped += 1;
    else if (retain && !rule.retained) count.skipped += 1;
    else {
      const fault = topic.length > MAX_TOPIC ? `has more than ${MAX_TOPIC} characters` : faultOfTopic(topic);
      if (fault) refuse(to, 'topic', topic.slice(0, 80), `no device has its topic, which ${fault}`);
      else await use(to, message, hubs, rule.apply(topic, payload, retain));
    }
  }

  async function use(to: Counted, message: Incoming, hubs: string[], outcome: Outcome): Promise<void> {
    if (outcome.kind === 'nothing') {
      to.count.skipped += 1;
      return;
    }
    const { device = '' } = outcome;
    const about = device.slice(0, 80) || message.topic;
    const stranger = await whyNot(device, to.rule, outcome);
    if (stranger) return refuse(to, stranger.code, about, stranger.words);
    // Before the check, which gives it its time.
    const isTimed = outcome.kind === 'reading' && !('ts' in outcome.reading);
    const frame: Frame = {
      ...{ device, epoch: epochOf({ broker, topic: message.topic, hubs }), seq: 0 },
      ...{ stream: to.rule.stream, receivedAt: now(), ...checked(device, to.rule, outcome) },
    };
    const [reading] = frame.readings;
    if (reading && deps.echoes()?.has(device, frame.stream, reading, isTimed, message.topic, now())) {
      to.count.looped += 1;
      return;
    }
    const [rejection] = frame.rejected ?? [];
    if (!rejection || quarantine.admits(device, 1)) await durable(frame);
    else quarantine.drop(1);
    to.count.readings += frame.readings.length;
    counts.accepted += frame.readings.length;
    counts.rejected += frame.rejected?.length ?? 0;
    if (rejection) refuse(to, rejection.code, about, wordsOf(rejection));
  }

  /** Why nothing may be stored of this device; undefined when something may. */
  async function whyNot(device: string, rule: Rule, outcome: Outcome) {
    if (outcome.kind === 'refused' && outcome.device === undefined)
      return { code: outcome.code, words: wordsOf(outcome) };
    if (!DEVICE_ID.test(device)) return { code: 'device', words: 'the name of its device is no device id' };
    // What fits no rule or no stream is no reason to add a device.
    if (!known(device) && rule.register && outcome.kind === 'reading' && !registering.has(device)) {
      const [misfit] = ingest.check(rule.stream, [{ ...outcome.reading }], now(), new Map()).rejected ?? [];
      if (misfit) return { code: misfit.code, words: wordsOf(misfit) };
      register(device, rule);
    }
    // Those that follow wait for the same promise, so they stay in order; without one nobody waits.
    const pending = registering.get(device);
    if (pending) await pending;
    const row = known(device);
    if (!row)
      return { code: 'not-found', words: 'its device is no device of this hub: hub devices add, or register: true' };
    return row.enabled ? undefined : { code: 'device-disabled', words: 'its device is disabled' };
  }

  function register(device: string, rule: Rule): void {
    if (registered >= MAX_REGISTERED) return;
    registered += 1;
    const work = deps.register(device, rule).finally(() => registering.delete(device));
    registering.set(device, work);
  }

  function checked(device: string, rule: Rule, outcome: Exclude<Outcome, { kind: 'nothing' }>) {
    if (outcome.kind === 'refused') {
      const { path, code, message, payload } = outcome;
      return { readings: [], rejected: [kept({ index: 0, path, code, message, reading: payload })] };
    }
    const times = given.get(device) ?? new Map();
    given.set(device, times);
    const { readings, rejected } = ingest.check(rule.stream, [outcome.reading], now(), times);
    return rejected ? { readings, rejected: rejected.map(kept) } : { readings };
  }

  async function durable(frame: Frame): Promise<void> {
    for (let attempt = 1; !closing.signal.aborted; attempt++) {
      if (await appended(frame)) return;
      if (attempt === ATTEMPTS) break;
      await pause(retryMs, closing.signal);
    }
    throw new Unavailable('The journal cannot take what came from the broker now.');
  }

  function appended(frame: Frame): Promise<boolean> {
    return new Promise((resolve) => {
      const owner = { durable: () => resolve(true), refused: () => resolve(false) };
      if (!append({ ...frame, owner })) resolve(false);
    });
  }

  return {
    filters: [...new Set(rules.map(({ rule }) => rule.filter))],
    async receive(filter, message) {
      const concerned = rules.filter(({ rule }) => rule.filter === filter && rule.matches(message.topic));
      await Promise.all(concerned.map((rule) => take(rule, message)));
    },
    status: () =>
      rules.map(({ rule: { name, stream, filter }, count, last }) => ({
        ...{ name, broker, stream, filter, ...count },
        ...(last && { lastRefusal: last }),
      })),
    forget: (device) => void given.delete(device),
    close: () => closing.abort(),
  };
}

/** The hubs a message passed; words that are no hub's id are somebody else's. */
function hubsOf({ properties }: Incoming): string[] {
  return [properties.userProperties?.[HUBS_PROPERTY] ?? []].flat().filter((hub) => HUB_ID.test(hub));
}

/** A clause: what is wrong, in the field or in the whole. */
const wordsOf = ({ path, message }: Pick<Rejection, 'path' | 'message'>) => `${path.slice(1) || 'it'} ${message}`;

const kept = (rejection: Rejection): Rejection => withoutTokens(rejection);

function pause(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      stopped.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    stopped.addEventListener('abort', end);
  });
}
