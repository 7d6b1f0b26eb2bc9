/** The charts of one stream of a device: history for the range, then the live edge flowing in. */
import { useEffect, useMemo } from 'preact/hooks';
import { Chart, type Drawers } from '../charts/chart.uplot.tsx';
import { askedFor, bucketFor, type Detail, MOST_POINTS } from '../charts/details.ts';
import { around, FIRST_RANGE, liveView, spanOf, type View, windowAt, zoomed } from '../charts/ranges.ts';
import { type Scale, scaleOf } from '../charts/scale.ts';
import { Series } from '../charts/series.ts';
import { type Field, streamOf } from '../hub/catalog.ts';
import { hubNow } from '../hub/client.http.ts';
import { type History, history } from '../hub/history.ts';
import { readingsIn, useLive } from '../hub/live.ts';
import { useResource } from '../hub/resource.ts';
import { count, span } from '../kit/format.ts';
import { Trouble } from '../kit/parts.tsx';
import { Ago } from '../kit/time.tsx';

const HUES = 6;
/** A live chart asks for its history again after this share of its range, which the live edge has filled by hand. */
const AGAIN = 0.5;
const MIN_AGAIN_MS = 60_000;

interface StreamChartsProps {
  device: string;
  stream: string;
  view: View;
  detail: Detail;
  drawers: Drawers;
  onView(view: View): void;
  /** When the newest reading was taken; undefined: the hub knows of none, and only a range that holds something is shown. */
  lastAt: number | undefined;
}

interface Line {
  field: Field;
  scale: Scale;
  series: Series;
}

/** One chart for each field that can be drawn and has a point. */
export function StreamCharts({ device, stream, view, detail, drawers, onView, lastAt }: StreamChartsProps) {
  const { lines, words, error, reload } = useLines({ device, stream, view, detail, drawers });
  const [from, to] = windowAt(view, hubNow());
  const shown = lines.filter(({ series }) => series.extent(from, to));
  const type = streamOf(stream);
  if (lastAt === undefined && shown.length === 0 && !error) return null;
  return (
    <section class="stream" aria-label={type?.title ?? stream}>
      <header>
        <h2>{type?.title ?? stream}</h2>
        <small>{words}</small>
      </header>
      {error && <Trouble error={error} onRetry={reload} />}
      {shown.length === 0 && words !== '' && <Nothing view={view} detail={detail} lastAt={lastAt} onView={onView} />}
      <div class="charts">
        {shown.map(({ field, scale, series }) => (
          <Chart
            key={field.name}
            field={field}
            scale={scale}
            series={series}
            drawers={drawers}
            hue={1 + (lines.findIndex((line) => line.field === field) % HUES)}
            shown={() => [from, to]}
            onZoom={(from, to) => onView(zoomed(from, to, hubNow()))}
            onReset={() => onView(liveView(FIRST_RANGE[2], hubNow()))}
          />
        ))}
      </div>
    </section>
  );
}

/** An empty range, and the way to one that is not. */
function Nothing({ view, detail, lastAt, onView }: Pick<StreamChartsProps, 'view' | 'detail' | 'lastAt' | 'onView'>) {
  const [from, to] = windowAt(view, hubNow());
  const elsewhere = lastAt !== undefined && (lastAt < from || lastAt > to);
  return (
    <p class="soft nothing">
      {nothingWords(detail)}
      {elsewhere && (
        <>
          <span>
            The last one was taken <Ago at={lastAt} />.
          </span>
          <button type="button" onClick={() => onView(around(lastAt, spanOf(view), hubNow()))}>
            Go there
          </button>
        </>
      )}
    </p>
  );
}

type Shown = Pick<StreamChartsProps, 'device' | 'stream' | 'view' | 'detail' | 'drawers'>;

function useLines({ device, stream, view, detail, drawers }: Shown) {
  const key = `${device} ${stream} ${view.live} ${view.from} ${view.to} ${detail}`;
  // Another window has other points.
  const lines = useMemo(() => linesOf(stream, bucketFor(detail, spanOf(view))), [key]);
  const again = view.live ? Math.max(spanOf(view) * AGAIN, MIN_AGAIN_MS) : undefined;
  const past = useResource(
    key,
    (signal) => {
      const [from, to] = windowAt(view, hubNow());
      return history({ device, stream, from, to, how: askedFor(detail) }, signal);
    },
    again,
  );
  if (past.data) load(lines, past.data);
  useLive(view.live ? { readings: [device] } : {}, (news) => {
    const oldest = hubNow() - spanOf(view);
    for (const one of readingsIn(news)) if (one.stream === stream) extend(lines, one.reading, oldest);
  });
  useEffect(() => {
    const [from, to] = windowAt(view, hubNow());
    if (past.data) for (const draw of drawers) draw(from, to);
  }, [past.data, view, drawers]);
  const words = past.data ? resolutionWords(past.data, detail) : '';
  return { lines, words, error: past.data ? undefined : past.error, reload: past.reload };
}

/** How much of a chart a point is, and where it comes from. */
function resolutionWords({ bucketMs, source }: History, detail: Detail): string {
  if (bucketMs === 0) return 'every reading';
  const tooMany = detail === 'readings' ? `more than ${count(MOST_POINTS)} readings: ` : '';
  return `${tooMany}one point for ${span(bucketMs)}${source === 'raw' ? '' : `, rolled up (${source})`}`;
}

/** Roll-ups may be kept for longer than readings. */
const nothingWords = (detail: Detail) =>
  detail === 'auto'
    ? 'No readings in this range.'
    : 'No readings in this range, or none that fine: Auto shows older ones that are kept rolled up only.';

function linesOf(stream: string, bucketMs: number): Line[] {
  const { fields = [], schema } = streamOf(stream) ?? {};
  return fields.flatMap((field) => {
    const scale = scaleOf(field, schema?.properties?.[field.name]);
    return scale ? [{ field, scale, series: new Series(bucketMs, scale.toNumber) }] : [];
  });
}

const loaded = new WeakMap<Line[], unknown>();

/** Takes an answer once. */
function load(lines: Line[], past: { rows: Parameters<Series['load']>[0] }): void {
  if (loaded.get(lines) === past) return;
  loaded.set(lines, past);
  for (const { field, series } of lines) series.load(past.rows, field.name);
}

/** The newest reading of all is told at the start, however old it is. */
function extend(lines: Line[], reading: { ts: number } & Record<string, unknown>, oldest: number): void {
  if (reading.ts < oldest) return;
  for (const { field, series } of lines) {
    series.add(reading.ts, reading[field.name]);
    series.trim(oldest);
  }
}
