/** The hub's topics: templates of the configuration, checked once, filled in for each message, and read backwards. */
import { faultOfFilter, faultOfTopic, fitsFilter, overlap } from './link/topic-name.ts';

/** Names that a template may hold in braces; `{prefix}` is filled in at the start. */
export type Placeholder = 'device' | 'stream' | 'command';

/** The templates as configured. */
export interface TopicTemplates {
  telemetry: string;
  status: string;
  command: string;
  result: string;
  state: string;
}

export interface Topics {
  telemetry(device: string, stream: string): string;
  status(device: string): string;
  command(device: string, command: string): string;
  result(device: string, command: string): string;
  /** Of the hub itself. */
  readonly state: string;
  /** Takes every topic of commands, and perhaps others: `commandOf` tells. */
  readonly commandFilter: string;
  /** Undefined for a topic that is none of commands. */
  commandOf(topic: string): { device: string; command: string } | undefined;
  /** Whether a template makes such a topic: no place for others to publish. */
  owns(topic: string): boolean;
}

/** What is wrong with a template; `key` is its name. */
export interface TemplateFault {
  key: keyof TopicTemplates;
  message: string;
}

/** What each template must hold, and no other. */
const HOLDS: Record<keyof TopicTemplates, readonly Placeholder[]> = {
  telemetry: ['device', 'stream'],
  status: ['device'],
  command: ['device', 'command'],
  result: ['device', 'command'],
  state: [],
};
const KEYS = Object.keys(HOLDS) as (keyof TopicTemplates)[];
/** As long as a name of the hub can be. */
const LONGEST = 'x'.repeat(64);
const NAME = /\{([^{}/]*)\}/g;

/** Every mistake in the templates; none when `compileTopics` can take them. */
export function faultsOfTopics(prefix: string, templates: TopicTemplates): TemplateFault[] {
  const faults = KEYS.flatMap((key) => {
    const message =
      faultOfTemplate(templates[key], HOLDS[key], prefix) ?? (key === 'command' && faultOfCommand(templates));
    return message ? [{ key, message }] : [];
  });
  return faults.length > 0 ? faults : collisionsOf(prefix, templates);
}

/** The templates must have no fault. */
export function compileTopics(prefix: string, templates: TopicTemplates): Topics {
  const fill = (key: keyof TopicTemplates) => compileTemplate(templates[key].replaceAll('{prefix}', prefix));
  const [telemetry, status, command, result] = [fill('telemetry'), fill('status'), fill('command'), fill('result')];
  const levels = templates.command.replaceAll('{prefix}', prefix).split('/');
  const deviceAt = levels.indexOf('{device}');
  const commandAt = levels.indexOf('{command}');
  const filters = KEYS.map((key) => filterOf(templates[key], prefix));
  return {
    telemetry: (device, stream) => telemetry({ device, stream }),
    status: (device) => status({ device }),
    command: (device, name) => command({ device, command: name }),
    result: (device, name) => result({ device, command: name }),
    state: fill('state')({}),
    commandFilter: filterOf(templates.command, prefix),
    commandOf(topic) {
      const found = topic.split('/');
      const fits = found.length === levels.length && levels.every((level, at) => isName(level) || level === found[at]);
      return fits ? { device: found[deviceAt]!, command: found[commandAt]! } : undefined;
    },
    owns: (topic) => filters.some((filter) => fitsFilter(filter, topic)),
  };
}

/** A function from names to the text, made of what stands between the braces. */
function compileTemplate(template: string): (names: Partial<Record<Placeholder, string>>) => string {
  const parts = template.split(NAME) as string[];
  return (names) => {
    let text = parts[0]!;
    for (let at = 1; at < parts.length; at += 2) text += names[parts[at] as Placeholder] + parts[at + 1]!;
    return text;
  };
}

function faultOfTemplate(template: string, holds: readonly Placeholder[], prefix: string): string | undefined {
  const names = Array.from(template.matchAll(NAME), ([, name]) => name!).filter((name) => name !== 'prefix');
  const unknown = names.find((name) => !(holds as readonly string[]).includes(name));
  const list = ['prefix', ...holds].map((name) => `{${name}}`).join(', ');
  if (unknown !== undefined) return `has {${unknown}}, which stands for nothing here; it may have ${list}`;
  const missing = holds.find((name) => !names.includes(name));
  if (missing !== undefined) return `must have {${missing}}, or the messages of several ${missing}s would be one`;
  const rest = template.replace(NAME, '');
  if (/[{}]/.test(rest)) return 'has a brace without its partner';
  const longest = template.replaceAll('{prefix}', prefix).replace(NAME, LONGEST);
  const fault = faultOfTopic(longest);
  if (fault) return fault;
  return longest.startsWith('$') ? 'must not begin with $: such topics belong to the broker' : undefined;
}

/** It is read backwards, so each name must be told from its neighbours. */
function faultOfCommand({ command }: TopicTemplates): string | undefined {
  const levels = command.split('/');
  const isWhole = HOLDS.command.every(
    (name) => levels.filter((level) => level.includes(`{${name}}`)).join() === `{${name}}`,
  );
  return isWhole ? undefined : 'must have {device} and {command} once each, as a whole level';
}

/** Two templates that could name the same topic would mix their messages, and the hub would hear itself. */
function collisionsOf(prefix: string, templates: TopicTemplates): TemplateFault[] {
  return KEYS.flatMap((key, at) => {
    const other = KEYS.slice(0, at).find((before) =>
      overlap(filterOf(templates[key], prefix), filterOf(templates[before], prefix)),
    );
    return other ? [{ key, message: `could name the same topic as topics.${other}` }] : [];
  });
}

/** The filter that takes every topic of a template. */
function filterOf(template: string, prefix: string): string {
  const levels = template.replaceAll('{prefix}', prefix).split('/');
  return levels.map((level) => (/\{(device|stream|command)\}/.test(level) ? '+' : level)).join('/');
}

const isName = (level: string) => level === '{device}' || level === '{command}';

/** Why Home Assistant's or another's prefix cannot stand before topics; undefined when it can. */
export function faultOfPrefix(prefix: string): string | undefined {
  return faultOfFilter(`${prefix}/+`) ?? faultOfTopic(prefix);
}
