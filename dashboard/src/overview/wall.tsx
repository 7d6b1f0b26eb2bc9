/** Devices as they speak: the newest value of each with its last minutes, moving. */
import { useRef, useState } from 'preact/hooks';
import { Sparkline } from '../charts/sparkline.tsx';
import { fieldOf, streamOf } from '../hub/catalog.ts';
import { get, withQuery } from '../hub/client.http.ts';
import type { Device } from '../hub/devices.ts';
import { history } from '../hub/history.ts';
import { readingsIn, useLive } from '../hub/live.ts';
import { useResource } from '../hub/resource.ts';
import { fieldValue } from '../kit/format.ts';
import { Card, Empty } from '../kit/parts.tsx';
import { now } from '../kit/time.tsx';
import { linkTo } from '../router.ts';
import { isOver } from './handover.ts';
import { ofAllKinds } from './kinds.ts';
import { POINTS, SPAN_MS, Trace } from './trace.ts';

/** So many fit a screen, and no more are asked for. */
const SHOWN = 12;
/** Asked for, to find one of each kind among them. */
const LOOKED_AT = 200;
const AGAIN_MS = 60_000;
const DRAW_MS = 1_000;

/** Devices that are connected, of as many kinds as there are. */
export function Wall() {
  const { data: devices } = useResource('wall', someOnline, AGAIN_MS);
  const ids = (devices ?? []).map(({ id }) => id);
  const traces = useTraces(ids);
  if (!devices) return null;
  return (
    <Card title="Speaking now" actions={<a href="#/devices">All devices</a>} class="wall-card">
      {ids.length === 0 ? (
        <Empty icon="devices" title="No device is connected">
          As soon as one is, its readings move here.
        </Empty>
      ) : (
        <div class="wall">
          {ids.map((id, index) => (
            <Voice key={id} id={id} trace={traces.get(id)} hue={1 + (index % 6)} />
          ))}
        </div>
      )}
    </Card>
  );
}

async function someOnline(signal: AbortSignal): Promise<Device[]> {
  const url = withQuery('/v1/devices', { presence: 'online', limit: LOOKED_AT });
  const { devices } = await get<{ devices: Device[] }>(url, { signal });
  return ofAllKinds(devices, SHOWN);
}

/** The first number of the stream that each speaks, as it comes; its past once. */
function useTraces(ids: string[]): ReadonlyMap<string, Trace> {
  const traces = useRef(new Map<string, Trace>()).current;
  const [, draw] = useState(0);
  const drawnAt = useRef(0);
  const next = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useLive({ readings: ids }, (news) => {
    for (const { device, stream, reading } of readingsIn(news)) hear(traces, device, stream, reading);
    // What came last is drawn, too, when nothing follows it.
    next.current ??= setTimeout(
      () => {
        next.current = undefined;
        drawnAt.current = Date.now();
        draw(drawnAt.current);
      },
      Math.max(0, drawnAt.current + DRAW_MS - Date.now()),
    );
  });
  return traces;
}

type News = { ts: number } & Record<string, unknown>;

function hear(traces: Map<string, Trace>, device: string, stream: string, reading: News): void {
  const known = traces.get(device);
  const own = known?.stream === stream ? known : undefined;
  if (known && !own && !isOver(known.line, reading.ts)) return;
  const trace = own ?? begin(traces, device, stream, reading);
  const value = trace && reading[trace.field];
  if (!trace || typeof value !== 'number') return;
  trace.hear(reading.ts, value, Date.now());
}

/** What is drawn of a device is decided by a reading of it; what it said before is asked for. */
function begin(traces: Map<string, Trace>, device: string, stream: string, reading: News): Trace | undefined {
  const numbers = streamOf(stream)?.fields.filter(({ type }) => type === 'number' || type === 'integer') ?? [];
  const present = numbers.filter(({ name }) => typeof reading[name] === 'number');
  // Where something is says less in a line than how it moves.
  const field = (present.find(({ unit }) => unit !== 'deg') ?? present[0])?.name;
  if (field === undefined) return undefined;
  const trace = new Trace(stream, field);
  history({
    device,
    stream,
    from: reading.ts - SPAN_MS,
    to: reading.ts,
    how: { every: `${SPAN_MS / POINTS}ms`, fn: 'mean', limit: 2 * POINTS },
  }).then(
    ({ rows }) => trace.load(rows),
    () => {},
  );
  traces.set(device, trace);
  return trace;
}

function Voice({ id, trace, hue }: { id: string; trace: Trace | undefined; hue: number }) {
  const field = trace && fieldOf(trace.stream, trace.field);
  return (
    <a class="voice" href={linkTo(['devices', id])}>
      <span class="voice-head">
        <strong title={id}>{id}</strong>
        <small>{field?.title ?? 'waiting for a reading'}</small>
      </span>
      <span class="voice-value">{trace ? fieldValue(trace.newest, field) : '–'}</span>
      {field && (
        <Sparkline
          points={trace.line}
          to={trace.edgeAt(now.value)}
          spanMs={SPAN_MS}
          label={`${field.title} in the last two minutes`}
          hue={hue}
        />
      )}
    </a>
  );
}
