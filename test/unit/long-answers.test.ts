/** Room for long answers: who gets a place, and when it is given back. */
import { describe, expect, it } from 'vitest';
import { createLongAnswers } from '../../hub/api/long-answers.ts';
import type { Outlet } from '../../hub/api/route.ts';

const outlet = (write: Outlet['write']): Outlet => ({ signal: new AbortController().signal, write });
const taking = outlet(async () => {});

describe('a place', () => {
  it('is given back when the answer ends, however it ends', async () => {
    const room = createLongAnswers({ most: 1 });
    await room.admit('ada', ({ write }) => write('x'))(taking);
    const torn = room.admit('ada', async () => {
      throw new Error('gone');
    });
    expect(() => room.admit('ada', async () => {})).toThrow(expect.objectContaining({ code: 'too-many-answers' }));
    await expect(torn(taking)).rejects.toThrow('gone');
    await room.admit('ada', async () => {})(taking);
  });

  it('is held from the moment it was given, so that no two get the last one', () => {
    const room = createLongAnswers({ most: 2 });
    room.admit('ada', async () => {});
    room.admit('otto', async () => {});
    expect(() => room.admit('vera', async () => {})).toThrow(expect.objectContaining({ retryAfterMs: 5_000 }));
  });

  it('is taken from a reader who takes nothing, for others wait for it', async () => {
    const room = createLongAnswers({ most: 1, patienceMs: 20 });
    const stuck = room.admit('ada', ({ write }) => write('x'));
    await expect(stuck(outlet(() => new Promise(() => {})))).rejects.toThrow('takes nothing');
    await room.admit('ada', async () => {})(taking);
  });
});
