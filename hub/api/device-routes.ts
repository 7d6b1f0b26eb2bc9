/** The routes of devices: who there is, what each said last, adding and removing. */
import {
  DEVICE_ID,
  type Device,
  type DeviceDetails,
  type Devices,
  EXPECTED_INTERVAL_MS,
  MAX_TAGS,
  MAX_TEXT,
} from '../devices/devices.ts';
import { PRESENCE_STATES, type PresenceBook } from '../devices/presence.ts';
import { RefusedError } from '../kit/errors.ts';
import type { Live } from '../telemetry/live.ts';
import { pageOf, paging } from './page.ts';
import { MistakenRequest } from './problem.ts';
import { object, query, type Route, type Schema } from './route.ts';
import { EXPIRES_IN, untilOf } from './token-life.ts';

export interface DeviceRouteDeps {
  devices: Devices;
  live: Live;
  presence: Pick<PresenceBook, 'of' | 'sessions'>;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const TAGS: Schema = {
  type: 'object',
  maxProperties: MAX_TAGS,
  additionalProperties: { type: 'string', maxLength: MAX_TEXT },
  examples: [{ floor: '1', room: '12' }],
};
const TEXT: Schema = { type: 'string', maxLength: MAX_TEXT, examples: ['Meter in the cellar'] };
const EXPECTED: Schema = {
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
const DEVICE = object(DEVICE_PROPERTIES, MAY_LACK);
const DEVICE_WITH_LAST = object(
  {
    ...DEVICE_PROPERTIES,
    last: {
      type: 'object',
      description: 'The newest reading of each stream since the hub started.',
      additionalProperties: { type: 'object' },
      examples: [{ power: { ts: 1_760_000_000_000, power: 3.5 } }],
    },
  },
  MAY_LACK,
);
const DEVICE_WITH_TOKEN = object(
  {
    ...DEVICE_PROPERTIES,
    token: { type: 'string', description: 'Shown only here.', examples: ['thd_6vTq0ZcB1xYk_***'] },
  },
  MAY_LACK,
);

const SESSION = object(
  {
    id: { type: 'string', examples: ['5f0c2f0e'] },
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

type NewDevice = { id: string; expiresInMs?: number } & Omit<DeviceDetails, 'enabled'>;

/** Reading takes a viewer, changing an operator. */
export function deviceRoutes({ devices, live, presence }: DeviceRouteDeps): Route[] {
  const stateOf = (id: string) => presence.of(id)?.state ?? 'offline';
  const shown = (device: Device) => {
    const { id, createdAt } = device;
    const now = presence.of(id) ?? { state: 'offline', since: createdAt, reason: 'never connected' };
    return { ...device, online: now.state !== 'offline', presence: now };
  };
  return [
    {
      method: 'GET',
      path: '/v1/devices',
      role: 'viewer',
      tag: 'devices',
      summary: 'Devices in the order of their ids, page by page.',
      query: query({
        ...paging(),
        presence: { type: 'string', enum: [...PRESENCE_STATES], description: 'Only those in this state.' },
        tag: {
          type: 'string',
          examples: ['floor=1'],
          maxLength: 4096,
          description: 'Only those with this tag: name=value; several with commas.',
        },
        prefix: { type: 'string', maxLength: 128, description: 'Only those whose id begins so.', examples: ['meter-'] },
      }),
      answers: {
        200: {
          description: 'A page; `next` is absent on the last.',
          schema: pageOf('devices', DEVICE),
        },
      },
      handle({ query: { limit, cursor = '', presence: state, tag, prefix = '' } }) {
        const page = devices.list({
          limit: Number(limit),
          after: String(cursor),
          prefix: String(prefix),
          tags: tagsOf(tag),
          ...(state !== undefined && { where: (id: string) => stateOf(id) === state }),
        });
        return { body: { ...page, devices: page.devices.map(shown) } };
      },
    },
    {
      method: 'POST',
      path: '/v1/devices',
      role: 'operator',
      tag: 'devices',
      summary: 'Adds a device and makes its token, which is shown only here.',
      body: object(
        {
          ...{ id: { type: 'string', examples: ['meter-7'] }, tags: TAGS, description: TEXT },
          ...{ expectedIntervalMs: EXPECTED, expiresInMs: EXPIRES_IN },
        },
        ['tags', 'description', 'expectedIntervalMs', 'expiresInMs'],
      ),
      answers: { 201: { description: 'The device and its token.', schema: DEVICE_WITH_TOKEN } },
      async handle({ body }) {
        const { id, expiresInMs, ...details } = body as NewDevice;
        const expiresAt = untilOf(expiresInMs);
        const { device, token } = await devices.add(id, { ...details, ...(expiresAt !== undefined && { expiresAt }) });
        return { status: 201, body: { ...shown(device), token } };
      },
    },
    {
      method: 'GET',
      path: '/v1/devices/:id',
      role: 'viewer',
      tag: 'devices',
      summary: 'One device, its presence, and its last reading of each stream.',
      params: DEVICE_PARAMS,
      answers: { 200: { description: 'The device.', schema: DEVICE_WITH_LAST } },
      handle({ params: { id = '' } }) {
        return { body: { ...shown(deviceOf(devices, id)), last: live.lastOf(id) } };
      },
    },
    {
      method: 'PATCH',
      path: '/v1/devices/:id',
      role: 'operator',
      tag: 'devices',
      summary: 'Enables, disables or describes a device; tags replace all tags.',
      params: DEVICE_PARAMS,
      body: {
        ...query({
          enabled: { type: 'boolean' },
          tags: TAGS,
          description: TEXT,
          expectedIntervalMs: { ...EXPECTED, type: ['number', 'null'], description: 'null: learnt again.' },
        }),
        minProperties: 1,
        examples: [{ enabled: false, description: 'In repair' }],
      },
      answers: { 200: { description: 'The device as it is now.', schema: DEVICE } },
      async handle({ params: { id = '' }, body }) {
        return { body: shown(await devices.update(id, body as DeviceDetails)) };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/devices/:id',
      role: 'operator',
      tag: 'devices',
      summary: 'Removes a device and its tokens and closes its connection; its readings stay.',
      params: DEVICE_PARAMS,
      answers: { 204: { description: 'Removed.' } },
      async handle({ params: { id = '' } }) {
        await devices.remove(id);
        return { status: 204 };
      },
    },
    {
      method: 'GET',
      path: '/v1/devices/:id/sessions',
      role: 'viewer',
      tag: 'devices',
      summary: 'The last sessions of a device, newest first: when, from where, how each ended, what it brought.',
      params: DEVICE_PARAMS,
      answers: {
        200: { description: 'Its sessions.', schema: object({ sessions: { type: 'array', items: SESSION } }) },
      },
      handle({ params: { id = '' } }) {
        return { body: { sessions: presence.sessions(deviceOf(devices, id).id) } };
      },
    },
  ];
}

/** `name=value,…`; a comma that no name follows belongs to the value. Throws `MistakenRequest`. */
function tagsOf(text: string | number | undefined): Record<string, string> {
  const pairs = text === undefined ? [] : String(text).split(/,(?=[A-Za-z][A-Za-z0-9_-]*=)/);
  const tags = pairs.map((pair) => /^([^=]+)=(.*)$/s.exec(pair)?.slice(1) as [string, string] | undefined);
  if (tags.every((tag) => tag !== undefined)) return Object.fromEntries(tags);
  throw new MistakenRequest([{ in: 'query', path: '/tag', message: 'must be name=value' }]);
}

/** The device of that id. Throws `RefusedError` (not-found). */
export function deviceOf(devices: Devices, id: string): Device {
  const device = devices.get(id);
  if (!device) throw new RefusedError('not-found', `There is no device "${id}".`);
  return device;
}
