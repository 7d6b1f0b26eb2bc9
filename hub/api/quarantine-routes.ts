/** The routes of the quarantine: what was refused, sending it up the road again, and dropping it. */
import { RefusedError } from '../kit/errors.ts';
import type { Quarantine, QuarantineFilter } from '../telemetry/quarantine.ts';
import type { QuarantineReplay } from '../telemetry/quarantine-replay.ts';
import { BY_NUMBER, cutPage, pageOf, paging } from './page.ts';
import { MistakenRequest } from './problem.ts';
import { object, query, type Route, type Schema } from './route.ts';
import { parseTime, TIME_FORMS } from './time.ts';

export interface QuarantineRouteDeps {
  quarantine: Pick<Quarantine, 'list' | 'get' | 'remove'>;
  quarantineReplay: Pick<QuarantineReplay, 'run'>;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const COUNT: Schema = { type: 'integer', minimum: 0, examples: [40] };
const TEXT: Schema = { type: 'string', maxLength: 128 };
/** Tried in one request; the next one goes on after them. */
const REPLAY_LIMIT = 1_000;

const READING: Schema = object(
  {
    id: { type: 'integer', description: 'Grows with each.', examples: [4711] },
    device: { type: 'string', examples: ['meter-7'] },
    stream: { type: 'string', examples: ['power'] },
    epoch: { type: 'string', description: 'Of the frame it came in, as seq.' },
    seq: { type: 'integer' },
    receivedAt: TIME,
    index: { type: 'integer', description: 'Its place in the frame; absent when the store refused it.' },
    path: { type: 'string', description: 'JSON pointer to what is wrong.', examples: ['/power'] },
    code: { type: 'string', description: 'The rule it broke; `store`: the store refused it.', examples: ['type'] },
    message: { type: 'string', examples: ['must be number'] },
    reading: {
      description: 'As it was sent; the beginning as a text when it was longer than 16 KiB.',
      examples: [{ power: 'much' }],
    },
    ts: { ...TIME, description: "Its time by the hub's clock, when it came without one. Unix milliseconds." },
    triedAt: { ...TIME, description: 'When it was last tried again in vain; the reason is of then.' },
  },
  ['index', 'ts', 'triedAt'],
);

/** What tells readings apart, the same in a query and in a body. */
const FILTER: Record<string, Schema> = {
  device: { ...TEXT, description: 'Only those of this device.', examples: ['meter-7'] },
  stream: { ...TEXT, description: 'Only those of this stream.', examples: ['power'] },
  code: { ...TEXT, description: 'Only those that broke this rule.', examples: ['type'] },
  from: { ...TEXT, description: `Only those that came at or after: ${TIME_FORMS}.`, examples: ['-1d'] },
  to: { ...TEXT, description: `Only those that came before: ${TIME_FORMS}.`, examples: ['now'] },
};

const SELECTION: Record<string, Schema> = {
  ids: {
    type: 'array',
    minItems: 1,
    maxItems: 1_000,
    items: { type: 'integer', minimum: 1 },
    description: 'Only these.',
    examples: [[4711]],
  },
  ...FILTER,
  all: { const: true, description: 'Everything: said when nothing else is.' },
};

export function quarantineRoutes(deps: QuarantineRouteDeps): Route[] {
  return [listRoute(deps), showRoute(deps), replayRoute(deps), dropRoute(deps)];
}

function listRoute({ quarantine }: QuarantineRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/quarantine',
    role: 'viewer',
    tag: 'quarantine',
    summary: 'Readings that were refused, newest first, each with the reason.',
    query: query({
      ...FILTER,
      ...paging(BY_NUMBER),
    }),
    answers: {
      200: {
        description: 'A page of refused readings; `next` is absent on the last.',
        schema: pageOf('readings', READING),
      },
    },
    async handle({ query: { limit, cursor, ...asked } }) {
      const most = Number(limit);
      const before = cursor === undefined ? {} : { before: Number(cursor) };
      const found = await quarantine.list({ ...filterOf(asked, 'query'), ...before, limit: most + 1 });
      const { items, next } = cutPage(found, most, ({ id }) => id);
      return { body: { readings: items, ...next } };
    },
  };
}

