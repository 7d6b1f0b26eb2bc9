/** What every backplane must do, as a suite that each adapter runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Backplane, Table } from '../../hub/backplane/backplane.ts';
import { Conflict } from '../../hub/kit/errors.ts';

interface Thing {
  name: string;
  note?: string;
}

/** `open` gives a fresh, empty backplane; `reopen` the same one after a restart. */
export function backplaneContract(open: () => Promise<{ backplane: Backplane; reopen(): Promise<Backplane> }>): void {
  let backplane: Backplane;
  let reopen: () => Promise<Backplane>;
  let things: Table<Thing>;

  beforeEach(async () => {
    ({ backplane, reopen } = await open());
    things = backplane.table<Thing>('things');
  });
  afterEach(() => backplane.close());

  async function restart() {
    await backplane.close();
    backplane = await reopen();
    things = backplane.table<Thing>('things');
  }

  describe('a table', () => {
    it('is empty at first', () => {
      expect([things.get('a'), things.size, [...things.values()]]).toEqual([undefined, 0, []]);
    });

    it('shows a row once it is durable, not before', async () => {
      const setting = things.set('a', { name: 'one' });
      expect(things.get('a')).toBeUndefined();
      const row = await setting;
      expect(row).toMatchObject({ key: 'a', value: { name: 'one' } });
      expect(things.get('a')).toEqual(row);
      expect(things.size).toBe(1);
    });

    it('is the same table whoever asks for its name', async () => {
      await things.set('a', { name: 'one' });
      expect(backplane.table<Thing>('things').get('a')?.value).toEqual({ name: 'one' });
      expect(backplane.table<Thing>('others').get('a')).toBeUndefined();
    });

    it('keeps rows over a restart, with their revisions', async () => {
      const row = await things.set('a', { name: 'one', note: 'ä\u0000"\n' });
      await things.set('b', { name: 'two' });
      await things.delete('b');
      await restart();
      expect([...things.values()]).toEqual([row]);
    });

    it('keeps what was asked for just before close', async () => {
      const setting = things.set('a', { name: 'one' });
      await restart();
      await setting;
      expect(things.get('a')?.value).toEqual({ name: 'one' });
    });

    it('does not see what the caller does to the value afterwards', async () => {
      const value = { name: 'one' };
      const setting = things.set('a', value);
      value.name = 'changed';
      await setting;
      expect(things.get('a')?.value).toEqual({ name: 'one' });
    });

    it('says whether there was a row to delete', async () => {
      await things.set('a', { name: 'one' });
      expect(await Promise.all([things.delete('a'), things.delete('a'), things.delete('b')])).toEqual([
        true,
        false,
        false,
      ]);
    });
  });

  describe('a revision', () => {
    it('grows with every change of the table, over deletions and restarts', async () => {
      const { revision: first } = await things.set('a', { name: 'one' });
      const { revision: second } = await things.set('b', { name: 'two' });
      await things.delete('b');
      await restart();
      const { revision: third } = await things.set('c', { name: 'three' });
      expect(second).toBeGreaterThan(first);
      expect(third).toBeGreaterThan(second + 1);
    });

    it('lets a change through only when the row still has it', async () => {
      const { revision } = await things.set('a', { name: 'one' });
      await things.set('a', { name: 'two' }, revision);
      await expect(things.set('a', { name: 'three' }, revision)).rejects.toBeInstanceOf(Conflict);
      await expect(things.delete('a', revision)).rejects.toBeInstanceOf(Conflict);
      expect(things.get('a')?.value).toEqual({ name: 'two' });
    });

    it('of 0 means that the row must not exist', async () => {
      await things.set('a', { name: 'one' }, 0);
      await expect(things.set('a', { name: 'two' }, 0)).rejects.toBeInstanceOf(Conflict);
      await things.delete('a');
      expect((await things.set('a', { name: 'three' }, 0)).value.name).toBe('three');
    });

    it('lets exactly one of many changes in the same turn win', async () => {
      const { revision } = await things.set('a', { name: 'none' });
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) => things.set('a', { name: String(index) }, revision)),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(things.get('a')?.value).toEqual({ name: '0' });
    });
  });

  describe('a listener', () => {
    it('hears each durable change once, in order, with the row or none', async () => {
      const heard: unknown[] = [];
      things.onChange((key, row) => heard.push([key, row?.value.name]));
      const changes = [things.set('a', { name: 'one' }), things.set('a', { name: 'two' }), things.delete('a')];
      expect(heard).toEqual([]);
      await Promise.all([...changes, things.delete('never')]);
      expect(heard).toEqual([
        ['a', 'one'],
        ['a', 'two'],
        ['a', undefined],
      ]);
    });

    it('hears nothing of a change that lost', async () => {
      const heard: string[] = [];
      await things.set('a', { name: 'one' });
      things.onChange((key) => heard.push(key));
      await expect(things.set('a', { name: 'two' }, 0)).rejects.toBeInstanceOf(Conflict);
      expect(heard).toEqual([]);
    });

    it('runs before the caller of the change goes on', async () => {
      let heard = false;
      things.onChange(() => {
        heard = true;
      });
      await things.set('a', { name: 'one' });
      expect(heard).toBe(true);
    });
  });

  describe('a message', () => {
    it('reaches every subscriber of its subject, the publisher included, and not within the same turn', async () => {
      const heard: unknown[] = [];
      backplane.subscribe('news', (message) => heard.push(['first', message]));
      backplane.subscribe('news', (message) => heard.push(['second', message]));
      backplane.subscribe('other', (message) => heard.push(['other', message]));
      backplane.publish('news', { n: 1 });
      expect(heard).toEqual([]);
      await expect.poll(() => heard).toHaveLength(2);
      expect(heard).toEqual([
        ['first', { n: 1 }],
        ['second', { n: 1 }],
      ]);
    });

    it('that nobody waits for disturbs nothing', () => {
      expect(() => backplane.publish('nobody', 1)).not.toThrow();
    });
  });

  it('closes twice without complaint and takes nothing afterwards', async () => {
    await backplane.close();
    await backplane.close();
    await expect(things.set('a', { name: 'one' })).rejects.toThrow();
  });
}
