/** What a question to the telemetry store may hold, and what its answer says, as JSON Schemas. */
import { AGGREGATES } from '../telemetry/store.ts';
import { FILL_FORMS, MAX_POINTS, MAX_ROWS, WINDOW_FORMS } from './query.ts';
import { object, type Schema } from './route.ts';
import { FORMATS } from './table.ts';
import { TIME_FORMS } from './time.ts';

export const TEXT: Schema = { type: 'string', maxLength: 128 };
export const LIST: Schema = { type: 'string', maxLength: 16_384 };
/** What is asked of each device. */
export const QUESTION: Record<string, Schema> = {
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
    description:
      'Rows of a device at most; the answer is `limited` when a device has so many. Of no meaning with points.',
  },
  order: { type: 'string', enum: ['desc', 'asc'], default: 'desc', description: 'Newest or oldest first.' },
  every: { ...TEXT, examples: ['5m'], description: `Aggregate over windows of this length: ${WINDOW_FORMS}.` },
  fn: {
    type: 'string',
    enum: [...AGGREGATES, 'envelope'],
    description: 'How to aggregate; mean without it. envelope gives the columns that points gives.',
  },
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

/** What all rows of an answer are made of. */
export const RESOLUTION: Schema = object(
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

/** The same of several devices. */
export const FLEET_RESOLUTION: Schema = {
  ...RESOLUTION,
  required: [],
  description: 'Of windows each row says its own `resolution`, which is what `source` is of readings.',
};

/** Follows the rows, which are written as they are read. */
export const LIMITED: Schema = {
  type: 'boolean',
  const: true,
  description:
    'Present when a device has as many rows as `limit` allows: there may be more. Ask with a larger limit, or again from ' +
    'the last row on: with its `ts` as `to` (order=desc), or just after it as `from` (order=asc). NDJSON and CSV have no ' +
    'place for it: count the rows.',
  examples: [true],
};

export const ROWS = (example: object): Schema => ({ type: 'array', items: { type: 'object', examples: [example] } });
