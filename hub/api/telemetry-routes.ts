/** The routes of telemetry: asking the store, and what was refused. */
import type { Catalog } from '../../schemas/index.ts';
import type { Devices } from '../devices/devices.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { Quarantine } from '../telemetry/quarantine.ts';
import { AGGREGATES, type Row, type TelemetryStore } from '../telemetry/store.ts';
import { deviceOf } from './device-routes.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { cutPage, pageOf, paging } from './page.ts';
import { MAX_ROWS, queryOf } from './query.ts';
import { type Answer, object, query, type Route, type Schema } from './route.ts';
import { DURATION_FORMS, TIME_FORMS } from './time.ts';

export interface TelemetryRouteDeps {
  devices: Devices;
  catalog: Catalog;
  store: Pick<TelemetryStore, 'query'>;
  quarantine: Pick<Quarantine, 'list'>;
}

const FORMATS = ['json', 'ndjson', 'csv'] as const;
type Format = (typeof FORMATS)[number];
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
  return [telemetryRoute(deps), quarantineRoute(deps)];
}

function telemetryRoute({ devices, catalog, store }: TelemetryRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/devices/:id/telemetry',
    role: 'viewer',
    tag: 'telemetry',
    summary: 'Readings of one stream of a device, as they are or aggregated over windows of time.',
    params: DEVICE_PARAMS,
    query: {
      ...query({
        stream: { ...TEXT, description: 'Name of the stream.', examples: ['power'] },
        from: { ...TEXT, default: '-1h', description: `First moment: ${TIME_FORMS}.` },
        to: { ...TEXT, default: 'now', description: `End, not included: ${TIME_FORMS}.` },
        fields: {
          type: 'string',
          maxLength: 4096,
          examples: ['power,voltage'],
          description: 'Names with commas between; all without it.',
        },
        limit: { type: 'integer', minimum: 1, maximum: MAX_ROWS, default: 100, description: 'Rows at most.' },
        order: { type: 'string', enum: ['desc', 'asc'], default: 'desc', description: 'Newest or oldest first.' },
        every: { ...TEXT, examples: ['5m'], description: `Aggregate over windows of this length: ${DURATION_FORMS}.` },
        fn: { type: 'string', enum: [...AGGREGATES], description: 'How to aggregate; mean without it.' },
        format: { type: 'string', enum: [...FORMATS], description: 'Instead of the Accept header.' },
      }),
      required: ['stream'],
    },
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
          rows: { type: 'array', items: { type: 'object', examples: [{ ts: 1_760_000_000_000, power: 3.5 }] } },
        }),
      },
    },
    async handle({ params: { id = '' }, query: asked, accept }) {
      const device = deviceOf(devices, id).id;
      const checked = queryOf(device, asked, catalog, Date.now());
      const rows = await store.query(checked).catch((error: unknown) => {
        if (error instanceof Unavailable) throw storeUnavailable(error);
        throw error;
      });
      const fields = checked.fields ?? [...catalog.streams.get(checked.stream)!.fields.keys()];
      return answerOf(rows, { device, stream: checked.stream, fields }, formatOf(asked.format, accept));
    },
  };
}

/** What whoever asks in an outage wants to know first: whether readings are lost. */
function storeUnavailable({ message }: Unavailable): RefusedError {
  const rest = 'new readings wait in the journal until it takes them, and none is lost';
  return new RefusedError('store-unavailable', `${message}; ${rest}.`);
}

function formatOf(asked: unknown, accept: string): Format {
  if (asked !== undefined) return asked as Format;
  if (accept.includes('text/csv')) return 'csv';
  return accept.includes('application/x-ndjson') ? 'ndjson' : 'json';
}

function answerOf(rows: Row[], of: { device: string; stream: string; fields: string[] }, format: Format): Answer {
  if (format === 'json') return { body: { device: of.device, stream: of.stream, rows } };
  if (format === 'ndjson') {
    return { type: 'application/x-ndjson', body: rows.map((row) => `${JSON.stringify(row)}\n`).join('') };
  }
  const columns = ['ts', ...of.fields];
  const lines = rows.map((row) => columns.map((column) => csvCell(row[column])).join(','));
  return { type: 'text/csv; charset=utf-8', body: `${[columns.join(','), ...lines].join('\r\n')}\r\n` };
}

/** A cell by RFC 4180. */
function csvCell(value: unknown): string {
  const text = value === undefined ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
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
