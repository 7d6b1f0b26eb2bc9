/** The schema of what the hub says of itself. */
import { object, type Schema } from './route.ts';

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const COUNT: Schema = { type: 'integer', minimum: 0 };
const MS: Schema = { type: 'number', minimum: 0 };

const CURSOR = object({ offset: COUNT, lagFrames: COUNT, lagMs: MS });

const NAME: Schema = { type: 'string', examples: ['broker.example:1883'] };
const BROKER_STATE: Schema = {
  type: 'string',
  enum: ['connecting', 'connected', 'refused', 'closed'],
  description: 'refused: the broker says no, and somebody must act.',
};

const BROKER: Schema = {
  ...object(
    {
      name: NAME,
      url: { type: 'string', examples: ['mqtt://broker.example:1883'] },
      state: BROKER_STATE,
      since: TIME,
      version: { type: 'integer', enum: [5, 4], description: 'MQTT 5, or 4 for 3.1.1.' },
      inFlight: COUNT,
      window: COUNT,
      published: COUNT,
      received: COUNT,
      refused: COUNT,
      lagFrames: COUNT,
      lagMs: MS,
      lastError: { type: 'string' },
      announced: { ...COUNT, description: 'What Home Assistant was told of devices, since the hub started.' },
      refusedCommands: { ...COUNT, description: 'Of Sparkplug: DCMD messages, and metrics in them.' },
    },
    ['lastError', 'announced', 'refusedCommands'],
  ),
  description: 'inFlight of window messages wait for its acknowledgement; refused: readings it will never take.',
  additionalProperties: true,
};

const RULE: Schema = {
  ...object(
    {
      name: { type: 'string', examples: ['zigbee2mqtt'] },
      broker: NAME,
      stream: { type: 'string', examples: ['environment'] },
      filter: { type: 'string', examples: ['zigbee2mqtt/+'] },
      messages: COUNT,
      readings: COUNT,
      refused: COUNT,
      skipped: COUNT,
      looped: COUNT,
      lastRefusal: { type: 'string' },
    },
    ['lastRefusal'],
  ),
  additionalProperties: true,
};

const COMMANDS: Schema = {
  ...object(
    {
      broker: NAME,
      received: COUNT,
      sent: COUNT,
      repeated: { ...COUNT, description: 'Deliveries of a message that had made its command already.' },
      refused: COUNT,
      told: { ...COUNT, description: 'Results that were published.' },
      waiting: { ...COUNT, description: 'Results that wait for the broker.' },
      lastRefusal: { type: 'string' },
    },
    ['lastRefusal'],
  ),
  additionalProperties: true,
};

/** What the bridge says of itself. */
export const BRIDGE: Schema = {
  ...object(
    {
      hub: { type: 'string', description: 'Id of this hub on brokers.', examples: ['4f1c09ab'] },
      brokers: { type: 'array', items: BROKER },
      rules: { type: 'array', items: RULE, description: 'Counts since the hub started, for each rule and broker.' },
      commands: { type: 'array', items: COMMANDS, description: 'Counts since the hub started, for each broker.' },
      embedded: {
        ...object({ clients: COUNT, retained: COUNT, refusedSignIns: COUNT, refusedPublishes: COUNT }),
        description: 'The broker of the hub itself, when it has one.',
      },
    },
    ['embedded'],
  ),
  additionalProperties: true,
};

const STORE_CARE: Schema = {
  ...object(
    {
      replay: object({ tells: { type: 'boolean' }, restarts: COUNT, replayed: COUNT, leftFrames: COUNT }, ['tells']),
      comparison: object(
        { upTo: TIME, compared: COUNT, missing: COUNT, restored: COUNT, surplus: COUNT, lastError: { type: 'string' } },
        ['lastError'],
      ),
    },
    ['comparison'],
  ),
  description:
    'replay: restarts of the server, readings written again after them, frames still to be read, ' +
    'and whether the server tells of restarts at all. comparison, with InfluxDB only: values by journal and store, up to when.',
};

/** More may be added, so what is not named here is allowed. */
export const STATUS: Schema = {
  ...object(
    {
      version: { type: 'string', examples: ['1.0.0'] },
      node: { type: 'string', description: 'Name of this machine.', examples: ['factory-1'] },
      gatewayUrl: {
        type: 'string',
        description: 'Where devices connect: gateway.publicUrl, else as this machine sees it.',
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
      brokers: {
        type: 'array',
        description: 'The MQTT brokers; /v1/bridge tells more.',
        items: {
          ...object({ name: NAME, state: BROKER_STATE, since: TIME, lastError: { type: 'string' } }, ['lastError']),
          additionalProperties: true,
        },
        examples: [[{ name: 'broker.example:1883', state: 'connected', since: 1_760_000_000_000 }]],
      },
      quarantine: {
        ...object({
          readings: COUNT,
          limitReadings: COUNT,
          alarm: { type: 'integer', enum: [0, 80, 100] },
          dropped: COUNT,
        }),
        description: 'Refused readings kept, their limit, the alarm that stands in percent of it, and those not kept.',
      },
      store: STORE_CARE,
      audit: {
        ...object({ failing: { type: 'boolean' }, waiting: COUNT, lost: COUNT }),
        additionalProperties: true,
        description: 'Whether the audit log cannot be written; entries that wait for it; those lost since the start.',
      },
    },
    ['gatewayUrl'],
  ),
  additionalProperties: true,
};
