/**
 * Loaded into a hub by `NODE_OPTIONS=--import`: each SIGUSR2 puts its wall clock on by the next of CLOCK_JUMPS_MS, a list
 * with commas, as a correction by NTP or by a person would.
 */
import { isMainThread } from 'node:worker_threads';

const jumps = (process.env.CLOCK_JUMPS_MS ?? '').split(',').map(Number);

if (isMainThread && process.env.CLOCK_JUMPS_MS !== undefined) {
  const now = Date.now.bind(Date);
  let offset = 0;
  Date.now = () => now() + offset;
  process.on('SIGUSR2', () => {
    offset += jumps.shift() ?? 0;
  });
}
