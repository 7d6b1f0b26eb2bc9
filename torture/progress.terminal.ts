/** Shows a torture while it runs: one moving line on a terminal, a line now and then elsewhere. */
import { createLogUpdate } from 'log-update';
import picocolors from 'picocolors';
import type { Moment } from './run.ts';

export interface Progress {
  show(moment: Moment): void;
  close(): void;
}

const PLAIN_EVERY_MS = 10_000;
const BAR = 24;

/** Writes to standard error, so that the report alone is on standard output. */
export function createProgress(): Progress {
  const { stderr } = process;
  const pc = picocolors.createColors(stderr.isTTY === true && picocolors.isColorSupported);
  const live = stderr.isTTY ? createLogUpdate(stderr) : undefined;
  let plainAtMs = 0;
  return {
    show(moment) {
      const line = lineOf(moment);
      if (live) return live(`${pc.cyan(barOf(moment))} ${line}\n${pc.dim(moment.going.join('   ') || ' ')}`);
      if (Date.now() < plainAtMs + PLAIN_EVERY_MS) return;
      plainAtMs = Date.now();
      stderr.write(`${line}\n`);
    },
    close: () => live?.clear(),
  };
}

function barOf({ done }: Moment): string {
  const full = Math.round(done * BAR);
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`;
}

function lineOf({ phase, done, world, rssMaxMib, faults }: Moment): string {
  if (!world) return 'starting hub, InfluxDB and Mosquitto';
  const { devices, broken } = world;
  const online = devices.filter(({ state }) => state === 'online').length;
  const sent = devices.reduce((sum, { sentReadings }) => sum + sentReadings, 0);
  const held = devices.reduce((sum, { heldFrames }) => sum + heldFrames, 0);
  const times = [...faults.values()].reduce((sum, each) => sum + each, 0);
  const facts = [
    `${phase} ${Math.round(done * 100)} %`,
    `${online} of ${devices.length} online`,
    `${sent.toLocaleString('en')} readings sent`,
    `${held.toLocaleString('en')} frames held`,
    `${times} faults`,
    `hub ≤ ${Math.round(rssMaxMib)} MiB`,
    ...(broken.length > 0 ? [`${broken.length} BROKEN: ${broken.at(-1)!.slice(0, 100)}`] : []),
  ];
  return facts.join(', ');
}
