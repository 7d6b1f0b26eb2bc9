/** What commands to one device, to many and on a timetable have in common: options, parameters, the question before. */
import { type Command, Option } from 'commander';
import type { Selector } from '../commands/group.ts';
import { UserError } from '../kit/errors.ts';
import { durationOf, listOf, numberOf, pairOf, percentOf } from './arguments.ts';
import { EXIT, type Session } from './session.ts';

/** What the catalog says of a command. */
export interface ShownType {
  name: string;
  /** To be asked before it is sent. */
  confirm?: string;
  schema: { params?: { properties?: Record<string, { type?: string }> } };
}

/** The options of a command to many devices. */
export function withOrder(command: Command): Command {
  return command
    .option('--tag <name=value>', 'devices with this tag; may be repeated', pairOf)
    .option('--device <device>', 'only this device; may be repeated', listOf)
    .option('--all', 'every device')
    .option('--params <json>', 'parameters as a JSON object; name=value pairs are added')
    .option('--parallel <n>', 'so many devices at a time', numberOf)
    .option('--stop-when-failed <percent>', 'send no more once more than this share failed', percentOf)
    .option('--ttl <duration>', 'how long each may wait for its device, 1s to 30d', durationOf)
    .option('--timeout <duration>', 'how long a device may take', durationOf);
}

/** For commands that ask before they are sent. */
export const yesOption = () => new Option('-y, --yes', 'send it without the question that some commands ask');

/** The type of that name; undefined when there is none, which the hub says in better words. */
export async function typeOf({ client }: Session, name: string): Promise<ShownType | undefined> {
  const { commands } = await client.json<{ commands: ShownType[] }>('GET', '/v1/schemas');
  return commands.find((type) => type.name === name);
}

/**
 * Asks the question of a command that has one, with `whom` it is for. Throws `UserError` when the answer is no (failed),
 * and when nobody can be asked (usage).
 */
export async function confirmed({ options, ask }: Session, type: ShownType | undefined, whom: string): Promise<void> {
  if (type?.confirm === undefined || options.yes) return;
  if (!ask) {
    throw new UserError(`${type.name} asks: "${type.confirm}" Nobody can answer here; say --yes.`, EXIT.usage);
  }
  if (!(await ask(`${type.name} (${whom}): ${type.confirm}`))) throw new UserError('Nothing was sent.', EXIT.failed);
}

/** What the options say, as the API wants it. */
export function orderOf({ options }: Session): Record<string, unknown> {
  const { parallel, stopWhenFailed, ttl, timeout } = options;
  const order = { parallel, stopWhenFailedPercent: stopWhenFailed, ttlMs: ttl, timeoutMs: timeout };
  return Object.fromEntries(Object.entries(order).filter(([, value]) => value !== undefined));
}

/** The devices that the options mean. Throws `UserError` (usage) when they mean none. */
export function selectorOf({ options, tags }: Session): Selector {
  const devices = Array.isArray(options.device) ? options.device : undefined;
  if (options.all) {
    if (!devices && Object.keys(tags).length === 0) return { tags: {} };
    throw new UserError('--all means every device; leave it out, or leave out --tag and --device.', EXIT.usage);
  }
  if (Object.keys(tags).length > 0) return { tags, ...(devices && { devices }) };
  if (devices) return { devices };
  throw new UserError('Say which devices: --tag name=value, --device ID or --all.', EXIT.usage);
}

/** `floor=1 room=2`, `a, b`, `every device`. */
export function selectionText({ tags, devices }: Selector): string {
  const named = Object.entries(tags ?? {}).map(([name, value]) => `${name}=${value}`);
  const listed = devices === undefined ? [] : [devices.length > 3 ? `${devices.length} listed` : devices.join(', ')];
  return [...named, ...listed].join(' ') || 'every device';
}

/** The parameters of `--params` and of `name=value` pairs, read as the command's schema says. Throws `UserError` (usage). */
export function typedParamsOf(
  pairs: readonly string[],
  json: unknown,
  type: ShownType | undefined,
): Record<string, unknown> {
  const params = json === undefined ? {} : objectOf(String(json));
  const properties = type?.schema.params?.properties ?? {};
  for (const pair of pairs) {
    const [, key, text] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (key === undefined || text === undefined) throw new UserError(`"${pair}" is not name=value.`, EXIT.usage);
    const [head = '', inner] = splitOnce(key);
    // A name with a dot is a part of an object, unless the schema has a parameter of just this name.
    if (inner === undefined || Object.hasOwn(properties, key))
      params[key] = typedValueOf(text, properties[key]?.type, key);
    else params[head] = { ...(params[head] as object | undefined), [inner]: typedValueOf(text, undefined, key) };
  }
  return params;
}

function splitOnce(key: string): string[] {
  const dot = key.indexOf('.');
  return dot < 1 ? [key] : [key.slice(0, dot), key.slice(dot + 1)];
}

/** Text stays text where the schema says string; a value the schema does not name is JSON if it can be. */
function typedValueOf(text: string, type: string | undefined, key: string): unknown {
  if (type === 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    if (type === undefined) return text;
    throw new UserError(`${key} is "${text}", but shall be of type ${type}.`, EXIT.usage);
  }
}

function objectOf(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, in the same words.
  }
  throw new UserError('--params is a JSON object.', EXIT.usage);
}
