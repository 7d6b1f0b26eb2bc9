/** Mistakes that the hub found in a request, told in the words that were typed: options and arguments, not JSON pointers. */
import type { Command } from 'commander';
import type { Mistake } from '../api/problem.ts';
import { UserError } from '../kit/errors.ts';
import { EXIT } from './session.ts';

/** The hub did not understand the request. Its message has a line for each mistake. */
export class RequestMistake extends UserError {
  readonly mistakes: readonly Mistake[];
  constructor(detail: string, mistakes: readonly Mistake[], nameOf = (mistake: Mistake) => dotted(partsOf(mistake))) {
    const lines = mistakes.map((mistake) => `${nameOf(mistake)}${sentenceOf(mistake)}`);
    super(mistakes.length > 0 ? lines.join('\n') : detail, EXIT.usage);
    this.mistakes = mistakes;
  }

  /** The same in the words of the verb that was typed. */
  asTyped(command: Command): RequestMistake {
    return new RequestMistake(this.message, this.mistakes, (mistake) => typedName(mistake, command));
  }
}

/** Fields of the API that are options of another name. */
const OPTIONS: Record<string, string> = {
  ttlMs: 'ttl',
  timeoutMs: 'timeout',
  forMs: 'for',
  clearForMs: 'clearFor',
  windowMs: 'window',
  lagMs: 'lag',
  expiresInMs: 'expires',
  overlapMs: 'overlap',
  expectedIntervalMs: 'expectedInterval',
  stopWhenFailedPercent: 'stopWhenFailed',
  timeZone: 'zone',
  tags: 'tag',
  devices: 'device',
};
/** Fields of the API that are arguments, perhaps of another name. */
const ARGUMENTS: Record<string, string[]> = {
  name: ['command', 'name'],
  id: ['id', 'device', 'schedule', 'group'],
  tag: ['device'],
};
const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

function partsOf({ path }: Mistake): string[] {
  const parts = path.split('/').slice(1);
  const words = parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).filter((part) => part !== '');
  return words[0] === 'selector' ? words.slice(1) : words;
}

const dotted = (parts: string[]) => parts.join('.') || 'The request';

function typedName(mistake: Mistake, command: Command): string {
  const [field = '', ...inside] = partsOf(mistake);
  if (field === 'params' && mistake.in === 'body') return inside.join('.') || 'The parameters';
  const name = OPTIONS[field] ?? field;
  const option = command.options.find((each) => each.attributeName() === name);
  if (option) return name === 'tag' && inside.length > 0 ? `--tag ${dotted(inside)}` : option.long!;
  const names = ARGUMENTS[field] ?? [field];
  const argument = command.registeredArguments.find((each) => names.includes(each.name()));
  return argument ? `<${argument.name()}>` : dotted([field, ...inside]);
}

/** What follows the name, ` must be at least 1m`: bounds in words, and milliseconds as a duration is typed. */
function sentenceOf(mistake: Mistake): string {
  const isTime = partsOf(mistake)[0]?.endsWith('Ms') && mistake.in === 'body';
  const words = mistake.message.replace(/>= (?=[\d-])/, 'at least ').replace(/<= (?=[\d-])/, 'at most ');
  const separator = /^[a-z]/.test(words) ? ' ' : ': ';
  return separator + (isTime ? words.replaceAll(/\d+/g, (ms) => durationAsTyped(Number(ms))) : words);
}

function durationAsTyped(ms: number): string {
  const [unit, length] = Object.entries(UNITS).find(([, each]) => ms % each === 0 && ms >= each) ?? ['ms', 1];
  return `${ms / length}${unit}`;
}
