/** What each device was seen to send. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import { createRepertoire } from '../../hub/bridge/repertoire.ts';
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';

const frameOf = (device: string, stream: string, ...readings: Reading[]): Frame => ({
  ...{ device, stream, readings, epoch: 'e', seq: 1, receivedAt: 0 },
});

function open() {
  const dir = mkdtempSync(join(tmpdir(), 'repertoire-'));
  const backplane = openBackplane(join(dir, 'hub.db'));
  onTestFinished(async () => {
    await backplane.close();
    rmSync(dir, { recursive: true });
  });
  return () => createRepertoire(backplane.table('mqtt-repertoire'));
}

const shown = (repertoire: ReturnType<ReturnType<typeof open>>, device: string) =>
  Object.fromEntries([...repertoire.of(device)].map(([stream, fields]) => [stream, [...fields]]));

it('knows streams and fields, tells only of what is new, and knows it after a restart', async () => {
  const start = open();
  const repertoire = start();
  const news: string[] = [];
  repertoire.onChange((device) => void news.push(device));
  repertoire.saw([frameOf('a', 'power', { ts: 1, power: 1 }), frameOf('b', 'power', { ts: 1, power: 1 })]);
  repertoire.saw([frameOf('a', 'power', { ts: 2, power: 2 })]);
  repertoire.saw([frameOf('a', 'power', { ts: 3, voltage: 230 }), frameOf('a', 'position')]);
  expect(news).toEqual(['a', 'b', 'a']);
  await repertoire.close();
  const again = start();
  expect(shown(again, 'a')).toEqual({ power: ['power', 'voltage'] });
  await again.close();
});

it('forgets a removed device', async () => {
  const start = open();
  const repertoire = start();
  repertoire.saw([frameOf('a', 'power', { ts: 1, power: 1 })]);
  await repertoire.close();
  repertoire.forget('a');
  expect(shown(repertoire, 'a')).toEqual({});
  await new Promise((resolve) => setTimeout(resolve, 20));
  const again = start();
  expect(shown(again, 'a')).toEqual({});
  await again.close();
});
