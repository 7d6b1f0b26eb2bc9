/** Spoilt frames against a running hub, and what they made it create; `npm run fuzz` does the same with a million. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runCampaign } from '../fuzz/campaign.ts';
import { createMutator } from '../fuzz/mutator.ts';
import { faultsOf, LIMITS } from '../fuzz/verdict.ts';
import { seededRandom } from '../helpers/random.ts';
import { createdIn } from '../helpers/strace.ts';

const FRAMES = Number(process.env.TEST_FUZZ_FRAMES ?? 50_000);
const SEED = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000_000);
/** Calls that can bring a name into a file system. */
const COMPILED = process.env.NODE_COMPILE_CACHE!;
const CREATING =
  'open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat';

const folder = mkdtempSync(join(tmpdir(), 'fuzz-trace-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it(`answers ${FRAMES} spoilt frames by the protocol, stays calm, and creates nothing outside its folder (seed ${SEED})`, async () => {
  const trace = join(folder, 'trace');
  const campaign = await runCampaign({
    ...{ frames: FRAMES, seed: SEED, devices: 8 },
    wrapper: ['strace', '-D', '-f', '-q', '--seccomp-bpf', '-e', `trace=${CREATING}`, '-o', trace],
  });
  expect(faultsOf(campaign, LIMITS)).toEqual([]);
  expect(campaign.fates.frames).toBeGreaterThanOrEqual(FRAMES * 0.9);
  for (const fate of ['acked', 'rejected', 'flow', 'again', 'errors'] as const)
    expect(campaign.fates[fate], fate).toBeGreaterThan(0);
  // What Node keeps of compiled files is the tests' wish, not the hub's.
  const created = createdIn(readFileSync(trace, 'utf8')).filter((path) => !path.startsWith(COMPILED));
  expect(created.filter((path) => path.startsWith(campaign.dataDir)).length).toBeGreaterThan(5);
  expect(created.filter((path) => !path.startsWith(`${campaign.dataDir}/`) && path !== campaign.loopFile)).toEqual([]);
  expect(existsSync('/tmp/hub-was-here')).toBe(false);
});

it('makes the same frames of the same seed', () => {
  const make = () => {
    const mutator = createMutator(seededRandom(7));
    return Array.from({ length: 2_000 }, (_, at) => mutator.next(at + 1, 1_800_000_000_000));
  };
  const frames = make();
  expect(make()).toEqual(frames);
  expect(new Set(frames.map(({ data }) => data.toString('latin1'))).size).toBeGreaterThan(1_900);
});
