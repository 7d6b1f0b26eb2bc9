/** The axes of a chart: as wide as their labels, and no label is cut. */
import type uPlot from 'uplot';
import { colour } from '../kit/theme.ts';
import type { Scale } from './scale.ts';
import { TIME_STEPS_S, timeLabels, timeStep } from './times.ts';

/** Charts below each other begin at one place, unless a label needs more. */
const AXIS_PX = { least: 54, besideLabel: 14 };
const BETWEEN_TIMES_PX = 16;
/** uPlot scales whole pixels only. */
const FONT = '12px system-ui, sans-serif';

/** Time below, values on the left. */
export function axesFor(scale: Scale): uPlot.Axis[] {
  const look = {
    stroke: colour('soft'),
    font: FONT,
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  };
  return [
    { ...look, grid: { show: false }, size: 28, incrs: TIME_STEPS_S, space: timeSpace, values: timesThatFit },
    {
      ...look,
      size: (_, labels) => Math.max(AXIS_PX.least, AXIS_PX.besideLabel + widthOf(labels)),
      space: 28,
      values: (_, values, _axis, _space, step) => values.map((value) => scale.tick(value, step)),
      ...(scale.places && { splits: () => scale.places! }),
    },
  ];
}

/** Room for a time and a pause: how much that is depends on how much of a time has to be told. */
function timeSpace(_: uPlot, _axis: number, from: number, to: number, pixels: number): number {
  const step = timeStep(to - from, pixels, (label) => widthOf([label]) + BETWEEN_TIMES_PX);
  return Math.max(1, Math.floor((pixels * step) / (to - from)));
}

/** A time that the right edge would cut is left out. */
function timesThatFit(plot: uPlot, times: number[], _axis: number, _space: number, step: number): string[] {
  const edge = plot.width - plot.bbox.left / devicePixelRatio;
  return timeLabels(times, step).map((label, index) =>
    plot.valToPos(times[index]!, 'x') + widthOf([label]) / 2 <= edge ? label : '',
  );
}

const ruler = document.createElement('canvas').getContext('2d')!;

/** Of the widest label, in CSS pixels; there are none before the axis has a scale. */
function widthOf(labels: readonly string[] | null): number {
  ruler.font = FONT;
  return Math.ceil(Math.max(0, ...(labels ?? []).map((label) => ruler.measureText(label).width)));
}
