/**
 * A million spoilt frames against a running hub: `npm run fuzz -- --frames 1000000 --seed 1 --devices 16`. Ends with 1 when
 * the hub gave an answer that docs/protocol.md does not allow, stood still too long, grew, or did not outlive it.
 */
import { flagsOf } from '../../bench/flags.ts';
import { runCampaign } from './campaign.ts';
import { faultsOf, LIMITS } from './verdict.ts';

const HELP = `npm run fuzz -- [options]
  --frames N    frames that all devices send together (1000000)
  --seed N      repeats the frames of a run (another one each time)
  --devices N   devices that send at a time (16)
Exit code: 0 no promise was broken; 1 one was; 2 wrong usage.
`;

const flags = flagsOf({
  frames: { type: 'string', default: '1000000' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
  devices: { type: 'string', default: '16' },
  help: { type: 'boolean', default: false },
});
if (flags.help) {
  process.stdout.write(HELP);
  process.exit();
}
const [frames, seed, devices] = [flags.frames, flags.seed, flags.devices].map(Number) as [number, number, number];
const again = `npm run fuzz -- --frames ${frames} --seed ${seed} --devices ${devices}`;
const say = (text: string) => process.stdout.write(`${text}\n`);

const STEP = 100_000;
let done = 0;

say(again);
try {
  const campaign = await runCampaign({
    ...{ frames, seed, devices },
    onProgress(more) {
      if (Math.floor((done + more) / STEP) > Math.floor(done / STEP)) say(`${done + more} frames`);
      done += more;
    },
  });
  const { log, dataDir, loopFile, ...figures } = campaign;
  say(JSON.stringify(figures, undefined, 2));
  const faults = faultsOf(campaign, LIMITS);
  for (const fault of faults) say(`broken: ${fault}`);
  if (faults.length === 0) say('no promise was broken');
  process.exitCode = faults.length === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\nAgain: ${again}\n`);
  process.exitCode = 1;
}
