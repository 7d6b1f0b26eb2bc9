/** The streams and commands of a hub: the shipped ones, and those of the user's folder. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadCatalog } from '../../schemas/index.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'schemas-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function write(path: string, schema: object): string {
  const file = join(dir, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(schema));
  return file;
}

const stream = (maximum: number) => ({
  type: 'object',
  additionalProperties: false,
  properties: { humidity: { type: 'number', maximum } },
});

it('a file of the user is a stream beside the shipped ones', () => {
  write('telemetry/weather.json', stream(100));
  const { streams, replaced } = loadCatalog(dir);
  expect([...streams.keys()]).toEqual([...loadCatalog().streams.keys(), 'weather']);
  expect(replaced).toEqual([]);
});

it('a file of the user with the name of a shipped one stands in for it', () => {
  const files = [
    write('telemetry/environment.json', stream(200)),
    write('commands/reboot.json', { title: 'Restart', description: 'Starts the device again.' }),
  ];
  const { streams, commands, replaced } = loadCatalog(dir);
  expect([...streams.keys()]).toEqual([...loadCatalog().streams.keys()]);
  expect([...streams.get('environment')!.fields.keys()]).toEqual(['humidity']);
  expect(streams.get('environment')!.check({ humidity: 150 })).toBeUndefined();
  expect(commands.get('reboot')!.title).toBe('Restart');
  expect(replaced).toEqual(files);
});
