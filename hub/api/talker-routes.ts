/** The route of top talkers: which devices send most. */
import { MEASURES, type Measure, type Talkers } from '../gateway/traffic.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface TalkerRouteDeps {
  talkers: Pick<Talkers, 'top'>;
}

const RATE: Schema = { type: 'number', minimum: 0 };
const TALKER: Schema = object({
  device: { type: 'string', examples: ['meter-7'] },
  perSecond: {
    ...object({ frames: RATE, readings: RATE, bytes: RATE, flows: RATE }),
    description: 'What came of it, taken or not, and how often it was told `flow`, in each of the last seconds.',
    examples: [{ frames: 5_000, readings: 5_000, bytes: 512_000, flows: 2.5 }],
  },
});

export function talkerRoutes({ talkers }: TalkerRouteDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/talkers',
      role: 'viewer',
      tag: 'devices',
      summary: 'The devices that send most over their sockets, in the last five seconds.',
      query: query({
        by: { type: 'string', enum: [...MEASURES], default: 'bytes', description: 'Of what most is most.' },
        limit: { type: 'integer', minimum: 1, maximum: 100, default: 10, description: 'At most so many.' },
      }),
      answers: {
        200: {
          description: 'Most first. Only those that sent anything.',
          schema: object({ talkers: { type: 'array', items: TALKER } }),
        },
      },
      handle: ({ query: { by, limit } }) => ({ body: { talkers: talkers.top(by as Measure, Number(limit)) } }),
    },
  ];
}
