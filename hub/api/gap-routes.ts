/** The routes of the gap ledger: which frames never came. */
import type { Devices } from '../devices/devices.ts';
import type { GapLedger } from '../telemetry/gaps.ts';
import { deviceOf } from './device-routes.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { BY_NUMBER, cutPage, pageOf, paging } from './page.ts';
import { MistakenRequest } from './problem.ts';
import { type Call, object, query, type Route, type Schema } from './route.ts';
import { parseTime, TIME_FORMS } from './time.ts';

export interface GapRouteDeps {
  devices: Devices;
  gaps: Pick<GapLedger, 'list'>;
}

const TEXT: Schema = { type: 'string', maxLength: 128 };
const GAP: Schema = object({
  id: { type: 'integer', description: 'Grows with each.', examples: [41] },
  device: { type: 'string', examples: ['meter-7'] },
  epoch: { type: 'string', description: 'Scope of the numbers.', examples: ['b7c1e0d2'] },
  from: { type: 'integer', description: 'First number that never came.', examples: [17] },
  to: { type: 'integer', description: 'Last number that never came.', examples: [20] },
  at: {
    type: 'number',
    description: 'When the frame after it came, Unix milliseconds.',
    examples: [1_760_000_000_000],
  },
});
const ANSWERS: Route['answers'] = {
  200: { description: 'A page of gaps, newest first; `next` is absent on the last.', schema: pageOf('gaps', GAP) },
};
const QUERY: Record<string, Schema> = {
  since: { ...TEXT, description: `Only those noticed since: ${TIME_FORMS}.`, examples: ['-1d'] },
  ...paging(BY_NUMBER),
};

export function gapRoutes({ devices, gaps }: GapRouteDeps): Route[] {
  const common = { method: 'GET', role: 'viewer', tag: 'gaps', answers: ANSWERS } as const;
  return [
    {
      ...common,
      path: '/v1/gaps',
      summary: 'Frames that devices left out of their numbers: dropped or lost before they reached the hub.',
      query: query({ device: { ...TEXT, description: 'Only of this device.', examples: ['meter-7'] }, ...QUERY }),
      handle: ({ query: { device, ...asked } }) =>
        pageFrom(gaps, asked, device === undefined ? {} : { device: String(device) }),
    },
    {
      ...common,
      path: '/v1/devices/:id/gaps',
      summary: 'Frames that one device left out of its numbers.',
      params: DEVICE_PARAMS,
      query: query(QUERY),
      handle: ({ params: { id = '' }, query: asked }) => pageFrom(gaps, asked, { device: deviceOf(devices, id).id }),
    },
  ];
}

async function pageFrom(
  gaps: GapRouteDeps['gaps'],
  { since, limit, cursor }: Call['query'],
  filter: { device?: string },
) {
  const most = Number(limit);
  const sinceMs = since === undefined ? undefined : parseTime(String(since), Date.now());
  if (since !== undefined && sinceMs === undefined)
    throw new MistakenRequest([{ in: 'query', path: '/since', message: `must be ${TIME_FORMS}` }]);
  const found = await gaps.list({
    ...filter,
    limit: most + 1,
    ...(sinceMs !== undefined && { since: sinceMs }),
    ...(cursor !== undefined && { before: Number(cursor) }),
  });
  const { items, next } = cutPage(found, most, ({ id }) => id);
  return { body: { gaps: items, ...next } };
}
