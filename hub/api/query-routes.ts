/** The routes that ask the telemetry store: about one device, and about several at once. */
import type { Catalog } from '../../schemas/index.ts';
import type { Devices } from '../devices/devices.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import { type Answered, ask } from '../telemetry/ask.ts';
import type { FilledRow } from '../telemetry/fill.ts';
import { AGGREGATES, type TelemetryStore } from '../telemetry/store.ts';
import { deviceOf, tagsOf } from './device-routes.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { type Checked, FILL_FORMS, MAX_POINTS, MAX_ROWS, questionOf } from './query.ts';
import { type Answer, object, query, type Route, type Schema } from './route.ts';
import { answerOf, FORMATS, formatOf } from './table.ts';
import { DURATION_FORMS, TIME_FORMS } from './time.ts';

export interface QueryRouteDeps {
  devices: Devices;
  catalog: Catalog;
  store: Pick<TelemetryStore, 'query' | 'rollups'>;
}

const TEXT: Schema = { type: 'string', maxLength: 128 };
const LIST: Schema = { type: 'string', maxLength: 16_384 };
/** Devices that can be named in one question; a tag can stand for any number. */
const MAX_NAMED = 1_000;

const QUESTION: Record<string, Schema> = {
  stream: { ...TEXT, description: 'Name of the stream.', examples: ['power'] },
  from: { ...TEXT, default: '-1h', description: `First moment: ${TIME_FORMS}.` },
  to: { ...TEXT, default: 'now', description: `End, not included: ${TIME_FORMS}.` },
  fields: {
    type: 'string',
    maxLength: 4096,
    examples: ['power,voltage'],
    description: 'Names with commas between; all without it.',
  },
  limit: {
    type: 'integer',
    minimum: 1,
    maximum: MAX_ROWS,
    default: 100,
    description: 'Rows of a device at most; of no meaning with points.',
  },
  order: { type: 'string', enum: ['desc', 'asc'], default: 'desc', description: 'Newest or oldest first.' },
  every: { ...TEXT, examples: ['5m'], description: `Aggregate over windows of this length: ${DURATION_FORMS}.` },
  fn: { type: 'string', enum: [...AGGREGATES], description: 'How to aggregate; mean without it.' },
  fill: { ...TEXT, examples: ['null'], description: `What windows without readings hold: ${FILL_FORMS}.` },
  points: {
    type: 'integer',
    minimum: 2,
    maximum: MAX_POINTS,
    examples: [800],
    description:
      'For a chart so wide: readings when there are no more, otherwise windows of a length chosen for it, with the mean of ' +
      'each number and beside it `<field>_min` and `<field>_max`, and the last value of anything else.',
  },
  format: { type: 'string', enum: [...FORMATS], description: 'Instead of the Accept header.' },
};

const RESOLUTION: Schema = object(
  {
    source: { type: 'string', description: '`raw`: readings; otherwise the roll-up that was used.', examples: ['raw'] },
    everyMs: {
      type: 'number',
      description: 'Length of the windows; absent when rows are readings.',
      examples: [60_000],
    },
  },
  ['everyMs'],
);
const ROWS = (example: object): Schema => ({ type: 'array', items: { type: 'object', examples: [example] } });

export function queryRoutes(deps: QueryRouteDeps): Route[] {
  return [deviceRoute(deps), fleetRoute(deps)];
}

function deviceRoute({ devices, catalog, store }: QueryRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/devices/:id/telemetry',
    noHead: true,
    role: 'viewer',
    tag: 'telemetry',
    summary: 'Readings of one stream of a device, as they are, aggregated over windows of time, or for a chart.',
    params: DEVICE_PARAMS,
    query: { ...query(QUESTION), required: ['stream'] },
    answers: {
      200: {
        description: 'Rows with `ts` in Unix milliseconds; the type by `format` or the Accept header.',
        texts: {
          'text/csv': 'ts,power\r\n1760000000000,3.5\r\n',
          'application/x-ndjson': '{"ts":1760000000000,"power":3.5}\n',
        },
        schema: object({
          device: { ...TEXT, examples: ['meter-7'] },
          stream: { ...TEXT, examples: ['power'] },
          resolution: RESOLUTION,
          rows: ROWS({ ts: 1_760_000_000_000, power: 3.5 }),
        }),
      },
    },
    async handle({ params: { id = '' }, query: asked, accept }) {
      const device = deviceOf(devices, id).id;
      const now = Date.now();
      const { stream, question } = questionOf(asked, catalog, now);
      return patiently(async () => {
        const { resolution, columns, pages } = await ask(store, stream, { ...question, device }, now);
        const head = { device, stream: stream.name };
        return answerOf({ head, resolution, columns: ['ts', ...columns], pages }, formatOf(asked.format, accept));
      });
    },
  };
}

