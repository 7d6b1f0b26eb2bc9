/** The bill of materials names the hub and everything it is shipped with, and nothing that only developers use. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

interface Locked {
  version: string;
  dev?: boolean;
  optional?: boolean;
}

it('a bill of materials that cannot be written is one sentence', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/sbom.ts', '/nope/x'], { cwd: ROOT });
  expect([status, String(stdout)]).toEqual([1, '']);
  expect(String(stderr)).toMatch(/^The bill of materials cannot be written: ENOENT.*\/nope\/x'\n$/);
});

it('the bill of materials holds every package of production, with version, address and licence', () => {
  const dir = mkdtempSync(join(tmpdir(), 'hub-sbom-'));
  const file = join(dir, 'sbom.json');
  execFileSync(process.execPath, ['scripts/sbom.ts', file], { cwd: ROOT });
  const bill = JSON.parse(readFileSync(file, 'utf8'));
  rmSync(dir, { recursive: true });
  expect(bill).toMatchObject({
    bomFormat: 'CycloneDX',
    metadata: { component: { name: 'telemetry-hub', type: 'application' } },
  });
  const shipped = new Set<string>(bill.components.map(({ purl }: { purl: string }) => purl));
  const locked = Object.entries(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages as object);
  const wanted = locked
    .filter(([path, { dev, optional }]: [string, Locked]) => path !== '' && !dev && !optional)
    .map(([path, { version }]: [string, Locked]) => {
      const name = path.split('node_modules/').at(-1)!;
      return `pkg:npm/${name.replace('@', '%40')}@${version}`;
    });
  expect(wanted.length).toBeGreaterThan(50);
  expect(wanted.filter((purl) => !shipped.has(purl))).toEqual([]);
  expect([...shipped].filter((purl) => /vitest|typescript|biome/.test(purl))).toEqual([]);
  for (const { name, licenses } of bill.components) expect([name, licenses]).toEqual([name, expect.any(Array)]);
});
