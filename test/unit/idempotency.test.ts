/** Requests with an Idempotency-Key: done once, answered as often as asked. */
import { describe, expect, it } from 'vitest';
import { createRepeats, idOfKey } from '../../hub/api/idempotency.ts';
import type { Answer, Call, Route } from '../../hub/api/route.ts';
import { RefusedError } from '../../hub/kit/errors.ts';

const call = (idempotencyKey: string | undefined, body: unknown = {}, name = 'otto'): Call => ({
  ...{ params: {}, query: {}, accept: '', body, operator: { name, role: 'operator', createdAt: 0 } },
  ...(idempotencyKey !== undefined && { idempotencyKey }),
});

/** A route that counts how often it was run. */
function counting(handle: (made: number) => Answer | Promise<Answer> = (made) => ({ status: 201, body: { made } })) {
  let made = 0;
  const route = { method: 'POST', path: '/v1/things', answers: { 201: { description: '' } } } as unknown as Route;
  return { ...route, handle: () => handle(++made), made: () => made };
}

describe('a repeated request', () => {
  it('gets the first answer again, and nothing is done twice', async () => {
    const repeats = createRepeats();
    const route = counting();
    const first = await repeats.once(route, '/v1/things', call('k', { a: 1 }));
    const second = await repeats.once(route, '/v1/things', call('k', { a: 1 }));
    expect([first, second]).toEqual([
      { answer: { status: 201, body: { made: 1 } }, repeated: false },
      { answer: { status: 201, body: { made: 1 } }, repeated: true },
    ]);
  });

  it('waits for the first when both come at once', async () => {
    const repeats = createRepeats();
    const gate = Promise.withResolvers<Answer>();
    const route = counting(() => gate.promise);
    const both = [call('k'), call('k')].map((each) => repeats.once(route, '/v1/things', each));
    gate.resolve({ body: 'one' });
    expect((await Promise.all(both)).map(({ answer }) => answer.body)).toEqual(['one', 'one']);
    expect(route.made()).toBe(1);
  });

  it('is refused when it asks for something else, while the first is under way too', async () => {
    const repeats = createRepeats();
    const route = counting();
    const first = repeats.once(route, '/v1/things', call('k', { a: 1 }));
    await expect(repeats.once(route, '/v1/things', call('k', { a: 2 }))).rejects.toMatchObject({ code: 'key-reused' });
    await first;
    await expect(repeats.once(route, '/v1/others', call('k', { a: 1 }))).rejects.toMatchObject({ code: 'key-reused' });
    expect(route.made()).toBe(1);
  });

  it('without a key, of another operator, or on a route that makes nothing, is another request', async () => {
    const repeats = createRepeats();
    const route = counting();
    for (const each of [call(undefined), call(undefined), call('k'), call('k', {}, 'ada')])
      await repeats.once(route, '/v1/things', each);
    await repeats.once({ ...route, answers: { 200: { description: '' } } }, '/v1/things', call('k'));
    expect(route.made()).toBe(5);
  });

  it('is tried again after a refusal, which is shared by those who waited for it', async () => {
    const repeats = createRepeats();
    const route = counting((made) => {
      if (made === 1) throw new RefusedError('queue-full', 'wait');
      return { body: made };
    });
    const both = [call('k'), call('k')].map((each) => repeats.once(route, '/v1/things', each));
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await repeats.once(route, '/v1/things', call('k'))).toEqual({ answer: { body: 2 }, repeated: false });
  });

  it('is forgotten after its time, and the oldest when answers take too much room', async () => {
    let now = 0;
    const repeats = createRepeats({ keptMs: 1_000, limitChars: 1_100, now: () => now });
    const route = counting();
    const repeated = async (key: string) => (await repeats.once(route, '/v1/things', call(key))).repeated;
    expect([await repeated('a'), await repeated('b'), await repeated('a')]).toEqual([false, false, true]);
    expect([await repeated('c'), await repeated('c'), await repeated('a')]).toEqual([false, true, false]);
    now = 1_000;
    expect(await repeated('a')).toBe(false);
  });
});

describe('an id of a key', () => {
  it('is the same for the same operator and key, and fits the rule of ids', () => {
    expect(idOfKey('otto', 'k')).toBe(idOfKey('otto', 'k'));
    expect(new Set([idOfKey('otto', 'k'), idOfKey('ada', 'k'), idOfKey('otto', 'l')]).size).toBe(3);
    expect(idOfKey('otto', 'k')).toMatch(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/);
  });
});
