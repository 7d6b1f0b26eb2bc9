/** The charts of one stream of a device: history for the range, then the live edge flowing in. */
import { useEffect, useMemo } from 'preact/hooks';
import { Chart, type Drawers, resolutionWords } from '../charts/chart.uplot.tsx';
import { liveView, RANGES, spanOf, type View, windowAt, zoomed } from '../charts/ranges.ts';
import { scaleOf } from '../charts/scale.ts';
import { Series } from '../charts/series.ts';
import { type Field, streamOf } from '../hub/catalog.ts';
import { hubNow } from '../hub/client.http.ts';
import { history } from '../hub/history.ts';
import { readingsIn, useLive } from '../hub/live.ts';
import { useResource } from '../hub/resource.ts';
import { Trouble } from '../kit/parts.tsx';

/** Points of a chart: about its pixels. */
const POINTS = 600;
const HUES = 6;
/** A live chart asks for its history again after this share of its range, which the live edge has filled by hand. */
const AGAIN = 0.5;
const MIN_AGAIN_MS = 60_000;

interface StreamChartsProps {
  device: string;
  stream: string;
  view: View;
  drawers: Drawers;
  onView(view: View): void;
  /** Nothing came since the hub started: it is shown only when the range holds something. */
  quiet: boolean;
}

interface Line {
  field: Field;
  series: Series;
}

/** One chart for each field that can be drawn and has a point. */
export function StreamCharts({ device, stream, view, drawers, onView, quiet }: StreamChartsProps) {
  const { lines, words, error, reload } = useLines({ device, stream, view, drawers });
  const shown = lines.filter(({ series }) => series.length > 0);
  const type = streamOf(stream);
  if (quiet && shown.length === 0 && !error) return null;
  return (
    <section class="stream" aria-label={type?.title ?? stream}>
      <header>
        <h2>{type?.title ?? stream}</h2>
        <small>{words}</small>
      </header>
      {error && <Trouble error={error} onRetry={reload} />}
      {shown.length === 0 && words !== '' && <p class="soft">No readings in this range.</p>}
      <div class="charts">
        {shown.map(({ field, series }) => (
          <Chart
            key={field.name}
            field={field}
            scale={scaleOf(field, type?.schema.properties?.[field.name])!}
            series={series}
            drawers={drawers}
            hue={1 + (lines.findIndex((line) => line.field === field) % HUES)}
            onZoom={(from, to) => onView(zoomed(from, to, hubNow()))}
            onReset={() => onView(liveView(RANGES[0][2], hubNow()))}
          />
        ))}
      </div>
    </section>
  );
}

function useLines({
  device,
  stream,
  view,
  drawers,
}: Pick<StreamChartsProps, 'device' | 'stream' | 'view' | 'drawers'>) {
  const bucketMs = spanOf(view) / POINTS;
  const key = `${device} ${stream} ${view.live} ${view.from} ${view.to}`;
  // Another window has other points.
  const lines = useMemo(() => linesOf(stream, bucketMs), [key]);
  const again = view.live ? Math.max(spanOf(view) * AGAIN, MIN_AGAIN_MS) : undefined;
  const past = useResource(
    key,
    (signal) => {
      const [from, to] = windowAt(view, hubNow());
      return history({ device, stream, from, to, points: POINTS }, signal);
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
  const words = past.data
    ? `${resolutionWords(past.data.bucketMs)}${past.data.source === 'raw' ? '' : `, rolled up (${past.data.source})`}`
    : '';
  return { lines, words, error: past.data ? undefined : past.error, reload: past.reload };
}

function linesOf(stream: string, bucketMs: number): Line[] {
  const { fields = [], schema } = streamOf(stream) ?? {};
  return fields.flatMap((field) => {
    const scale = scaleOf(field, schema?.properties?.[field.name]);
    return scale ? [{ field, series: new Series(bucketMs, scale.toNumber) }] : [];
  });
}

const loaded = new WeakMap<Line[], unknown>();

/** Takes an answer once. */
function load(lines: Line[], past: { rows: Parameters<Series['load']>[0] }): void {
  if (loaded.get(lines) === past) return;
  loaded.set(lines, past);
  for (const { field, series } of lines) series.load(past.rows, field.name);
}

function extend(lines: Line[], reading: { ts: number } & Record<string, unknown>, oldest: number): void {
  for (const { field, series } of lines) {
    series.add(reading.ts, reading[field.name]);
    series.trim(oldest);
  }
}
