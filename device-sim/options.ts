/** The simulator's command line: its options, their defaults, and what can be wrong with them. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { MAP_SYNTAX, type MappedField, parseMap } from './replay.ts';

export interface Options {
  url?: string;
  devices: number;
  rate: number;
  stream: string;
  forMs?: number;
  batch: number;
  prefix: string;
  ack: 'journaled' | 'stored';
  outbox: number;
  ca?: string;
  insecure?: boolean;
  data: string;
  api?: string;
  apiTokenFile?: string;
  tokens?: string;
  schemas?: string;
  replay?: string;
  map?: MappedField[];
  speed: number;
  shiftToNow?: boolean;
  goOn?: boolean;
  seed: number;
  json?: boolean;
  allowRejects?: boolean;
}

const EXAMPLES = `
Examples:
  npm run sim -- --devices 200 --rate 5 --stream environment --for 30s
      against the hub of this machine, whose data folder is ./data
  npm run sim -- --url wss://hub.example:8443/v1/device --ca ca.pem --tokens tokens.json --devices 10
      against any hub, with devices made before; tokens.json is {"sim-0001": "thd_…", …}
  npm run sim -- --devices 1 --replay device-sim/data/occupancy-2015-02-05.csv --speed max \\
      --map temperature=temperature,humidity=humidity,co2=co2,light=light,occupied=occupancy:boolean
      streams a recording with its own timestamps; its column "time" is RFC 3339 or Unix milliseconds

Exit code: 0 every reading was acknowledged; 1 some were not, or were rejected (see --allow-rejects); 2 wrong usage.`;

/** Parses the arguments after the program's name. Throws commander's `CommanderError`, after it has printed. */
export function parseOptions(argv: readonly string[], env: NodeJS.ProcessEnv): Options {
  const program = new Command('npm run sim --')
    .description('Simulates devices: many of them, or one that replays a recording.')
    .option('--url <url>', 'the gateway (default: as the hub in the data folder says)', url(['ws:', 'wss:']))
    .option('--devices <n>', 'how many devices', whole(1), 20)
    .option('--rate <n>', 'readings per second of each device', positive, 1)
    .option('--stream <name>', 'environment, power, position, machine, or one of yours (see --schemas)', 'environment')
    .option('--for <time>', 'how long to send, such as 30s, 5m or 1h (default: until Ctrl-C)', duration)
    .option('--batch <n>', 'readings in a frame', whole(1, 1000), 1)
    .option('--prefix <text>', 'the devices are called <prefix>0001 and so on', 'sim-')
    .addOption(new Option('--ack <when>', 'what an ack means').choices(['journaled', 'stored']).default('journaled'))
    .option('--outbox <n>', 'readings a device holds while the hub is away', whole(1), 10_000)
    .option('--ca <file>', "PEM certificate to trust (default: the hub's, in the data folder)")
    .option('--insecure', 'trust any certificate')
    .option('--data <dir>', 'data folder of a hub on this machine', env.HUB_DATA ?? './data')
    .option('--api <url>', 'the operator API, to make devices', url(['http:', 'https:']))
    .option('--api-token-file <file>', "an operator's token (default: admin.token in the data folder)")
    .option('--tokens <file>', 'where tokens are kept (default: sim-tokens.json in the data folder)')
    .option('--schemas <dir>', 'folder with schemas of your own, as schemas.dir of the hub')
    .option('--replay <file>', 'send the rows of this CSV file instead of made-up readings')
    .option('--map <map>', MAP_SYNTAX, mapping)
    .option('--speed <n>', 'speed of the replay: 1, 60, … or max', speed, 1)
    .option('--shift-to-now', 're-date the recording so that it ends now')
    .option(
      '--go-on',
      'after the recording go on with its values, backwards and forwards: --rate a second, dated as they are sent',
    )
    .option('--seed <n>', 'the same seed makes the same readings', whole(0), 1)
    .option('--json', 'print one JSON object on standard output, and nothing else there')
    .option('--allow-rejects', 'rejected readings do not make the exit code 1')
    .addHelpText('after', EXAMPLES)
    .exitOverride();
  program.parse(argv, { from: 'user' });
  const { for: forMs, ...options } = program.opts();
  if ((options.replay === undefined) !== (options.map === undefined)) {
    program.error('error: --replay and --map belong together');
  }
  return { ...options, ...(forMs !== undefined && { forMs }) } as Options;
}

function whole(least: number, most = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least}${most < 1e9 ? ` to ${most}` : ' on'}.`);
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (value >= 1e-5 && value <= 1e5) return value;
  throw new InvalidArgumentError('It is a number between 0.00001 and 100000.');
}

function speed(text: string): number {
  return text === 'max' ? Number.POSITIVE_INFINITY : positive(text);
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (match) return Number(match[1]) * UNITS_MS[match[2]!]!;
  throw new InvalidArgumentError('It is a number with ms, s, m or h, such as 30s.');
}

function url(protocols: string[]) {
  return (text: string): string => {
    if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text.replace(/\/$/, '');
    throw new InvalidArgumentError(`It begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
  };
}

function mapping(text: string): MappedField[] {
  try {
    return parseMap(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
