/**
 * Loaded into a hub by `NODE_OPTIONS=--import`: writes into the file of `LOOP_WATCH_FILE`, twice a second, how long its
 * event loop stood still at most. Beside the wall-clock time stands the processor time of the hub's own thread in that
 * span: on a shared machine a hub that is not given a processor is not a hub that does not yield.
 */
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Milliseconds. `wall`: by Node's own `monitorEventLoopDelay`; `cpu`: the most that one span between two ticks has used. */
export interface LoopStalls {
  wall: number;
  p99: number;
  cpu: number;
}

const TICK_MS = 10;
const WRITE_MS = 500;

function watch(file: string): void {
  const delays = monitorEventLoopDelay({ resolution: TICK_MS });
  let cpu = 0;
  let last = process.threadCpuUsage();
  const tick = () => {
    const { user, system } = process.threadCpuUsage(last);
    last = process.threadCpuUsage();
    cpu = Math.max(cpu, (user + system) / 1_000);
  };
  const write = () => {
    const stalls: LoopStalls = { wall: delays.max / 1e6, p99: delays.percentile(99) / 1e6, cpu };
    writeFileSync(file, JSON.stringify(stalls));
  };
  // The start is no input of anybody.
  process.once('SIGUSR2', () => {
    delays.enable();
    last = process.threadCpuUsage();
    setInterval(tick, TICK_MS).unref();
    setInterval(write, WRITE_MS).unref();
  });
}

const { LOOP_WATCH_FILE } = process.env;
if (isMainThread && LOOP_WATCH_FILE !== undefined) watch(LOOP_WATCH_FILE);
