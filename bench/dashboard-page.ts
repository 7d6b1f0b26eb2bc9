/** What a page costs its reader while it is used: long tasks, processor time and memory, by Chromium's own counters. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CDPSession, Page } from 'playwright-core';

/** What one page did while it was used. */
export interface PageCost {
  longTasks: number;
  longestMs: number;
  /** Share of the time that went into tasks of 50 ms and more. */
  blocked: number;
  /** Share of a core that the page's thread was busy. */
  busy: number;
  heapBeforeMiB: number;
  heapAfterMiB: number;
  /** Elements of the document at the end. */
  elements: number;
}

const SCROLL_MS = 200;
/** Run in the page. */
const WATCH_LONG_TASKS = `
  globalThis.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) globalThis.longTasks.push(duration);
  }).observe({ type: 'longtask' });
`;

/** Scrolls through the list, searches, sorts, and begins again. */
export async function scrollAbout(page: Page, seconds: number): Promise<void> {
  const until = performance.now() + seconds * 1000;
  const search = page.getByRole('searchbox');
  await page.getByRole('region', { name: 'Devices' }).hover();
  for (let turn = 1; performance.now() < until; turn++) {
    await page.mouse.wheel(0, turn % 40 < 20 ? 1_500 : -1_500);
    await sleep(SCROLL_MS);
    if (turn % 25 === 0) await search.fill(String(turn % 100));
    if (turn % 25 === 10) await search.fill('');
    if (turn % 25 === 0) await page.getByRole('region', { name: 'Devices' }).hover();
  }
}

/** What the page's thread does while something happens. */
export async function pageCost<T>(page: Page, use: () => Promise<T>): Promise<{ page: PageCost; hub: T }> {
  const debug = await page.context().newCDPSession(page);
  await debug.send('Performance.enable');
  await page.evaluate(WATCH_LONG_TASKS);
  const before = await metricsOf(debug);
  const began = performance.now();
  const hub = await use();
  const ms = performance.now() - began;
  const after = await metricsOf(debug);
  const tasks = (await page.evaluate('globalThis.longTasks.splice(0)')) as number[];
  return {
    hub,
    page: {
      longTasks: tasks.length,
      longestMs: Math.max(0, ...tasks),
      blocked: tasks.reduce((sum, each) => sum + each, 0) / ms,
      busy: ((after.TaskDuration! - before.TaskDuration!) * 1000) / ms,
      heapBeforeMiB: before.JSHeapUsedSize! / 1_048_576,
      heapAfterMiB: after.JSHeapUsedSize! / 1_048_576,
      elements: Number(await page.evaluate('document.getElementsByTagName("*").length')),
    },
  };
}

/** After the garbage is gone, or memory would tell of luck. */
async function metricsOf(debug: CDPSession): Promise<Record<string, number>> {
  await debug.send('HeapProfiler.collectGarbage');
  const { metrics } = await debug.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}
