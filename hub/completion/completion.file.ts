/** `hub completion SHELL`: prints what a shell needs to complete verbs, options and names that the hub knows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, type Command } from 'commander';
import { type AddVerb, EXIT, type Session } from '../cli/session.ts';
import { SHELLS, type Shell } from './shells.ts';
import { type NameKind, treeOf } from './tree.ts';

/** How long a person who pressed Tab waits for the hub. */
const PATIENCE_MS = 1_500;
const MAX_NAMES = 500;
const INSTALL = `
Examples:
  hub completion bash > ~/.local/share/bash-completion/completions/hub
  hub completion zsh > ~/.zfunc/_hub     (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  hub completion fish > ~/.config/fish/completions/hub.fish
  source <(hub completion bash)          (for this shell only)

Make it again after an update of the hub. The names of devices, commands and streams come from the running hub.`;

/** How the names of each kind are asked for. */
const NAMES: Record<NameKind, (prefix: string) => string> = {
  devices: (prefix) => `/v1/devices?${new URLSearchParams({ prefix, limit: String(MAX_NAMES) })}`,
  commands: () => '/v1/schemas',
  streams: () => '/v1/schemas',
  schedules: () => '/v1/schedules',
  groups: () => '/v1/groups',
};

/** Adds the verb, and the hidden one that its scripts call. */
export function registerCompletion(program: Command, verb: AddVerb): void {
  program
    .command('completion')
    .description('Prints the completion of a shell.')
    .addArgument(new Argument('<shell>').choices(Object.keys(SHELLS)))
    .addHelpText('after', INSTALL)
    .action((shell: Shell) => void process.stdout.write(scriptOf(program, shell)));
  const names = verb(program, '__names <kind> [prefix]', 'Names, for completion.', printNames, [
    'hub __names devices m',
  ]);
  // Commander has the option to hide a command only where it makes it.
  Object.assign(names, { _hidden: true });
}

/** The whole script: how it was made, the data of this tree, and the engine. */
export function scriptOf(program: Command, shell: Shell): string {
  const engine = readFileSync(join(import.meta.dirname, `engine.${shell}`), 'utf8');
  const data = SHELLS[shell](treeOf(program));
  const head = `${shell === 'zsh' ? '#compdef hub\n' : ''}# Made by: hub completion ${shell}\n`;
  // Fish's engine defines what its data calls; the others call the data.
  return head + (shell === 'fish' ? engine + data : data + engine);
}

/** One name a line; nothing when the hub does not answer soon. */
async function printNames({ client, print }: Session, kind = '', prefix = '') {
  const ask = NAMES[kind as NameKind];
  if (!ask) return;
  setTimeout(() => process.exit(EXIT.unreachable), PATIENCE_MS).unref();
  const answer = await client.json<Record<string, { id?: string; name?: string }[]>>('GET', ask(prefix));
  const names = (answer[kind] ?? []).map(({ id, name = '' }) => id ?? name);
  const found = names.filter((name) => name.startsWith(prefix));
  if (found.length > 0) print(found.join('\n'));
}
