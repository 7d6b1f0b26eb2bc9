/** The route that writes again what the journal still holds of the readings that a store has lost. */
import type { Replay } from '../telemetry/replay.ts';
import { object, type Route } from './route.ts';

export interface StoreRouteDeps {
  replay: Pick<Replay, 'begin' | 'status'>;
}

export function storeRoutes({ replay }: StoreRouteDeps): Route[] {
  const count = { type: 'integer', minimum: 0 };
  return [
    {
      method: 'POST',
      path: '/v1/store/replay',
      role: 'operator',
      tag: 'telemetry',
      deed: 'replay/replayed the journal',
      summary: 'Writes everything that the journal still holds to the store again, behind live readings.',
      answers: {
        202: {
          description: 'Begun; `store.replay` in the status tells how far it is.',
          schema: object({ leftFrames: count }),
        },
      },
      async handle() {
        await replay.begin();
        return { status: 202, body: { leftFrames: replay.status().leftFrames } };
      },
    },
  ];
}
