/** The routes of telemetry: asking the store, and what happens now. */
import type { Catalog } from '../../schemas/index.ts';
import type { Devices } from '../devices/devices.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { Live, LiveBatch } from '../telemetry/live.ts';
import { AGGREGATES, type Row, type TelemetryStore } from '../telemetry/store.ts';
import { deviceOf } from './device-routes.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { MAX_ROWS, queryOf } from './query.ts';
import { type Answer, type Outlet, object, query, type Route, type Schema } from './route.ts';
import { DURATION_FORMS, TIME_FORMS } from './time.ts';

export interface TelemetryRouteDeps {
  devices: Devices;
  catalog: Catalog;
  store: Pick<TelemetryStore, 'query'>;
  live: Live;
  /** How often a quiet live stream gives a sign of life; 15 s. */
  liveHeartbeatMs?: number;
}

const FORMATS = ['json', 'ndjson', 'csv'] as const;
type Format = (typeof FORMATS)[number];
const TEXT: Schema = { type: 'string', maxLength: 128 };
const LIVE_EXAMPLE = 'event: reading\ndata: {"device":"meter-7","stream":"power","ts":1760000000000,"power":3.5}\n\n';
export function telemetryRoutes(deps: TelemetryRouteDeps): Route[] {
  return [telemetryRoute(deps), liveRoute(deps)];
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

function liveRoute({ live, devices, catalog, liveHeartbeatMs = 15_000 }: TelemetryRouteDeps): Route {
  return {
    method: 'GET',
    path: '/v1/live',
    role: 'viewer',
    tag: 'telemetry',
    summary: 'Readings as they become durable, and what happens to devices and commands, as server-sent events.',
    query: query({
      device: { ...TEXT, description: 'Only of this device.', examples: ['meter-7'] },
      stream: { ...TEXT, description: 'Only readings of this stream.', examples: ['power'] },
    }),
    answers: {
      200: {
        texts: { 'text/event-stream': LIVE_EXAMPLE },
        description:
          'Events `reading` with {device, stream, ts, …fields}; `presence` with {device, state, since, reason}; `command` with ' +
          'the command; and `merged` with {count}: so many were left out because this reader was slow. Who asks for one ' +
          'stream gets its readings only.',
      },
    },
    handle({ query: { device, stream } }) {
      // Who waits for a name that nobody has would wait for ever.
      if (device !== undefined) deviceOf(devices, String(device));
      if (stream !== undefined && !catalog.streams.has(String(stream))) {
        const known = [...catalog.streams.keys()].join(', ');
        throw new RefusedError('not-found', `There is no stream "${stream}"; there are ${known}.`);
      }
      const filter = {
        ...(device !== undefined && { device: String(device) }),
        ...(stream !== undefined && { stream: String(stream) }),
      };
      return { type: 'text/event-stream', stream: (outlet) => streamLive(live, filter, outlet, liveHeartbeatMs) };
    },
  };
}

/** Lasts until the reader goes away or the server closes. */
async function streamLive(
  live: Live,
  filter: { device?: string; stream?: string },
  outlet: Outlet,
  heartbeatMs: number,
) {
  const end = live.subscribe(filter, (batch) => outlet.write(eventsOf(batch)));
  const heartbeat = setInterval(() => outlet.write(': alive\n\n').catch(() => {}), heartbeatMs);
  try {
    // Sends the headers, so the reader knows that it is connected before anything happens.
    await outlet.write(': live\n\n');
    await new Promise<void>((resolve) => {
      if (outlet.signal.aborted) resolve();
      else outlet.signal.addEventListener('abort', () => resolve());
    });
  } finally {
    clearInterval(heartbeat);
    end();
  }
}

function eventsOf({ events, merged }: LiveBatch): string {
  const notice = merged > 0 ? `event: merged\ndata: {"count":${merged}}\n\n` : '';
  const lines = events.map((event) => {
    if ('kind' in event) return `event: ${event.kind}\ndata: ${JSON.stringify(event.data)}\n\n`;
    const { device, stream, reading } = event;
    return `event: reading\ndata: ${JSON.stringify({ device, stream, ...reading })}\n\n`;
  });
  return notice + lines.join('');
}
