/** The schema of what the hub says of itself. */
import { object, type Schema } from './route.ts';

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const COUNT: Schema = { type: 'integer', minimum: 0 };
const MS: Schema = { type: 'number', minimum: 0 };

const CURSOR = object({ offset: COUNT, lagFrames: COUNT, lagMs: MS });

const STORE_CARE: Schema = {
  ...object({
    replay: object({ tells: { type: 'boolean' }, restarts: COUNT, replayed: COUNT, leftFrames: COUNT }, ['tells']),
    comparison: object(
      { upTo: TIME, compared: COUNT, missing: COUNT, restored: COUNT, surplus: COUNT, lastError: { type: 'string' } },
      ['lastError'],
    ),
  }),
  description:
    'With InfluxDB. replay: restarts of the server, readings written again after them, frames still to be read, ' +
    'and whether the server tells of restarts at all. comparison: values by journal and store, up to when.',
};

/** More may be added, so what is not named here is allowed. */
export const STATUS: Schema = {
  ...object(
    {
      version: { type: 'string', examples: ['1.0.0'] },
      node: { type: 'string', description: 'Name of this machine.', examples: ['factory-1'] },
      gatewayUrl: {
        type: 'string',
        description: 'Where devices connect, as this machine sees it.',
        examples: ['wss://127.0.0.1:8443/v1/device'],
      },
      startedAt: TIME,
      uptimeMs: MS,
      ready: { type: 'boolean', description: 'Whether the hub can do all of its work, as /readyz tells.' },
      reasons: { type: 'array', items: { type: 'string' }, examples: [[]], description: 'Why it is not ready.' },
      devices: {
        ...object({ known: COUNT, online: COUNT, silent: COUNT, offline: COUNT }),
        description: 'All; connected and heard; connected and quiet for too long; not connected.',
      },
      readings: {
        ...object({ accepted: COUNT, rejected: COUNT, perSecond: { type: 'number', minimum: 0 } }),
        description: 'Since the hub started; perSecond is of the last seconds.',
      },
      frames: object({ received: COUNT, duplicate: COUNT, skipped: COUNT }),
      journal: {
        ...object({
          bytes: COUNT,
          limitBytes: COUNT,
          space: {
            ...object(
              {
                roomBytes: COUNT,
                endsBy: { type: 'string', enum: ['limit', 'disk'] },
                usedPercent: { type: 'number', examples: [12.5] },
                alarm: { type: 'integer', enum: [0, 70, 85, 95] },
                diskFreeBytes: COUNT,
              },
              ['diskFreeBytes'],
            ),
            description:
              'What the journal may still grow, to its limit or as the disk allows, and the alarm that stands.',
          },
          segments: COUNT,
          first: COUNT,
          next: COUNT,
          cursors: {
            type: 'object',
            additionalProperties: CURSOR,
            examples: [{ store: { offset: 41, lagFrames: 0, lagMs: 0 } }],
          },
          failing: { type: 'boolean', description: 'It cannot be written, so nothing is acknowledged.' },
          damage: { type: 'array', examples: [[]], description: 'What was found broken at the start.' },
        }),
        additionalProperties: true,
      },
      sinks: {
        type: 'array',
        items: {
          ...object(
            {
              name: { type: 'string', examples: ['sqlite'] },
              state: { type: 'string', examples: ['ok'] },
              written: COUNT,
              refused: COUNT,
              lagFrames: COUNT,
              lagMs: MS,
              lastError: { type: 'string' },
            },
            ['lastError'],
          ),
          additionalProperties: true,
        },
      },
      quarantine: {
        ...object({ readings: COUNT, dropped: COUNT }),
        description: 'Refused readings kept; and those forgotten.',
      },
      store: STORE_CARE,
      audit: {
        ...object({ failing: { type: 'boolean' }, waiting: COUNT, lost: COUNT }),
        additionalProperties: true,
        description: 'Whether the audit log cannot be written; entries that wait for it; those lost since the start.',
      },
    },
    ['store', 'gatewayUrl'],
  ),
  additionalProperties: true,
};
