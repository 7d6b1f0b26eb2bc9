/** Starts Debian's VictoriaMetrics, a second server that takes line protocol, on a free port of loopback. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';

export interface Victoria {
  readonly url: string;
  /** Values of a metric by their time in milliseconds, of all series with these labels. */
  valuesOf(metric: string, labels?: Record<string, string>): Promise<Map<number, number>>;
  kill(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

const START_MS = 30_000;

export async function startVictoria(): Promise<Victoria> {
  const dir = await mkdtemp(join(tmpdir(), 'victoria-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // Readings of the tests are of any year.
  const options = [`-storageDataPath=${dir}/data`, `-httpListenAddr=127.0.0.1:${port}`, '-retentionPeriod=100y'];
  let child = spawn('victoria-metrics', options, { stdio: 'ignore' });

  async function untilReady(): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (
      !(await fetch(`${url}/ping`).then(
        ({ ok }) => ok,
        () => false,
      ))
    ) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error('victoria-metrics did not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  await untilReady();
  return {
    url,
    async valuesOf(metric, labels = {}) {
      await fetch(`${url}/internal/force_flush`);
      const matchers = Object.entries({ __name__: metric, ...labels }).map(
        ([name, value]) => `${name}=${JSON.stringify(value)}`,
      );
      const query = new URLSearchParams({ 'match[]': `{${matchers.join(',')}}` });
      const text = await (await fetch(`${url}/api/v1/export?${query}`)).text();
      const series = text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
      return new Map(
        series.flatMap(({ timestamps, values }: { timestamps: number[]; values: number[] }) =>
          timestamps.map((ts, index): [number, number] => [ts, values[index]!]),
        ),
      );
    },
    kill,
    async start() {
      child = spawn('victoria-metrics', options, { stdio: 'ignore' });
      await untilReady();
    },
    async remove() {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
