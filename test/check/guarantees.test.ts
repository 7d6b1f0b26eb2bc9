/** docs/guarantees.md names what there is: each promise, test files, commands and pages. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = 'docs/guarantees.md';
const text = readFileSync(join(ROOT, PAGE), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

const all = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((found) => found[1]!))];
const sections = text.split(/^### /m).slice(1);

describe('docs/guarantees.md', () => {
  it('has every promise once, each with at least one test of its own', () => {
    expect(sections.map((section) => section.split(' ')[0])).toEqual(
      Array.from({ length: 15 }, (_, at) => `I${at + 1}`),
    );
    for (const section of sections) expect(section).toMatch(/test\/(e2e|integration)\/[\w.-]+\.test\.ts/);
  });

  it('names files that there are', () => {
    const paths = all(/\b((?:test|hub|docs|schemas|torture|bench)\/[\w./-]*\.(?:ts|md|json))/g);
    expect(paths.length).toBeGreaterThan(30);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('links to pages that there are', () => {
    const links = all(/\]\(([^)#]+)(?:#[^)]*)?\)/g);
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(PAGE), link)))).toEqual([]);
  });

  it('names commands that there are', () => {
    const commands = all(/npm run ([\w:-]+)/g);
    expect(commands.length).toBeGreaterThan(3);
    expect(commands.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('says of each row of the failures which test tries it', () => {
    const table = text.split('## In each failure')[1]!.split('\n## ')[0]!;
    const rows = table
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(2);
    expect(rows).toHaveLength(12);
    expect(rows.filter((row) => !/test\/[\w/.-]+\.test\.ts/.test(row))).toEqual([]);
  });
});