function showRoute({ quarantine }: QuarantineRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/quarantine/:id',
    role: 'viewer',
    tag: 'quarantine',
    summary: 'One refused reading.',
    params: object({ id: { ...TEXT, description: 'Its id.', examples: ['4711'] } }),
    answers: { 200: { description: 'The reading and the reason.', schema: READING } },
    async handle({ params: { id = '' } }) {
      const found = /^\d{1,15}$/.test(id) ? await quarantine.get(Number(id)) : undefined;
      if (!found) throw new RefusedError('not-found', `There is no reading ${id.slice(0, 80)} in the quarantine.`);
      return { body: found };
    },
  };
}

function replayRoute({ quarantineReplay }: QuarantineRouteDeps): Route {
  return {
    method: 'POST',
    path: '/v1/quarantine/replay',
    role: 'operator',
    tag: 'quarantine',
    deed: 'replay/replayed refused readings',
    summary: 'Checks refused readings by the schemas of today and stores those that pass, with the times they had.',
    body: {
      ...object(
        {
          ...SELECTION,
          after: { type: 'integer', minimum: 0, description: 'Go on after this id: `next` of the answer before.' },
          limit: {
            type: 'integer',
            minimum: 1,
            maximum: REPLAY_LIMIT,
            description: `At most so many; ${REPLAY_LIMIT}.`,
          },
        },
        [...Object.keys(SELECTION), 'after', 'limit'],
      ),
      minProperties: 1,
      examples: [{ stream: 'power' }],
    },
    answers: {
      200: {
        description:
          'How many are durable in the journal and have left, how many stay with the reason of today, and where to go on.',
        schema: object({ replayed: COUNT, refused: COUNT, next: { type: 'integer', examples: [4711] } }, ['next']),
      },
    },
    async handle({ body }) {
      const { after = 0, limit = REPLAY_LIMIT, ...selection } = body as Selection & { after?: number; limit?: number };
      return { body: await quarantineReplay.run(selectionOf(selection), { after, limit }) };
    },
  };
}

function dropRoute({ quarantine }: QuarantineRouteDeps): Route {
  return {
    method: 'POST',
    path: '/v1/quarantine/drop',
    role: 'operator',
    tag: 'quarantine',
    deed: 'drop/dropped refused readings',
    summary: 'Forgets refused readings for good.',
    body: { ...object(SELECTION, Object.keys(SELECTION)), minProperties: 1, examples: [{ device: 'meter-7' }] },
    answers: { 200: { description: 'How many there were.', schema: object({ dropped: COUNT }) } },
    async handle({ body }) {
      return { body: { dropped: await quarantine.remove(selectionOf(body as Selection)) } };
    },
  };
}

type Asked = Partial<Record<'device' | 'stream' | 'code' | 'from' | 'to', unknown>>;
type Selection = Asked & { ids?: number[]; all?: true };

/** Throws `MistakenRequest` when nothing says what is meant. */
function selectionOf({ ids, all, ...asked }: Selection): QuarantineFilter {
  const filter = { ...filterOf(asked, 'body'), ...(ids && { ids }) };
  const isNamed = Object.keys(filter).length > 0;
  const complain = (message: string) => new MistakenRequest([{ in: 'body', path: '/all', message }]);
  if (!isNamed && !all) throw complain('must be true when nothing else says which readings are meant');
  if (isNamed && all) throw complain('excludes everything else');
  return filter;
}

function filterOf({ from, to, ...names }: Asked, where: 'query' | 'body'): QuarantineFilter {
  const filter: QuarantineFilter = {};
  for (const [name, value] of Object.entries(names))
    if (value !== undefined) filter[name as 'device' | 'stream' | 'code'] = String(value);
  for (const [name, text] of Object.entries({ from, to })) {
    if (text === undefined) continue;
    const time = parseTime(String(text), Date.now());
    if (time === undefined)
      throw new MistakenRequest([{ in: where, path: `/${name}`, message: `must be ${TIME_FORMS}` }]);
    filter[name as 'from' | 'to'] = time;
  }
  return filter;
}
