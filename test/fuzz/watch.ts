/** Watches a hub while it is fuzzed: its memory, its loop, and whether a good device and an operator notice anything. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestHub } from '../helpers/hub.ts';
import { connectRaw } from '../helpers/raw-device.ts';
import type { LoopStalls } from './loop-watch.ts';

/** Milliseconds and MiB; of the memory the peak, and the mean of each half of the time. */
export interface Sights {
  rssMib: { peak: number; firstHalf: number; secondHalf: number };
  loop: LoopStalls;
  /** The longest that a good device waited for an ack, and an operator for /healthz. */
  ackMs: number;
  healthMs: number;
}

export interface Watch {
  /** Ends the watch: what was seen, once all that the good device sent is found in the store, exactly. Throws if it is not. */
  end(): Promise<Sights>;
}

const EVERY_MS = 100;

/** Begins to look. `loopFile`: where the hub writes its stalls. */
export async function startWatch(hub: TestHub, loopFile: string): Promise<Watch> {
  const good = await connectRaw(hub, { token: await hub.addDevice('good') });
  const sent: { ts: number; light: number }[] = [];
  const memory: number[] = [];
  const sights = { loop: { wall: 0, p99: 0, cpu: 0 }, ackMs: 0, healthMs: 0 };
  let isOver = false;
  process.kill(hub.pid, 'SIGUSR2');

  async function send(): Promise<void> {
    const reading = { ts: Date.now(), light: sent.length };
    sent.push(reading);
    const at = performance.now();
    good.say({ type: 'telemetry', seq: sent.length, stream: 'environment', readings: [reading] });
    const answer = await good.next();
    if (answer.type !== 'ack' || answer.seq !== sent.length) throw new Error(`the good device got ${answer.type}`);
    sights.ackMs = Math.max(sights.ackMs, performance.now() - at);
  }

  async function look(): Promise<void> {
    const at = performance.now();
    const { status } = await fetch(`${hub.api}/healthz`);
    if (status !== 200) throw new Error(`/healthz answered ${status}`);
    sights.healthMs = Math.max(sights.healthMs, performance.now() - at);
    const pages = Number(readFileSync(`/proc/${hub.pid}/statm`, 'latin1').split(' ')[1]);
    memory.push(pages / 256);
  }

  async function loop(): Promise<void> {
    while (!isOver) {
      await Promise.all([send(), look()]);
      await sleep(EVERY_MS);
    }
  }

  const looking = loop();
  looking.catch(() => {});
  return {
    async end() {
      isOver = true;
      await looking;
      good.close();
      await sameInStore(hub, sent);
      if (existsSync(loopFile)) sights.loop = JSON.parse(readFileSync(loopFile, 'utf8')) as LoopStalls;
      return { ...sights, rssMib: summaryOf(memory) };
    },
  };
}

function summaryOf(memory: number[]): Sights['rssMib'] {
  const half = Math.ceil(memory.length / 2);
  const mean = (some: number[]) => Math.round(some.reduce((sum, mib) => sum + mib, 0) / Math.max(1, some.length));
  return {
    peak: Math.round(Math.max(...memory)),
    firstHalf: mean(memory.slice(0, half)),
    secondHalf: mean(memory.slice(half)),
  };
}

const PAGE = 1_000;
const STORE_MS = 60_000;

async function sameInStore(hub: TestHub, sent: { ts: number; light: number }[]): Promise<void> {
  const until = Date.now() + STORE_MS;
  while (JSON.stringify(await stored(hub, sent[0]!.ts)) !== JSON.stringify(sent)) {
    if (Date.now() > until) throw new Error('what the good device sent is not what is stored');
    await sleep(EVERY_MS);
  }
}

async function stored(hub: TestHub, firstTs: number): Promise<unknown[]> {
  const rows: { ts: number; light: number }[] = [];
  const path = `/v1/devices/good/telemetry?stream=environment&fields=light&to=now&order=asc&limit=${PAGE}`;
  for (let from = firstTs; ; from = rows.at(-1)!.ts + 1) {
    const page = await hub.call<{ rows: typeof rows }>('GET', `${path}&from=${from}`);
    rows.push(...page.rows);
    if (page.rows.length < PAGE) return rows;
  }
}
