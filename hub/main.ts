#!/usr/bin/env node
/** The program `hub`: arguments, signals, exit codes. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { type Catalog, loadCatalog, SchemaError } from '../schemas/index.ts';
import { type BridgeTestFlags, describeBridgeTest, runBridgeTest } from './cli/bridge-test.ts';
import { registerCli } from './cli.ts';
import { type Config, type ConfigSource, loadConfig, OPTIONS, type Option } from './config.ts';
import { checkWithCatalog } from './config-catalog.ts';
import { redacted, secretsOf } from './config-secrets.ts';
import { EXIT_CONFIG, UserError } from './kit/errors.ts';
import { hideSecrets, redact } from './kit/redact.ts';
import { exposedSecretFiles } from './kit/secret-files.file.ts';

const VERSION = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')).version as string;
const DEFAULT_CONFIG = 'config/hub.yaml';
/** A part that hangs may keep the process so long beyond its drain time. */
const GRACE_MS = 5_000;

const program = new Command('hub')
  .description('Telemetry Hub: telemetry up, commands down, and an acknowledgement a device can delete its buffer on.')
  .version(VERSION)
  .showHelpAfterError('(add --help for examples)')
  .configureOutput({ outputError: (text, write) => write(redact(text)) });

registerCli(program);

interface ConfigFlags {
  config?: string;
}

const configFlag = ['--config <file>', `configuration (HUB_CONFIG; default ${DEFAULT_CONFIG} if it is there)`] as const;
const dataFlag = ['--data <dir>', 'folder of everything the hub keeps (HUB_DATA)'] as const;
const dataDefault = process.env.HUB_DATA || './data';

program
  .command('start')
  .description('Runs a hub until SIGINT or SIGTERM.')
  .option(...configFlag)
  .option(...dataFlag, dataDefault)
  .addHelpText(
    'after',
    '\nExamples:\n  hub start\n  hub start --config config/production.yaml --data /var/lib/telemetry-hub\n  HUB_GATEWAY__PORT=9443 hub start',
  )
  .action(async (flags: ConfigFlags & { data: string }) => {
    const { config, catalog } = readChecked(flags);
    await run(config, catalog, resolve(flags.data));
  });

const configCommand = program.command('config').description('The configuration, without starting a hub.');

configCommand
  .command('check')
  .description('Says whether the configuration can be used (exit 0), or lists every mistake (exit 78).')
  .option(...configFlag)
  .addHelpText('after', '\nExamples:\n  hub config check --config config/production.yaml')
  .action((flags: ConfigFlags) => {
    const { file, catalog } = readChecked(flags);
    const { streams, commands } = catalog;
    process.stdout.write(
      `${file ?? 'The defaults'}: no mistakes. ${streams.size} streams, ${commands.size} commands.\n`,
    );
  });

configCommand
  .command('show')
  .description('Prints the configuration in force: file, environment and defaults together, secrets masked.')
  .option(...configFlag)
  .option('--json', 'print JSON instead of YAML')
  .addHelpText('after', '\nExamples:\n  HUB_LIMITS__WINDOW=64 hub config show\n  hub config show --json | jq .store')
  .action((flags: ConfigFlags & { json?: boolean }) => {
    const shown = redacted(readConfig(flags).config);
    process.stdout.write(flags.json ? `${JSON.stringify(shown, null, 2)}\n` : stringify(shown));
  });

configCommand
  .command('docs')
  .description('Lists every option with its environment variable, default and meaning.')
  .addHelpText('after', '\nExamples:\n  hub config docs | less')
  .action(() => {
    for (const option of OPTIONS) {
      process.stdout.write(`${wordsOf(option)}    ${option.env}\n`);
      for (const item of option.items ?? []) process.stdout.write(wordsOf(item));
    }
  });

function wordsOf({ path, schema }: Option): string {
  const fallback = schema.default === undefined ? '' : ` (default ${JSON.stringify(schema.default)})`;
  const choices = schema.enum ? ` [${schema.enum.join(' | ')}]` : '';
  return `${path.join('.')}${choices}${fallback}\n    ${schema.description}\n`;
}

describeBridgeTest(program.commands.find((command) => command.name() === 'bridge')!)
  .option(...configFlag)
  .action(async (flags: ConfigFlags & BridgeTestFlags) => {
    const payload = flags.payload === '-' ? readFileSync(process.stdin.fd) : Buffer.from(flags.payload);
    const { config, catalog } = readChecked(flags);
    runBridgeTest(config, catalog, flags, payload);
  });

/** The same with the schemas that it names, held against them too. */
function readChecked(flags: ConfigFlags): { config: Config; file: string | undefined; catalog: Catalog } {
  let catalog!: Catalog;
  const read = readConfig(flags, (config) => {
    catalog = loadCatalog(config.schemas.dir);
    return checkWithCatalog(config, catalog);
  });
  return { ...read, catalog };
}

/** Reads the file that --config, HUB_CONFIG or the default names, and checks it with the environment. */
function readConfig(
  flags: ConfigFlags,
  checkLast: ConfigSource['checkLast'] = () => [],
): { config: Config; file: string | undefined } {
  const asked = flags.config ?? (process.env.HUB_CONFIG || undefined);
  const file = asked ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  const readFile = (path: string) => readFileSync(path, 'utf8');
  try {
    const text = file === undefined ? undefined : readFile(file);
    const source = { env: process.env, readFile, checkLast };
    return { config: loadConfig(text === undefined ? source : { ...source, file: { name: file!, text } }), file };
  } catch (error) {
    if (error instanceof UserError || error instanceof SchemaError) throw error;
    throw new UserError(`The configuration ${file} cannot be read: ${(error as Error).message}`, EXIT_CONFIG);
  }
}

async function run(config: Config, catalog: Catalog, dataDir: string): Promise<void> {
  // Only here: the verbs that ask a running hub shall not wait for the parts of one to be loaded.
  const [{ startHub }, { createLog }] = await Promise.all([import('./hub.ts'), import('./kit/log.ts')]);
  hideSecrets(secretsOf(config));
  const log = createLog(config.log);
  for (const file of exposedSecretFiles(config))
    log.warn({ file }, `everybody on this machine can read a secret: chmod 600 ${file}`);
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'a bug: the hub stops here; it loses nothing that it acknowledged');
    process.exit(70);
  });
  const hub = await startHub(config, { catalog, dataDir, log, version: VERSION });
  const addressFile = join(dataDir, 'hub.json');
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, 'stopping: send the signal again to stop at once');
    const patience = setTimeout(() => {
      log.error('stopping took too long; what is acknowledged is on disk, the sinks go on after the next start');
      process.exit(1);
    }, config.gateway.drainMs + GRACE_MS);
    await hub.stop();
    clearTimeout(patience);
    rmSync(addressFile, { force: true });
    log.info('stopped; nothing acknowledged was lost');
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop(signal));
  // On a terminal it means that the terminal is gone; elsewhere an operator asks for the certificates to be read again.
  const isAttended = process.stdin.isTTY === true;
  process.on('SIGHUP', (signal) => void (isAttended ? stop(signal) : hub.reload()));
  // Only now: whoever reads the address may send signals.
  const { urls, apiCertificate } = hub;
  writeFileSync(addressFile, `${JSON.stringify({ pid: process.pid, ...urls, apiCertificate })}\n`, { mode: 0o600 });
  log.info({ ...urls, data: dataDir }, 'the hub is ready');
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof UserError || error instanceof SchemaError) {
    process.stderr.write(`${redact(error.message)}\n`);
    process.exit(error instanceof UserError ? error.exitCode : EXIT_CONFIG);
  }
  throw error;
}
