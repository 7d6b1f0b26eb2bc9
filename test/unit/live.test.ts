/** The live view: last readings by series, and subscribers who may be slow. */
import { describe, expect, it } from 'vitest';
import { createLive, type LiveBatch, type LiveFilter } from '../../hub/telemetry/live.ts';
import type { Frame, Reading } from '../../hub/telemetry/reading.ts';

function frame(device: string, stream: string, ...readings: Reading[]): Frame {
  return { device, stream, epoch: 'e', seq: 1, receivedAt: 0, readings };
}

const of = (device: string): LiveFilter => ({ wants: (id) => id === device });
const times = ({ events }: LiveBatch) => events.flatMap((event) => ('kind' in event ? [] : [event.reading.ts]));

/** A subscriber whose deliveries end when the test says so. */
function slowReader() {
  const batches: LiveBatch[] = [];
  let release = () => {};
  const deliver = (batch: LiveBatch) => {
    batches.push(batch);
    return new Promise<void>((resolve) => {
      release = resolve;
    });
  };
  const catchUp = async () => {
    release();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { batches, deliver, catchUp };
}

describe('the last reading', () => {
  it('is kept for each stream of a device', () => {
    const live = createLive();
    live.update([
      frame('a', 'power', { ts: 1, power: 1 }, { ts: 2, power: 2 }),
      frame('a', 'machine', { ts: 1, rpm: 9 }),
    ]);
    expect(live.lastOf('a')).toEqual({ power: { ts: 2, power: 2 }, machine: { ts: 1, rpm: 9 } });
    expect(live.lastOf('b')).toEqual({});
  });

  it('is not replaced by an older one of a device that catches up', () => {
    const live = createLive();
    live.update([frame('a', 'power', { ts: 10, power: 1 })]);
    live.update([frame('a', 'power', { ts: 5, power: 2 })]);
    expect(live.lastOf('a')).toEqual({ power: { ts: 10, power: 1 } });
  });

  it('is the newest by its time, wherever it stands in its frame', () => {
    const live = createLive();
    live.update([frame('a', 'power', { ts: 3, power: 3 }, { ts: 1, power: 1 }, { ts: 2, power: 2 })]);
    expect(live.lastOf('a')).toEqual({ power: { ts: 3, power: 3 } });
  });

  it('may be recalled from the past, and is not put before what is newer', () => {
    const live = createLive();
    live.update([frame('a', 'power', { ts: 10, power: 1 })]);
    live.recall('a', 'power', { ts: 5, power: 2 });
    live.recall('a', 'machine', { ts: 4, rpm: 9 });
    expect(live.lastOf('a')).toEqual({ power: { ts: 10, power: 1 }, machine: { ts: 4, rpm: 9 } });
  });

  it('ignores a frame whose readings were all rejected', () => {
    const live = createLive();
    live.update([frame('a', 'power')]);
    expect(live.lastOf('a')).toEqual({});
  });

  it('is forgotten with its device', () => {
    const live = createLive();
    live.update([frame('a', 'power', { ts: 1, power: 1 })]);
    live.forget('a');
    expect(live.lastOf('a')).toEqual({});
  });
});

describe('a subscriber', () => {
  it('gets the readings of a commit as one batch, in order', () => {
    const live = createLive();
    const batches: LiveBatch[] = [];
    live.subscribe({}, (batch) => void batches.push(batch));
    live.update([frame('a', 'power', { ts: 1 }, { ts: 2 }), frame('b', 'power', { ts: 3 })]);
    expect(batches.map(times)).toEqual([[1, 2, 3]]);
    expect(batches[0]?.events[2]).toEqual({ device: 'b', stream: 'power', reading: { ts: 3 } });
  });

  it('gets only what its filter lets through', () => {
    const live = createLive();
    const heard: number[][] = [];
    live.subscribe(of('a'), (batch) => void heard.push(times(batch)));
    live.subscribe({ streams: new Set(['machine']) }, (batch) => void heard.push(times(batch)));
    live.subscribe({ ...of('b'), streams: new Set(['machine']) }, (batch) => void heard.push(times(batch)));
    live.update([frame('a', 'power', { ts: 1 }), frame('a', 'machine', { ts: 2 }), frame('b', 'power', { ts: 3 })]);
    expect(heard).toEqual([[1, 2], [2]]);
  });

  it('gets nothing any more when it ended', () => {
    const live = createLive();
    const batches: LiveBatch[] = [];
    const end = live.subscribe({}, (batch) => void batches.push(batch));
    end();
    live.update([frame('a', 'power', { ts: 1 })]);
    expect([batches, live.subscribers]).toEqual([[], 0]);
  });

  it('gets one batch at a time, and what waited after it', async () => {
    const live = createLive();
    const { batches, deliver, catchUp } = slowReader();
    live.subscribe({}, deliver);
    for (let ts = 1; ts <= 4; ts += 1) live.update([frame('a', 'power', { ts })]);
    expect(batches.map(times)).toEqual([[1]]);
    await catchUp();
    expect(batches.map(times)).toEqual([[1], [2, 3, 4]]);
    expect(batches.map(({ merged }) => merged)).toEqual([0, 0]);
  });

  it('that is too slow gets the newest of each series and the count of the others', async () => {
    const live = createLive({ maxWaiting: 4 });
    const { batches, deliver, catchUp } = slowReader();
    live.subscribe({}, deliver);
    live.update([frame('a', 'power', { ts: 0 })]);
    for (let ts = 1; ts <= 10; ts += 1)
      live.update([frame('a', 'power', { ts }), frame('b', 'power', { ts: ts + 0.5 })]);
    await catchUp();
    expect(times(batches[1]!)).toEqual([10, 10.5]);
    expect(batches[1]?.merged).toBe(18);
  });

  it('that is too slow gets no older reading for a newer one, when a device catches up', async () => {
    const live = createLive({ maxWaiting: 1 });
    const { batches, deliver, catchUp } = slowReader();
    live.subscribe({}, deliver);
    for (const ts of [0, 9, 3]) live.update([frame('a', 'power', { ts })]);
    await catchUp();
    expect(times(batches[1]!)).toEqual([9]);
    expect(batches[1]?.merged).toBe(1);
  });

  it('never makes more wait than the bound, however many series there are', async () => {
    const live = createLive({ maxWaiting: 2, maxSeries: 4 });
    const { batches, deliver, catchUp } = slowReader();
    live.subscribe({}, deliver);
    live.update([frame('a', 'power', { ts: 0 })]);
    for (let ts = 1; ts <= 10; ts += 1) live.update([frame(`d${ts}`, 'power', { ts })]);
    await catchUp();
    expect(times(batches[1]!)).toEqual([7, 8, 9, 10]);
    expect(batches[1]?.merged).toBe(6);
  });

  it('is back to every reading once it caught up', async () => {
    const live = createLive({ maxWaiting: 1 });
    const { batches, deliver, catchUp } = slowReader();
    live.subscribe({}, deliver);
    for (let ts = 1; ts <= 5; ts += 1) live.update([frame('a', 'power', { ts })]);
    await catchUp();
    await catchUp();
    live.update([frame('a', 'power', { ts: 6 })]);
    expect(batches.map(times)).toEqual([[1], [5], [6]]);
    expect(batches.map(({ merged }) => merged)).toEqual([0, 3, 0]);
  });

  it('whose delivery fails is ended', async () => {
    const live = createLive();
    live.subscribe({}, () => Promise.reject(new Error('gone')));
    live.update([frame('a', 'power', { ts: 1 })]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(live.subscribers).toBe(0);
  });

  it('is refused when there are too many', () => {
    const live = createLive({ maxSubscribers: 1 });
    live.subscribe({}, () => {});
    expect(() => live.subscribe({}, () => {})).toThrow(expect.objectContaining({ code: 'full' }));
  });
});

describe('notices', () => {
  const told = ({ events }: LiveBatch) => events.map((event) => ('kind' in event ? event.data : event.reading.ts));
  const presence = (device: string, state: string) => ({ kind: 'presence' as const, device, data: { device, state } });

  it('come in order with the readings, to those who asked for the device or for all', () => {
    const live = createLive();
    const heard = { all: [] as unknown[], a: [] as unknown[], readings: [] as unknown[] };
    live.subscribe({}, (batch) => void heard.all.push(...told(batch)));
    live.subscribe(of('a'), (batch) => void heard.a.push(...told(batch)));
    live.subscribe({ kinds: new Set(['reading']) }, (batch) => void heard.readings.push(...told(batch)));
    live.tell(presence('a', 'online'));
    live.update([frame('a', 'power', { ts: 1 })]);
    live.tell(presence('b', 'silent'));
    expect(heard).toEqual({
      all: [{ device: 'a', state: 'online' }, 1, { device: 'b', state: 'silent' }],
      a: [{ device: 'a', state: 'online' }, 1],
      readings: [1],
    });
  });

  it('of one device and kind are one series: a slow reader gets the newest', async () => {
    const live = createLive({ maxWaiting: 1 });
    const { batches, deliver, catchUp } = slowReader();
    live.subscribe({}, deliver);
    for (const state of ['online', 'silent', 'online', 'offline']) live.tell(presence('a', state));
    await catchUp();
    expect(batches[1]).toEqual({ events: [presence('a', 'offline')], merged: 2 });
  });
});
