/** Reads the import lines of the source and holds them against the rules of docs/architecture.md. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const FOLDERS = ['hub', 'device-sim', 'schemas', 'demo'];
const ENTRY_POINTS = [
  'hub/hub-storage.ts',
  'hub/hub-records.ts',
  'hub/hub-bridge.ts',
  'hub/hub-broker.ts',
  'hub/hub-road.ts',
  'hub/hub-care.ts',
  'hub/hub-doors.ts',
  'hub/hub-alerts.ts',
  'hub/main.ts',
  'hub/cli.ts',
  'hub/hub.ts',
  'device-sim/main.ts',
  'demo/main.ts',
  'schemas/generate-types.ts',
];

/** Rule 3: packages that touch the world, and the only files that may import each. */
const HOMES: Record<string, RegExp> = {
  ws: /^(hub\/gateway\/(listener|socket)\.ws|hub\/api\/upgrades\.ws|device-sim\/socket\.ws)\.ts$/,
  influx: /^hub\/telemetry\/store\.influx\.ts$/,
  mqtt: /^hub\/bridge\/link\/bridge\.mqtt\.ts$/,
  aedes: /^hub\/bridge\/broker\/broker\.aedes\.ts$/,
  'sparkplug-payload': /^hub\/bridge\/sparkplug\/sparkplug-codec\.ts$/,
  'node-cron': /^hub\/jobs\.cron\.ts$/,
  ajv: /^schemas\/index\.ts$/,
  fastify: /^hub\/api\/server\.http\.ts$/,
  pino: /^hub\/kit\/log\.ts$/,
  'prom-client': /^hub\/kit\/metrics\.ts$/,
  yaml: /^hub\/(config|main)\.ts$/,
};

/** Rule 2: Node's own modules that touch the world. */
const OUTSIDE = new Set(
  'node:fs node:fs/promises node:net node:tls node:http node:https node:child_process node:sqlite node:worker_threads'.split(
    ' ',
  ),
);

/** Rule 4: which features a feature may know. */
const ARROWS: Record<string, string[]> = {
  gateway: ['telemetry', 'commands', 'devices'],
  api: ['gateway', 'telemetry', 'commands', 'devices', 'operators', 'audit', 'bridge', 'alerts'],
  commands: ['devices', 'backplane'],
  devices: ['backplane'],
  operators: ['devices', 'backplane'],
  audit: [],
  alerts: ['devices', 'telemetry', 'backplane'],
  bridge: ['telemetry', 'commands', 'devices', 'backplane'],
  telemetry: [],
  backplane: [],
  cli: ['api', 'gateway', 'telemetry', 'commands', 'devices', 'operators', 'audit', 'bridge', 'alerts'],
  completion: ['cli'],
  metrics: [],
  kit: [],
};

interface Import {
  from: string;
  what: string;
  isType: boolean;
}

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.gen.ts'))
    .map((name) => join(folder, name)),
);
const imports = files.flatMap(importsOf);

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const lines = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'"();]*?\sfrom\s+)?'([^']+)';/gms);
  return [...lines].map(([, type, specifier]) => ({
    from: file,
    what: specifier!.startsWith('.') ? relative(ROOT, join(ROOT, dirname(file), specifier!)) : specifier!,
    isType: type !== undefined,
  }));
}

const isDotted = (file: string) => (file.split('/').at(-1)!.match(/\./g)?.length ?? 0) > 1;
const featureOf = (file: string) => /^hub\/([a-z-]+)\//.exec(file)?.[1];
const isOurs = (what: string) => FOLDERS.some((folder) => what.startsWith(`${folder}/`));
const show = ({ from, what }: Import) => `${from} → ${what}`;

/** What docs/architecture.md names under "Where is what", `*` for any part of a name. */
function namedFiles(): RegExp[] {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const part = page.split('## Where is what')[1]!.split('\n## ')[0]!;
  const names = [...part.matchAll(/`([\w.*-]+\.ts)`/g)].map(([, name]) => name!);
  return names.map((name) => new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('*', '[\\w-]+')}$`));
}

describe('docs/architecture.md', () => {
  const inFeatures = files.filter((file) => featureOf(file));
  const nameOf = (file: string) => file.split('/').at(-1)!;

  it('names every file of the features, and none that there is not', () => {
    const named = namedFiles();
    expect(named.length).toBeGreaterThan(100);
    expect(inFeatures.filter((file) => !named.some((name) => name.test(nameOf(file))))).toEqual([]);
    expect(named.filter((name) => !inFeatures.some((file) => name.test(nameOf(file))))).toEqual([]);
  });
});

describe('the house rules', () => {
  it('reads imports at all', () => {
    expect(imports.length).toBeGreaterThan(50);
  });

  it('1. a dotted file is imported by an entry point, or by a dotted file, and by nobody else', () => {
    const wrong = imports.filter(
      ({ from, what, isType }) =>
        isOurs(what) &&
        isDotted(what) &&
        !what.endsWith('.gen.ts') &&
        !isType &&
        !ENTRY_POINTS.includes(from) &&
        !isDotted(from),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('2. sockets, files and processes are touched in dotted files and entry points only', () => {
    const pure = (file: string) => !isDotted(file) && !ENTRY_POINTS.includes(file) && file !== 'schemas/index.ts';
    const wrong = imports.filter(({ from, what, isType }) => pure(from) && OUTSIDE.has(what) && !isType);
    const allowed = wrong.filter(({ from, what }) => !(from === 'hub/kit/network.ts' && what === 'node:net'));
    expect(allowed.map(show)).toEqual([]);
  });

  it.each(Object.entries(HOMES))('3. %s has one home', (name, home) => {
    const wrong = imports.filter(({ from, what, isType }) => what === name && !isType && !home.test(from));
    expect(wrong.map(show)).toEqual([]);
  });

  it('4. between features arrows go one way', () => {
    const wrong = imports.filter(({ from, what }) => {
      const feature = featureOf(from);
      const other = featureOf(what);
      return feature && other && feature !== other && other !== 'kit' && !ARROWS[feature]?.includes(other);
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('5. the simulator is an independent client, and the contract knows nobody', () => {
    const wrong = imports.filter(
      ({ from, what }) =>
        (from.startsWith('device-sim/') && isOurs(what) && !/^(device-sim|schemas)\//.test(what)) ||
        (from.startsWith('schemas/') && isOurs(what) && !what.startsWith('schemas/')),
    );
    expect(wrong.map(show)).toEqual([]);
  });
});
