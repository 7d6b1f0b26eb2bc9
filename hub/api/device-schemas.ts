/** The shapes of devices and their sessions in the API. */
import { DEVICE_ID, EXPECTED_INTERVAL_MS, MAX_TAGS, MAX_TEXT } from '../devices/device-details.ts';
import { PRESENCE_STATES } from '../devices/presence.ts';
import { object, type Schema } from './route.ts';
import { EXPIRES_AT } from './token-life.ts';

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
/** All tags of a device. */
export const TAGS: Schema = {
  type: 'object',
  maxProperties: MAX_TAGS,
  additionalProperties: { type: 'string', maxLength: MAX_TEXT },
  examples: [{ floor: '1', room: '12' }],
};
/** A description. */
export const TEXT: Schema = { type: 'string', maxLength: MAX_TEXT, examples: ['Meter in the cellar'] };
/** The expected interval of a device. */
export const EXPECTED: Schema = {
  type: 'number',
  minimum: EXPECTED_INTERVAL_MS.least,
  maximum: EXPECTED_INTERVAL_MS.most,
  examples: [60_000],
  description: 'Connected and without a reading for so long, it is silent; absent: learnt from its readings.',
};
/** The path of one device: any text, since an id that cannot exist is simply not found. */
export const DEVICE_PARAMS: Schema = object({
  id: { type: 'string', maxLength: 128, description: 'Id of the device.', examples: ['meter-7'] },
});

const DEVICE_PROPERTIES: Record<string, Schema> = {
  id: { type: 'string', pattern: DEVICE_ID.source, examples: ['meter-7'] },
  enabled: { type: 'boolean', description: 'A disabled device cannot connect.' },
  tags: TAGS,
  description: TEXT,
  createdAt: TIME,
  tokens: {
    type: 'array',
    description: 'Its valid tokens by their public part; the tokens themselves are not kept.',
    items: object({ keyId: { type: 'string', examples: ['6vTq0ZcB1xYk'] }, createdAt: TIME, expiresAt: TIME }, [
      'expiresAt',
    ]),
  },
  expectedIntervalMs: EXPECTED,
  lastSeenAt: TIME,
  online: { type: 'boolean', description: 'Whether it is connected: online or silent.' },
  presence: object(
    {
      state: { type: 'string', enum: [...PRESENCE_STATES], description: 'silent: connected, but no reading came.' },
      since: { ...TIME, description: 'When the state last changed, Unix milliseconds.' },
      reason: {
        type: 'string',
        description: 'A word that stays; docs/presence.md lists them.',
        examples: ['connected'],
      },
      detail: { type: 'string' },
      closeCode: { type: 'integer', examples: [1006] },
    },
    ['detail', 'closeCode'],
  ),
};
const MAY_LACK = ['lastSeenAt', 'expectedIntervalMs'];
/** A device as lists show it. */
export const DEVICE: Schema = object(DEVICE_PROPERTIES, MAY_LACK);
/** A device with its newest readings. */
export const DEVICE_WITH_LAST: Schema = object(
  {
    ...DEVICE_PROPERTIES,
    last: {
      type: 'object',
      description: 'The newest reading of each stream.',
      additionalProperties: { type: 'object' },
      examples: [{ power: { ts: 1_760_000_000_000, power: 3.5 } }],
    },
  },
  MAY_LACK,
);
/** A device that was just made. */
export const DEVICE_WITH_TOKEN: Schema = object(
  {
    ...DEVICE_PROPERTIES,
    token: { type: 'string', description: 'Shown only here.', examples: ['thd_6vTq0ZcB1xYk_***'] },
    expiresAt: EXPIRES_AT,
  },
  [...MAY_LACK, 'expiresAt'],
);

/** One of its last sessions. */
export const SESSION: Schema = object(
  {
    id: { type: 'string', examples: ['5f0c2f0e-9c1b-4d7a-8f3e-2b6a1d4c7e90'] },
    address: { type: 'string', examples: ['192.0.2.7'] },
    connectedAt: TIME,
    endedAt: { ...TIME, description: 'Unix milliseconds; absent while it lasts.' },
    closeCode: { type: 'integer', examples: [1006], description: '1006: it ended without a goodbye.' },
    reason: { type: 'string', examples: ['lost'] },
    detail: { type: 'string' },
    frames: { type: 'integer', description: 'Telemetry frames that became durable.' },
    readings: { type: 'integer' },
  },
  ['endedAt', 'closeCode', 'reason', 'detail', 'frames', 'readings'],
);
