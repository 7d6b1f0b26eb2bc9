/** The tree of commands in the words of bash, zsh and fish: the data that each shell's engine works on. */
import type { Completion } from './tree.ts';

/** Makes a shell's data from the tree. */
export const SHELLS = { bash: bashData, zsh: zshData, fish: fishData };
export type Shell = keyof typeof SHELLS;

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const argsOf = ({ args }: Completion) => args.map(({ kind, many }) => (many ? `${kind}*` : kind));

/** Sets `subs`, `opts` (`--name`, or `--name=kind` when it takes a value) and `args`, lists of words. */
function bashData(tree: Completion[]): string {
  const cases = tree.map((node) => {
    const subs = node.subcommands.map(({ name }) => name);
    const opts = node.options.flatMap(({ flags, kind }) => flags.map((flag) => (kind ? `${flag}=${kind}` : flag)));
    const [sub, opt, arg] = [subs, opts, argsOf(node)].map((words) => quote(words.join(' ')));
    return `    ${quote(node.path)}) subs=${sub} opts=${opt} args=${arg} ;;\n`;
  });
  return `_hub_data() {\n  case $1 in\n${cases.join('')}  esac\n}\n`;
}

/** Sets the arrays `subs` and `opts` (`name:description`), `kinds` (of options that take a value, by name) and `args`. */
function zshData(tree: Completion[]): string {
  const described = (name: string, description: string) => quote(`${name}:${description}`);
  const cases = tree.map((node) => {
    const subs = node.subcommands.map(({ name, description }) => described(name, description));
    const opts = node.options.flatMap(({ flags, description }) => flags.map((flag) => described(flag, description)));
    const kinds = node.options.flatMap(({ flags, kind }) => (kind ? flags.flatMap((flag) => [flag, quote(kind)]) : []));
    const lists = { subs, opts, kinds, args: argsOf(node).map(quote) };
    const lines = Object.entries(lists).map(([name, words]) => `      ${name}=(${words.join(' ')})\n`);
    return `    ${quote(node.path)})\n${lines.join('')}      ;;\n`;
  });
  return `_hub_data() {\n  case $1 in\n${cases.join('')}  esac\n}\n`;
}

/** Lists the paths and the options that take a value, then says one `complete` for each thing that can be typed. */
function fishData(tree: Completion[]): string {
  const paths = tree.map(({ path }) => quote(path)).join(' ');
  const valued = new Set(tree.flatMap(({ options }) => options.flatMap(({ flags, kind }) => (kind ? flags : []))));
  const lines = tree.flatMap((node) => {
    const at = `__hub_at ${quote(node.path)}`;
    const subs = node.subcommands.map(({ name, description }) => ['-a', name, '-d', quote(description)]);
    const opts = node.options.map(({ flags, description, kind }) => {
      const names = flags.flatMap((flag) => (flag.startsWith('--') ? ['-l', flag.slice(2)] : ['-s', flag.slice(1)]));
      return [...names, '-d', quote(description), ...(kind ? fishValues(kind) : [])];
    });
    const args = argsOf(node).map((kind, index) => {
      const many = kind.endsWith('*') ? ' many' : '';
      const words = fishValues(kind.replace('*', '')).filter((word) => word !== '-x');
      return { when: `${at} ${index}${many}`, words };
    });
    return [
      ...[...subs, ...opts].map((words) => ({ when: at, words })),
      ...args.filter(({ words }) => words.length > 0),
    ].map(({ when, words }) => `complete -c hub -n ${quote(when)} ${words.join(' ')}\n`);
  });
  return `set -g __hub_paths ${paths}\nset -g __hub_valued ${[...valued].join(' ')}\ncomplete -c hub -f\n${lines.join('')}`;
}

/** Of an option that takes a value: no file names (`-x`) unless it is one. */
function fishValues(kind: string): string[] {
  if (kind === 'any') return ['-x'];
  if (kind === 'file') return ['-r', '-F'];
  if (kind === 'dir') return ['-x', '-a', quote('(__fish_complete_directories)')];
  if (kind.startsWith('choices:')) return ['-x', '-a', quote(kind.slice('choices:'.length).replaceAll('|', ' '))];
  return ['-x', '-a', quote(`(__hub_names ${kind})`)];
}
