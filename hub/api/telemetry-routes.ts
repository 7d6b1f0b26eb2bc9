/** The routes of telemetry: asking the store, and what was refused. */
import type { Quarantine } from '../telemetry/quarantine.ts';
import { cutPage, pageOf, paging } from './page.ts';
import { type QueryRouteDeps, queryRoutes } from './query-routes.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface TelemetryRouteDeps extends QueryRouteDeps {
  quarantine: Pick<Quarantine, 'list'>;
}

const TEXT: Schema = { type: 'string', maxLength: 128 };
const QUARANTINED: Schema = object(
  {
    id: { type: 'integer', description: 'Grows with each.' },
    device: { type: 'string' },
    stream: { type: 'string' },
    epoch: { type: 'string', description: 'Of the frame it came in, as seq.' },
    seq: { type: 'integer' },
    receivedAt: { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] },
    index: { type: 'integer', description: 'Its place in the frame; absent when the store refused it.' },
    path: { type: 'string', description: 'JSON pointer to what is wrong.', examples: ['/power'] },
    code: { type: 'string', description: 'The rule it broke; `store`: the store refused it.', examples: ['type'] },
    message: { type: 'string', examples: ['must be number'] },
    reading: {
      description: 'As it was sent; the beginning as a text when it was long.',
      examples: [{ power: 'much' }],
    },
  },
  ['index'],
);

export function telemetryRoutes(deps: TelemetryRouteDeps): Route[] {
  return [...queryRoutes(deps), quarantineRoute(deps)];
}

function quarantineRoute({ quarantine }: TelemetryRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/quarantine',
    role: 'viewer',
    tag: 'telemetry',
    summary: 'Readings that were refused, newest first, each with the reason.',
    query: query({
      device: { ...TEXT, description: 'Only those of this device.', examples: ['meter-7'] },
      ...paging(),
      cursor: { ...paging().cursor, pattern: '^\\d{1,15}$', examples: ['41'] },
    }),
    answers: {
      200: {
        description: 'A page of refused readings; `next` is absent on the last.',
        schema: pageOf('readings', QUARANTINED),
      },
    },
    async handle({ query: { device, limit, cursor } }) {
      const filter = {
        limit: Number(limit) + 1,
        ...(device !== undefined && { device: String(device) }),
        ...(cursor !== undefined && { before: Number(cursor) }),
      };
      const { items, next } = cutPage(await quarantine.list(filter), Number(limit), ({ id }) => id);
      return { body: { readings: items, ...next } };
    },
  };
}
