/** Completion in a real bash against a real operator API, and help: every verb of the tree has its examples. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerCli } from '../../hub/cli.ts';
import { scriptOf } from '../../hub/completion/completion.file.ts';
import { SHELLS, type Shell } from '../../hub/completion/shells.ts';
import { treeOf } from '../../hub/completion/tree.ts';
import { startApi, type TestApi } from '../helpers/api.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'hub/main.ts');
const run = promisify(execFile);

function program(): Command {
  const made = new Command('hub');
  registerCli(made);
  return made;
}

describe('completion in bash', () => {
  let hub: TestApi;
  let env: Record<string, string>;
  let script: string;

  beforeAll(async () => {
    hub = await startApi();
    for (const id of ['meter-7', 'meter-8', 'a:b:c']) await hub.devices.add(id);
    const bin = join(hub.dataDir, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'hub'), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
    await chmod(join(bin, 'hub'), 0o755);
    env = { PATH: `${bin}:${process.env.PATH}`, HUB_DATA: hub.dataDir };
    script = join(hub.dataDir, 'completion.bash');
    await writeFile(script, (await run('hub', ['completion', 'bash'], { env })).stdout);
  });
  afterAll(() => hub.close());

  /** What Tab offers at the end of the line. */
  async function tab(line: string, vars = env): Promise<string[]> {
    const press = `source "$1"; COMP_LINE=$2 COMP_POINT=${line.length}; _hub; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run('bash', ['--norc', '--noprofile', '-ic', press, 'bash', script, line], { env: vars });
    return stdout.split('\n').filter(Boolean);
  }

  it('offers the verbs, those of the program itself included', async () => {
    expect(await tab('hub ')).toEqual(expect.arrayContaining(['devices', 'status', 'tail', 'start', 'config']));
    expect(await tab('hub ')).not.toContain('__names');
    expect(await tab('hub de')).toEqual(['devices']);
    expect(await tab('hub devices s')).toEqual(expect.arrayContaining(['sessions', 'show']));
  });

  it.each([
    ['hub devices ls --pres', ['--presence']],
    ['hub devices ls --presence ', ['online', 'silent', 'offline']],
    ['hub devices ls --presence=si', ['silent']],
    ['hub completion ', ['bash', 'zsh', 'fish']],
    ['hub devices show meter-7 ', []],
    ['hub nonsense x', []],
  ])('completes "%s" by what the verb takes', async (line, offered) => {
    expect(await tab(line)).toEqual(offered);
  });

  it.each([
    ['hub devices show ', ['a:b:c', 'meter-7', 'meter-8']],
    ['hub devices show --json m', ['meter-7', 'meter-8']],
    ['hub tail meter-7', ['meter-7']],
    ['hub quarantine ls --device met', ['meter-7', 'meter-8']],
    ['hub query meter-7 env', ['environment']],
    ['hub send meter-7 set-i', ['set-interval']],
  ])('asks the running hub for the names in "%s"', async (line, names) => {
    expect(await tab(line)).toEqual(names);
  });

  it('gives back only what follows a colon, as bash wants it', async () => {
    expect(await tab('hub devices show a:b')).toEqual(['b:c']);
  });

  it('finds the hub by --data in the line', async () => {
    const { HUB_DATA: _, ...elsewhere } = env;
    expect(await tab(`hub devices show --data ${hub.dataDir} meter-8`, elsewhere as typeof env)).toEqual(['meter-8']);
  });

  it('offers no names, and says nothing, when no hub runs', async () => {
    expect(await tab('hub devices show ', { ...env, HUB_DATA: '/nowhere' })).toEqual([]);
  });

  it('works when a person presses Tab on a terminal', async () => {
    const keys = `source ${script}\nhub devices show met\t7 --js\t >${hub.dataDir}/shown\nexit\n`;
    const shell = 'bash --norc --noprofile -i';
    const terminal = spawn('script', ['-qec', shell, '/dev/null'], { env: { ...env, TERM: 'dumb' } });
    terminal.stdin.end(keys);
    await once(terminal, 'close');
    expect(JSON.parse(await readFile(`${hub.dataDir}/shown`, 'utf8'))).toMatchObject({ id: 'meter-7' });
  });
});

describe('completion of every shell', () => {
  it.each(Object.keys(SHELLS) as Shell[])('%s knows each path and each option of the tree', (shell) => {
    const script = scriptOf(program(), shell);
    for (const { path, options } of treeOf(program())) {
      expect(script).toContain(path === '' ? 'hub' : `'${path}'`);
      for (const { flags } of options) {
        const long = flags.at(-1)!;
        expect(script).toContain(shell === 'fish' ? `-l ${long.slice(2)}` : long);
      }
    }
  });
});

describe('help', () => {
  const leaves = (command: Command, path: string[]): { command: Command; path: string[] }[] =>
    command.commands.length === 0
      ? [{ command, path }]
      : command.commands.flatMap((each) => leaves(each, [...path, each.name()]));

  function helpOf(command: Command): string {
    let text = '';
    command.configureOutput({ writeOut: (more) => (text += more) });
    command.outputHelp();
    return text;
  }

  it.each(leaves(program(), []).map(({ command, path }) => [path.join(' '), command] as const))(
    'of hub %s says what it does and shows examples of itself',
    (path, command) => {
      expect(command.description().length).toBeGreaterThan(10);
      const [, examples = ''] = helpOf(command).split('\nExamples:\n');
      expect(examples).toMatch(new RegExp(`^ +.*\\bhub ${path}\\b`, 'm'));
    },
  );

  it('is there for the verbs of the program itself too', async () => {
    const { stdout } = await run(process.execPath, [MAIN, 'completion', 'bash']);
    const all = [...stdout.matchAll(/^ {4}'([^']+)'\) subs=''/gm)].map(([, path]) => path!);
    const known = new Set(leaves(program(), []).map(({ path }) => path.join(' ')));
    const own = all.filter((path) => !known.has(path));
    expect(own).toEqual(expect.arrayContaining(['start', 'config check', 'config show', 'config docs']));
    for (const path of own) {
      const help = (await run(process.execPath, [MAIN, ...path.split(' '), '--help'])).stdout;
      expect(help).toMatch(new RegExp(`Examples:\n[^]*^ +.*\\bhub ${path}\\b`, 'm'));
    }
  });

  it('of every group of verbs says what it is about', () => {
    const groups = (command: Command): Command[] => command.commands.flatMap((each) => [each, ...groups(each)]);
    for (const each of groups(program())) expect([each.name(), each.description()]).not.toContain('');
  });
});
