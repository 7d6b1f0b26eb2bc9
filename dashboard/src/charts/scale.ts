/** How values of a field stand on an axis: numbers as they are, yes and no and words as steps. */
import type { Field, JsonSchema } from '../hub/catalog.ts';
import { digitsOf, measured } from '../kit/format.ts';
import type { ToNumber } from './series.ts';

export interface Scale {
  toNumber: ToNumber;
  /** A value in words. */
  label(value: number): string;
  /** Label of a place on the axis; `step`: how far the next one is. */
  tick(value: number, step: number): string;
  /** Steps instead of slopes: between two states there is nothing. */
  stepped: boolean;
  /** Places of the axis; undefined: the chart picks round numbers. */
  places?: number[];
  /** The axis from these values on. */
  range(least: number, most: number): [number, number];
}

const PADDING = 0.12;

/** Undefined when the field cannot be drawn: a free text. */
export function scaleOf(field: Field, schema: JsonSchema | undefined): Scale | undefined {
  const { type } = field;
  if (type === 'boolean')
    return words(['no', 'yes'], (value) => (typeof value === 'boolean' ? Number(value) : asNumber(value)));
  if (type !== 'string') return numbers(field, schema);
  const names = schema?.enum?.map(String);
  return names && words(names, (value) => (typeof value === 'string' ? indexOf(names, value) : undefined));
}

function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function indexOf(names: string[], value: string): number | undefined {
  const index = names.indexOf(value);
  return index < 0 ? undefined : index;
}

function words(names: string[], toNumber: ToNumber): Scale {
  return {
    toNumber,
    label: (value) => names[Math.round(value)] ?? '',
    tick: (value) => names[Math.round(value)] ?? '',
    stepped: true,
    places: names.map((_, index) => index),
    range: () => [-0.35, names.length - 0.65],
  };
}

/** Some room above and below, but never beyond what the schema allows. */
function numbers(
  field: Field,
  { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY }: JsonSchema = {},
): Scale {
  return {
    toNumber: asNumber,
    label: (value) => measured(value, field),
    tick,
    stepped: false,
    range(least, most) {
      const room = (most - least) * PADDING || Math.abs(most) * 0.05 || 1;
      return [
        least >= minimum ? Math.max(minimum, least - room) : least,
        most <= maximum ? Math.min(maximum, most + room) : most,
      ];
    },
  };
}

/** As many digits as the step has, so that 22.5 does not read 23. */
function tick(value: number, step: number): string {
  if (Math.abs(value) >= 1e9) return value.toExponential(2);
  const digits = digitsOf(step);
  return new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}