function fleetRoute({ devices, catalog, store }: QueryRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/telemetry',
    noHead: true,
    role: 'viewer',
    tag: 'telemetry',
    summary: 'The same of several devices, one after the other by their ids.',
    query: {
      ...query({
        devices: { ...LIST, examples: ['meter-7,meter-8'], description: 'Ids with commas between.' },
        tag: { ...LIST, examples: ['floor=1'], description: 'Devices with these tags: `name=value,…`.' },
        ...QUESTION,
      }),
      required: ['stream'],
    },
    answers: {
      200: {
        description: 'Rows with their device; all devices where neither devices nor a tag is said.',
        texts: {
          'text/csv': 'device,ts,power\r\nmeter-7,1760000000000,3.5\r\n',
          'application/x-ndjson': '{"device":"meter-7","ts":1760000000000,"power":3.5}\n',
        },
        schema: object({
          stream: { ...TEXT, examples: ['power'] },
          resolution: RESOLUTION,
          rows: ROWS({ device: 'meter-7', ts: 1_760_000_000_000, power: 3.5 }),
        }),
      },
    },
    async handle({ query: asked, accept }) {
      const now = Date.now();
      const checked = questionOf(asked, catalog, now);
      const ids = idsOf(devices, asked);
      return patiently(async () => {
        const [first = '', ...rest] = ids;
        const answered = await ask(store, checked.stream, { ...checked.question, device: first }, now);
        const { resolution, columns } = answered;
        const pages = ids.length === 0 ? none() : fleetPages(store, checked, { first, answered, rest }, now);
        const head = { stream: checked.stream.name };
        const table = { head, resolution, columns: ['device', 'ts', ...columns], pages };
        return answerOf(table, formatOf(asked.format, accept));
      });
    },
  };
}

interface Fleet {
  first: string;
  /** The answer of the first. */
  answered: Answered;
  rest: readonly string[];
}

async function* fleetPages(store: QueryRouteDeps['store'], asked: Checked, fleet: Fleet, now: number) {
  yield* ofDevice(fleet.first, fleet.answered);
  for (const device of fleet.rest) {
    yield* ofDevice(device, await ask(store, asked.stream, { ...asked.question, device }, now));
  }
}

async function* ofDevice(device: string, { pages }: Answered): AsyncGenerator<FilledRow[]> {
  for await (const page of pages) yield page.map((row) => ({ device, ...row }));
}

async function* none(): AsyncGenerator<FilledRow[]> {}

/** The ids asked for, in their order. Throws `RefusedError` (not-found, invalid) and `MistakenRequest`. */
function idsOf(devices: Devices, { devices: named, tag }: Record<string, unknown>): string[] {
  const names = named === undefined ? undefined : new Set(String(named).split(','));
  if (names && names.size > MAX_NAMED)
    throw new RefusedError('invalid', `At most ${MAX_NAMED} devices can be named; give them a tag and ask by it.`);
  for (const name of names ?? []) deviceOf(devices, name);
  const tags = tagsOf(tag as string | undefined);
  const ids: string[] = [];
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: ReturnType<Devices['list']> = devices.list({ limit: 1_000, after, tags });
    for (const { id } of page.devices) if (!names || names.has(id)) ids.push(id);
    after = page.next;
  }
  return ids;
}

/** What whoever asks in an outage wants to know first: whether readings are lost. */
async function patiently(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const rest = 'new readings wait in the journal until it takes them, and none is lost';
    throw new RefusedError('store-unavailable', `${error.message}; ${rest}.`);
  }
}
