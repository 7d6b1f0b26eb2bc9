/** The last readings of a device, also of the time before the hub started. */
import { expect, it } from 'vitest';
import { createLastValues } from '../../hub/telemetry/last-values.ts';
import { createLive } from '../../hub/telemetry/live.ts';
import type { Query, Row } from '../../hub/telemetry/store.ts';

const STREAMS = ['power', 'machine'];
const stored = { ts: 5, power: 2 };

function hub(query: (asked: Query) => Promise<Row[]>) {
  const live = createLive();
  const asked: string[] = [];
  const store = {
    query(each: Query) {
      asked.push(each.stream);
      return query(each);
    },
  };
  return { live, asked, values: createLastValues(live, store, STREAMS) };
}

const speak = (live: ReturnType<typeof createLive>, ts: number) =>
  live.update([{ device: 'a', stream: 'power', epoch: 'e', seq: 1, receivedAt: 0, readings: [{ ts, power: 1 }] }]);

it('are asked of the store once, for the streams that have not spoken yet', async () => {
  const { live, asked, values } = hub(async ({ stream }) => (stream === 'machine' ? [{ ts: 3, rpm: 9 }] : []));
  speak(live, 10);
  const last = { power: { ts: 10, power: 1 }, machine: { ts: 3, rpm: 9 } };
  expect([await values.of('a'), await values.of('a')]).toEqual([last, last]);
  expect(asked).toEqual(['machine']);
});

it('are those that came while the store was asked, when they are newer', async () => {
  const { live, values } = hub(async ({ stream }) => {
    speak(live, 10);
    return stream === 'power' ? [stored] : [];
  });
  expect(await values.of('a')).toEqual({ power: { ts: 10, power: 1 } });
});

it('are what is known while the store is away, which is asked again the next time', async () => {
  let isAway = true;
  const { values } = hub(async ({ stream }) => {
    if (isAway) throw new Error('away');
    return stream === 'power' ? [stored] : [];
  });
  expect(await values.of('a')).toEqual({});
  isAway = false;
  expect(await values.of('a')).toEqual({ power: stored });
});

it('do not wait for a store that says nothing, and have its answer when it came late', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { values } = hub(({ stream }) => promise.then(() => (stream === 'power' ? [stored] : [])));
  expect(await values.of('a')).toEqual({});
  resolve();
  expect(await values.of('a')).toEqual({ power: stored });
});

it('are asked for again when the device was removed and added', async () => {
  const { live, asked, values } = hub(async () => []);
  await values.of('a');
  values.forget('a');
  live.forget('a');
  await values.of('a');
  expect(asked).toEqual([...STREAMS, ...STREAMS]);
});
