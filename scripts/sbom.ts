/** `npm run sbom -- [file]`: writes what the hub is shipped with as a CycloneDX bill of materials (sbom.cdx.json). */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Component {
  'bom-ref': string;
  properties?: { name: string }[];
}

interface Dependency {
  ref: string;
  dependsOn: string[];
}

const DEV = 'cdx:npm:package:development';
const ROOT = join(import.meta.dirname, '..');
const [file = join(ROOT, 'sbom.cdx.json')] = process.argv.slice(2);

const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only'];
const bill = JSON.parse(execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 }));
const { name, description } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
// npm's own --omit=dev leaves out what developers and the hub both use.
const isDev = ({ properties = [] }: Component) => properties.some((property) => property.name === DEV);
const left = new Set<string>(bill.components.filter(isDev).map((component: Component) => component['bom-ref']));
bill.components = bill.components.filter((component: Component) => !left.has(component['bom-ref']));
bill.dependencies = bill.dependencies
  .filter(({ ref }: Dependency) => !left.has(ref))
  .map(({ ref, dependsOn }: Dependency) => ({ ref, dependsOn: dependsOn.filter((other) => !left.has(other)) }));
// npm calls the whole after the folder that it is in.
Object.assign(bill.metadata.component, { name, description });
try {
  writeFileSync(file, `${JSON.stringify(bill, null, 2)}\n`);
  process.stdout.write(`${file}: ${bill.components.length} packages, CycloneDX ${bill.specVersion}\n`);
} catch (error) {
  process.stderr.write(`The bill of materials cannot be written: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
