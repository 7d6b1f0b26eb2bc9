/** Reads and writes Sparkplug payloads with Google's `protoc`, so that no code of ours judges itself. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, '../fixtures');

/** A metric as `protoc` prints it; 64-bit integers are bigint, so that negative ones show their two's complement. */
export interface DecodedMetric {
  name: string;
  datatype: number;
  timestamp: number;
  is_historical?: boolean;
  is_null?: boolean;
  /** Of whichever kind it is. */
  value?: number | bigint | boolean | string;
  /** Of the property `engUnit`. */
  unit?: string;
}

export interface DecodedPayload {
  timestamp?: number;
  seq?: number;
  metrics: DecodedMetric[];
}

/** Throws when it is no Sparkplug payload, or holds a field that the specification does not know. */
export function decodeSparkplug(bytes: Uint8Array): DecodedPayload {
  const tree = parse(run('--decode', bytes).toString('utf8').split('\n').values());
  return {
    ...(tree.timestamp && { timestamp: Number(tree.timestamp[0]) }),
    // A number that proto2 holds is there even when it is 0.
    ...(tree.seq && { seq: Number(tree.seq[0]) }),
    metrics: ((tree.metrics ?? []) as Tree[]).map(metricOf),
  };
}

/** Bytes of a payload in the text format of protocol buffers. */
export const encodeSparkplug = (text: string): Buffer => run('--encode', Buffer.from(text));

function run(verb: '--decode' | '--encode', input: Uint8Array): Buffer {
  return execFileSync('protoc', [`${verb}=sparkplug.Payload`, '-I', FIXTURES, join(FIXTURES, 'sparkplug-b.proto')], {
    input,
  });
}

type Leaf = string | bigint | number | boolean;
interface Tree {
  [field: string]: (Leaf | Tree)[];
}

/** The text format: `name: value` and `name { … }`. */
function parse(lines: Iterator<string>): Tree {
  const tree: Tree = {};
  for (let line = lines.next(); !line.done; line = lines.next()) {
    const text = line.value.trim();
    if (text === '}') return tree;
    const [, name, leaf] = /^(\w+)(?:: (.*)| \{)$/.exec(text) ?? [];
    if (!name) {
      if (text === '') continue;
      throw new Error(`protoc printed "${text}"`);
    }
    if (/^\d+$/.test(name)) throw new Error(`field ${name} is not of Sparkplug B`);
    tree[name] ??= [];
    tree[name].push(leaf === undefined ? parse(lines) : leafOf(name, leaf));
  }
  return tree;
}

function leafOf(name: string, text: string): Leaf {
  if (text.startsWith('"')) return JSON.parse(text.replaceAll(/\\([0-7]{3})/g, (_, octal) => octalOf(octal)));
  if (text === 'true' || text === 'false') return text === 'true';
  return name === 'long_value' ? BigInt(text) : Number(text);
}

const octalOf = (digits: string) => `\\u00${Number.parseInt(digits, 8).toString(16).padStart(2, '0')}`;

function metricOf(tree: Tree): DecodedMetric {
  const value = Object.entries(tree).find(([name]) => name.endsWith('_value'))?.[1][0] as Leaf | undefined;
  const one = (name: string) => tree[name]?.[0];
  const unit = ((tree.properties?.[0] as Tree | undefined)?.values?.[0] as Tree | undefined)?.string_value?.[0];
  return {
    ...{ name: String(one('name')), datatype: Number(one('datatype')), timestamp: Number(one('timestamp')) },
    ...(one('is_historical') !== undefined && { is_historical: one('is_historical') === true }),
    ...(one('is_null') !== undefined && { is_null: one('is_null') === true }),
    ...(value !== undefined && { value }),
    ...(unit !== undefined && { unit: Buffer.from(String(unit), 'latin1').toString('utf8') }),
  };
}
