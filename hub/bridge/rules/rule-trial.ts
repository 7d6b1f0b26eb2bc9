/** Shows what the rules make of a message, without a broker and without a hub. Pure. */
import type { Stream } from '../../../schemas/index.ts';
import { DEVICE_ID } from '../../devices/device-details.ts';
import { createIngest } from '../../telemetry/ingest.ts';
import type { Rule } from './rules.ts';

/** What one rule made of it. */
export interface Trial {
  rule: string;
  stream: string;
  /** Absent when the message does not tell it. */
  device?: string;
  /** Present when it would be stored. `ts` is that of the arrival when the payload has none. */
  reading?: Record<string, unknown>;
  /** Why not. */
  refused?: { path: string; code: string; message: string };
  /** The rule leaves the message alone: none of its fields is in it, or it is retained. */
  skipped?: string;
}

export interface TrialOptions {
  streams: ReadonlyMap<string, Stream>;
  clockAheadMs: number;
  /** 0: the store keeps everything. */
  retentionMs: number;
  /** Unix milliseconds. */
  now: number;
}

interface Message {
  topic: string;
  payload: Buffer;
  retain: boolean;
  /** Only the rules for this broker; all without it. */
  broker?: string;
}

/** One entry for each rule of the topic; none when there is no such rule. */
export function tryRules(rules: readonly Rule[], message: Message, options: TrialOptions): Trial[] {
  const { topic, broker } = message;
  const concerned = rules.filter((rule) => {
    return rule.matches(topic) && (broker === undefined || rule.broker === undefined || rule.broker === broker);
  });
  return concerned.map((rule) => tryRule(rule, message, options));
}

function tryRule(rule: Rule, { topic, payload, retain }: Message, options: TrialOptions): Trial {
  const about = { rule: rule.name, stream: rule.stream };
  if (retain && !rule.retained) return { ...about, skipped: 'it is retained, and the rule takes no retained messages' };
  const outcome = rule.apply(topic, payload, retain);
  if (outcome.kind === 'nothing') return { ...about, skipped: 'none of the fields is in the payload' };
  const { device } = outcome;
  const named = { ...about, ...(device !== undefined && { device }) };
  if (outcome.kind === 'refused') {
    const { path, code, message } = outcome;
    return { ...named, refused: { path, code, message } };
  }
  if (!DEVICE_ID.test(outcome.device))
    return {
      ...named,
      refused: { path: '', code: 'device', message: `"${outcome.device.slice(0, 80)}" is no device id` },
    };
  const ingest = createIngest({ ...options, readingsPerFrame: 1 });
  const { readings, rejected } = ingest.check(rule.stream, [outcome.reading], options.now, new Map());
  if (!rejected) return { ...named, reading: readings[0]! };
  const { path, code, message } = rejected[0]!;
  return { ...named, refused: { path, code, message } };
}
