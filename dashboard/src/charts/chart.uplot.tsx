/** One field over time, drawn by uPlot: the mean as a line, the least and the most as a band, zoom by dragging. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Field } from '../hub/catalog.ts';
import { fieldValue, localTime, unitSign, utcSecond } from '../kit/format.ts';
import { colour, theme } from '../kit/theme.ts';
import { axesFor } from './axes.uplot.ts';
import type { Scale } from './scale.ts';
import { loneIn, type Series } from './series.ts';

/** Draws every chart of a page in one go; each chart puts itself in. */
export type Drawers = Set<(fromMs: number, toMs: number) => void>;

interface ChartProps {
  field: Field;
  scale: Scale;
  series: Series;
  drawers: Drawers;
  /** Number of the colour in the style sheet, 1 to 6. */
  hue: number;
  /** What it shows from the start, Unix milliseconds. */
  shown(): [fromMs: number, toMs: number];
  onZoom(fromMs: number, toMs: number): void;
  onReset(): void;
}

const HEIGHT_PX = 168;
const LONE_PX = 6;

/** Draws when the page says so. What it shows is also said in words, for those who do not see it. */
export function Chart({ field, scale, series, drawers, hue, shown, onZoom, onReset }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const readout = useSignal(NOTHING);
  const latest = useRef({ shown, onZoom, onReset });
  latest.current = { shown, onZoom, onReset };
  const look = theme.value;
  // A theme has other colours, so the chart is made anew.
  useEffect(() => {
    const element = box.current!;
    const tell = (words: Readout) => {
      readout.value = words;
    };
    const plot = new uPlot(
      optionsFor(element.clientWidth, scale, hue, {
        zoom: (from, to) => latest.current.onZoom(from, to),
        reset: () => latest.current.onReset(),
        point: (index) => tell(index === null ? NOTHING : readoutAt(plot, index, field, scale)),
      }),
      series.columns(),
      element,
    );
    const seen = watchSize(element, plot);
    const draw = (fromMs: number, toMs: number) => seen.visible && redraw(plot, series, scale, fromMs, toMs);
    drawers.add(draw);
    draw(...latest.current.shown());
    return () => {
      drawers.delete(draw);
      seen.stop();
      plot.destroy();
    };
  }, [series, scale, hue, look]);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">
          {field.title} <small>{unitSign(field.unit)}</small>
        </span>
        <output>{readout.value.value}</output>
        <small>{readout.value.times}</small>
      </figcaption>
      <div
        ref={box}
        class="plot"
        role="img"
        aria-label={inWords(field, scale, series)}
        style={{ height: `${HEIGHT_PX}px` }}
      />
    </figure>
  );
}

function inWords(field: Field, scale: Scale, series: Series): string {
  const { last } = series;
  if (!last) return `${field.title}: no readings`;
  const value = scale.stepped ? scale.label(last.value) : fieldValue(last.value, field);
  return `${field.title} over time; ${value} at ${localTime(last.ts)}`;
}

/** What the cursor points at, and when that was, by the viewer's clock and in UTC. */
interface Readout {
  value: string;
  times: string;
}
const NOTHING: Readout = { value: '', times: '' };

/** The mean, and the least and the most when they differ. */
function readoutAt(plot: uPlot, index: number, field: Field, scale: Scale): Readout {
  const [times, means, mins, maxs] = plot.data as [number[], ...(number | null)[][]];
  const [mean, min, max] = [means?.[index], mins?.[index], maxs?.[index]];
  if (mean === null || mean === undefined) return NOTHING;
  const atMs = times[index]! * 1_000;
  const band = min !== max ? ` (${scale.label(min!)} to ${scale.label(max!)})` : '';
  const value = scale.stepped ? scale.label(mean) : `${fieldValue(mean, field)}${band}`;
  return { value, times: `${localTime(atMs)} · ${utcSecond(atMs)}` };
}

function redraw(plot: uPlot, series: Series, scale: Scale, fromMs: number, toMs: number): void {
  const extent = series.extent(fromMs, toMs);
  const [min, max] = scale.range(extent?.min ?? 0, extent?.max ?? 1);
  plot.batch(() => {
    plot.setData(series.columns(), false);
    plot.setScale('x', { min: fromMs / 1_000, max: toMs / 1_000 });
    plot.setScale('y', { min, max });
  });
}

/** Follows the width of its box, and knows whether anybody can see it. */
function watchSize(element: HTMLElement, plot: uPlot) {
  const seen = { visible: true, stop };
  const sizes = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
  const sight = new IntersectionObserver(([entry]) => {
    seen.visible = entry?.isIntersecting ?? true;
  });
  sizes.observe(element);
  sight.observe(element);
  function stop() {
    sizes.disconnect();
    sight.disconnect();
  }
  return seen;
}

interface Touch {
  zoom(fromMs: number, toMs: number): void;
  reset(): void;
  point(index: number | null): void;
}

function optionsFor(width: number, scale: Scale, hue: number, touch: Touch): uPlot.Options {
  const stroke = colour(`series-${hue}`);
  const shape = scale.stepped && { paths: uPlot.paths.stepped!({ align: 1 }) };
  const lone = { show: false, filter: loneOf, size: LONE_PX, fill: stroke };
  const line = { ...shape, points: lone, stroke, width: 1.75, spanGaps: false };
  const edge = { ...shape, points: { show: false }, stroke: 'transparent', width: 0 };
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: axesFor(scale),
    series: [{}, line, edge, edge],
    bands: [{ series: [3, 2], fill: `${stroke}2e` }],
    cursor: {
      sync: { key: 'device' },
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, show: (_, index) => (index === 1 ? dot(stroke) : document.createElement('i')) },
      bind: { dblclick: () => resetting(touch) },
    },
    hooks: {
      drawSeries: [(plot, index) => index === 1 && drawLoneBands(plot, stroke)],
      setCursor: [({ cursor }) => touch.point(cursor.idx ?? null)],
      setSelect: [(plot) => takeSelection(plot, touch)],
    },
  };
}

const loneOf = (plot: uPlot, index: number) => loneIn(plot.data[index] ?? []);

/** The least and the most of a window that stands alone: a band has no width there. */
function drawLoneBands(plot: uPlot, stroke: string): void {
  const [times, means, mins, maxs] = plot.data;
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.beginPath();
  for (const index of loneIn(means ?? [])) {
    const x = plot.valToPos(times[index]!, 'x', true);
    ctx.moveTo(x, plot.valToPos(mins?.[index] ?? 0, 'y', true));
    ctx.lineTo(x, plot.valToPos(maxs?.[index] ?? 0, 'y', true));
  }
  ctx.strokeStyle = `${stroke}66`;
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.stroke();
  ctx.restore();
}

/** What uPlot takes as a listener that has done everything. */
function resetting({ reset }: Touch) {
  return () => {
    reset();
    return null;
  };
}

/** The point under the cursor. */
function dot(stroke: string): HTMLElement {
  const element = document.createElement('div');
  element.style.background = stroke;
  return element;
}

function takeSelection(plot: uPlot, { zoom }: Touch): void {
  const { left, width } = plot.select;
  if (width < 4) return;
  const [from, to] = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  zoom(from * 1_000, to * 1_000);
}
