/** The rules of the dashboard: a client of the API and of nothing else, small, and without anything from other hosts. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../schemas/index.ts';

const ROOT = join(import.meta.dirname, '../..');
const SOURCE = join(ROOT, 'dashboard/src');
const BUILT = join(ROOT, 'dashboard/dist');
const PACKAGES = new Set(['preact', 'preact/hooks', '@preact/signals', 'uplot', 'uplot/dist/uPlot.min.css']);
const MOST_BYTES = 250_000;

const filesIn = (folder: string, ending: RegExp) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => join(folder, name));
/** Programs for devices, which it only shows. */
const SHOWN = 'devices/snippets.ts';
const sources = filesIn(SOURCE, /\.tsx?$/)
  .map((file) => ({ file: relative(SOURCE, file), text: readFileSync(file, 'utf8') }))
  .filter(({ file }) => file !== SHOWN);

interface Options {
  properties?: Record<string, Options>;
}

function isOption([first, ...rest]: string[], options: Options): boolean {
  const here = options.properties?.[first!];
  return here !== undefined && (rest.length === 0 || isOption(rest, here));
}

describe('the dashboard', () => {
  it('is read at all', () => expect(sources.length).toBeGreaterThan(40));

  it('imports its own files and a few packages, nothing of the hub', () => {
    const wrong = sources.flatMap(({ file, text }) =>
      [...text.matchAll(/^(?:import|export)\s(?:[^'"();]*?\sfrom\s)?'([^']+)';/gms)]
        .map(([, what]) => what!)
        .filter((what) => (what.startsWith('.') ? /(\.\.\/){3}/.test(what) : !PACKAGES.has(what)))
        .map((what) => `${file} → ${what}`),
    );
    expect(wrong).toEqual([]);
  });

  it('names no option of the configuration that is not there', () => {
    const named = sources.flatMap(({ text }) => [...text.matchAll(/<code>([a-z]+(?:\.[a-z]\w+)+)<\/code>/g)]);
    const options = named.map(([, name]) => name!).filter((name) => name.split('.')[0]! in configSchema.properties);
    expect(options).toContain('mqtt.brokers');
    expect(options.filter((name) => !isOption(name.split('.'), configSchema as Options))).toEqual([]);
  });

  it('touches the network in dotted files only', () => {
    const wrong = sources.filter(
      ({ file, text }) => !/\.\w+\.tsx?$/.test(file) && /\bfetch\(|new (WebSocket|EventSource)\(/.test(text),
    );
    expect(wrong.map(({ file }) => file)).toEqual([]);
  });

  it('puts no text of others into the page as HTML', () => {
    expect(
      sources.filter(({ text }) => /innerHTML|dangerouslySet|insertAdjacentHTML/.test(text)).map(({ file }) => file),
    ).toEqual([]);
  });

  it('is less than 250 kB when it is built and compressed', () => {
    const sizes = filesIn(BUILT, /\.gz$/).map((file) => statSync(file).size);
    expect(sizes.length).toBeGreaterThan(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MOST_BYTES);
  });

  it('loads nothing from another host', () => {
    const page = readFileSync(join(BUILT, 'index.html'), 'utf8');
    const styles = filesIn(BUILT, /\.css$/).map((file) => readFileSync(file, 'utf8'));
    expect([page, ...styles].filter((text) => /(?:src|href)="(?:https?:)?\/\/|url\(|@import/.test(text))).toEqual([]);
  });
});
