/** The routes that ask the telemetry store: about one device, and about several at once. */
import type { Catalog } from '../../schemas/index.ts';
import type { Devices } from '../devices/devices.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import { ask, chartWindows } from '../telemetry/ask.ts';
import type { FilledRow } from '../telemetry/fill.ts';
import { columnsAsked } from '../telemetry/series.ts';
import type { TelemetryStore } from '../telemetry/store.ts';
import { deviceOf, namesIn, tagsOf } from './device-routes.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { createLongAnswers, type LongAnswers } from './long-answers.ts';
import { MistakenRequest } from './problem.ts';
import { type Checked, questionOf } from './query.ts';
import { FLEET_RESOLUTION, LIMITED, LIST, QUESTION, RESOLUTION, ROWS, TEXT } from './query-schemas.ts';
import { type Call, object, query, type Route, type Writing } from './route.ts';
import { answerOf, formatOf, type Table } from './table.ts';

export interface QueryRouteDeps {
  devices: Devices;
  catalog: Catalog;
  store: Pick<TelemetryStore, 'query' | 'rollups'>;
  /** Long answers that may be written at a time; 16. */
  longAnswers?: number;
}

type Deps = QueryRouteDeps & { room: LongAnswers };

/** Devices that can be named in one question; a tag can stand for any number. */
const MAX_NAMED = 1_000;

export function queryRoutes(deps: QueryRouteDeps): Route[] {
  const room = createLongAnswers({ ...(deps.longAnswers !== undefined && { most: deps.longAnswers }) });
  return [deviceRoute({ ...deps, room }), fleetRoute({ ...deps, room })];
}

function deviceRoute({ devices, catalog, store, room }: Deps): Route {
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
        schema: object(
          {
            device: { ...TEXT, examples: ['meter-7'] },
            stream: { ...TEXT, examples: ['power'] },
            resolution: RESOLUTION,
            rows: ROWS({ ts: 1_760_000_000_000, power: 3.5 }),
            limited: LIMITED,
          },
          ['limited'],
        ),
      },
    },
    async handle(call) {
      const device = deviceOf(devices, call.params.id ?? '').id;
      const now = Date.now();
      const { stream, question } = questionOf(call.query, catalog, now);
      return answerTo(call, room, async () => {
        const { resolution, columns, pages } = await ask(store, stream, { ...question, device }, now);
        const { counted, isReached } = limitOf(call.query, question.limit);
        const head = { device, stream: stream.name };
        return { head, resolution, columns: ['ts', ...columns], pages: counted(pages), isLimited: isReached };
      });
    },
  };
}

function fleetRoute({ devices, catalog, store, room }: Deps): Route {
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
        description:
          'Rows with their device; all devices where neither devices nor a tag is said. Of windows, each row says in ' +
          '`resolution` what it was made from: `raw`, or the roll-up.',
        texts: {
          'text/csv': 'device,ts,power\r\nmeter-7,1760000000000,3.5\r\n',
          'application/x-ndjson': '{"device":"meter-7","ts":1760000000000,"power":3.5}\n',
        },
        schema: object(
          {
            stream: { ...TEXT, examples: ['power'] },
            resolution: FLEET_RESOLUTION,
            rows: ROWS({ device: 'meter-7', ts: 1_760_000_000_000, power: 3.5 }),
            limited: LIMITED,
          },
          ['limited'],
        ),
      },
    },
    async handle(call) {
      const now = Date.now();
      const { stream, question } = inWindowsOfOneLength(questionOf(call.query, catalog, now), store, now);
      const ids = idsOf(devices, call.query);
      const { buckets } = question;
      const names = columnsAsked(stream, question).map(({ name }) => name);
      const columns = ['device', ...(buckets ? ['resolution'] : []), 'ts', ...names];
      const resolution = buckets ? { everyMs: buckets.everyMs } : { source: 'raw' };
      const { counted, isReached: isLimited } = limitOf(call.query, question.limit);
      const pages = fleetPages(store, { stream, question }, ids, now, counted);
      return answerTo(call, room, async () => ({
        head: { stream: stream.name },
        resolution,
        columns,
        pages,
        isLimited,
      }));
    },
  };
}

/** Lines of several devices can be compared when their windows are alike. Throws `MistakenRequest`. */
function inWindowsOfOneLength({ stream, question }: Checked, store: QueryRouteDeps['store'], now: number): Checked {
  const { points, ...rest } = question;
  const windows = points === undefined ? {} : chartWindows(store, { ...rest, points }, now);
  const whole = { stream, question: { ...rest, ...windows } };
  if (!whole.question.buckets || !columnsAsked(stream, whole.question).some(({ name }) => name === 'resolution'))
    return whole;
  const message = 'of several devices cannot hold "resolution", which is what each row is made from: ask one by one';
  throw new MistakenRequest([{ in: 'query', path: '/fields', message }]);
}

interface Limit {
  /** The same pages, all of one device. */
  counted(pages: AsyncIterable<FilledRow[]>): AsyncGenerator<FilledRow[]>;
  /** Whether any device has as many rows as it may have. */
  isReached(): boolean;
}

/** A chart is whole however many windows it has. */
function limitOf({ points }: Call['query'], limit: number): Limit {
  let isReached = false;
  return {
    async *counted(pages) {
      let rows = 0;
      for await (const page of pages) {
        rows += page.length;
        isReached ||= points === undefined && rows >= limit;
        yield page;
      }
    },
    isReached: () => isReached,
  };
}

/** A page for each device at least, so that whoever reads them comes to speak between two questions to the store. */
async function* fleetPages(
  store: QueryRouteDeps['store'],
  { stream, question }: Checked,
  ids: string[],
  now: number,
  counted: Limit['counted'],
) {
  for (const device of ids) {
    const { resolution, pages } = await ask(store, stream, { ...question, device }, now);
    const head = { device, ...(question.buckets && { resolution: resolution.source }) };
    let isSilent = true;
    for await (const page of counted(pages)) {
      isSilent = false;
      yield page.map((row): FilledRow => ({ ...head, ...row }));
    }
    if (isSilent) yield [];
  }
}

/** The ids asked for, in their order. Throws `RefusedError` (not-found, invalid) and `MistakenRequest`. */
function idsOf(devices: Devices, { devices: named, tag }: Record<string, unknown>): string[] {
  const names = namesIn('devices', named as string | undefined);
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

/** In the format that was asked for, and in an outage with what whoever asks wants to know first: whether readings are lost. */
async function answerTo({ query: { format }, accept, operator }: Call, room: LongAnswers, table: () => Promise<Table>) {
  try {
    const admit = (stream: Writing) => room.admit(operator!.name, stream);
    return await answerOf(await table(), formatOf(format, accept), admit);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const rest = 'new readings wait in the journal until it takes them, and none is lost';
    throw new RefusedError('store-unavailable', `${error.message}; ${rest}.`);
  }
}
