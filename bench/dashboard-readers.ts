/** Open dashboards without their browsers: what a real page says and asks is noted, and repeated by many readers in one process. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { WebSocket } from 'ws';

/** What a page does while it is open. */
export interface Habits {
  /** What it said on its live socket, in order. */
  frames: string[];
  /** What it asked again and again, and how often a second. */
  asks: { path: string; perSecond: number }[];
}

/** Notes what the page does from now on, which is from before it opens its socket; the function it returns ends that. */
export function noteHabits(page: Page): () => Habits {
  const began = performance.now();
  const frames: string[] = [];
  const asked = new Map<string, number>();
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => void frames.push(String(payload))));
  page.on('request', (request) => {
    const { pathname, search } = new URL(request.url());
    if (!pathname.startsWith('/v1/')) return;
    asked.set(pathname + search, (asked.get(pathname + search) ?? 0) + 1);
  });
  return () => {
    const seconds = (performance.now() - began) / 1000;
    const asks = [...asked].map(([path, times]) => ({ path, perSecond: times / seconds }));
    // What was asked once or twice belongs to the opening of a page, not to its being open.
    return { frames, asks: asks.filter(({ perSecond }) => perSecond * seconds > 2) };
  };
}

export interface Readers {
  /** Messages and bytes that all sockets together have received. */
  heard(): { messages: number; bytes: number };
  close(): void;
}

/** Opens so many dashboards; resolves when all are connected. */
export async function openReaders(api: string, token: string, count: number, habits: Habits): Promise<Readers> {
  const headers = { authorization: `Bearer ${token}` };
  const ended = new AbortController();
  let [messages, bytes] = [0, 0];
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = new WebSocket(`${api.replace(/^http/, 'ws')}/v1/live`, { headers });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      socket.on('message', (data: Buffer) => {
        messages += 1;
        bytes += data.length;
      });
      for (const frame of habits.frames) socket.send(frame);
      for (const { path, perSecond } of habits.asks) void ask(api + path, headers, 1000 / perSecond, ended.signal);
      return socket;
    }),
  );
  return {
    heard: () => ({ messages, bytes }),
    close() {
      ended.abort();
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Asks until it is over; the first time at a moment of its own, so that readers do not ask in step. */
async function ask(url: string, headers: Record<string, string>, everyMs: number, ended: AbortSignal): Promise<void> {
  await sleep(Math.random() * everyMs);
  while (!ended.aborted) {
    await fetch(url, { headers, signal: ended })
      .then((response) => response.arrayBuffer())
      .catch(() => {});
    await sleep(everyMs);
  }
}
