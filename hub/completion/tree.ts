/** The tree of commands as a shell needs it to complete a line; read from commander's own, so nothing is listed twice. */
import type { Argument, Command, Option } from 'commander';

/** One command; `path` is what is typed after the program's name. */
export interface Completion {
  path: string;
  subcommands: { name: string; description: string }[];
  /** `kind` is there when the option takes a value. */
  options: { flags: string[]; description: string; kind?: Kind }[];
  /** Of each argument; the last one may be `many`. */
  args: { kind: Kind; many: boolean }[];
}

/** Names that a running hub knows. */
export const NAME_KINDS = ['devices', 'commands', 'streams', 'schedules', 'groups'] as const;
export type NameKind = (typeof NAME_KINDS)[number];

/** What a value is: a name, a file, a folder, one of `a|b|c`, or anything. */
export type Kind = NameKind | 'file' | 'dir' | `choices:${string}` | 'any';

/** By the name of the option, or of its value or the argument: whoever adds a verb names it so and gets completion. */
const KINDS: Record<string, Kind> = {
  device: 'devices',
  command: 'commands',
  stream: 'streams',
  schedule: 'schedules',
  group: 'groups',
  file: 'file',
  dir: 'dir',
};

/** Every visible command from this one on, parents first. */
export function treeOf(command: Command, path = ''): Completion[] {
  const help = command.createHelp();
  const below = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  const here: Completion = {
    path,
    subcommands: below.map((each) => ({ name: each.name(), description: each.description() })),
    options: help.visibleOptions(command).map(optionOf),
    args: command.registeredArguments.map((each) => ({ kind: kindOf(each), many: each.variadic })),
  };
  return [here, ...below.flatMap((each) => treeOf(each, `${path} ${each.name()}`.trim()))];
}

function optionOf(option: Option): Completion['options'][number] {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const { description, argChoices } = option;
  if (!option.required && !option.optional) return { flags, description };
  const [, value = ''] = /[<[]([^>\]]+)/.exec(option.flags) ?? [];
  return { flags, description, kind: choicesOf(argChoices) ?? KINDS[option.attributeName()] ?? KINDS[value] ?? 'any' };
}

function kindOf(argument: Argument): Kind {
  return choicesOf(argument.argChoices) ?? KINDS[argument.name()] ?? 'any';
}

function choicesOf(values: readonly string[] | undefined): Kind | undefined {
  return values && `choices:${values.join('|')}`;
}
