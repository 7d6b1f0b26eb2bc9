/** The routes of devices: who there is, what each said last, adding and removing. */
import { DEVICE_ID, type Device, type DeviceDetails, type Devices, MAX_TAGS, MAX_TEXT } from '../devices/devices.ts';
import { RefusedError } from '../kit/errors.ts';
import type { Live } from '../telemetry/live.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface DeviceRouteDeps {
  devices: Devices;
  live: Live;
  /** Whether a device has an open session. */
  online(id: string): boolean;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.' };
const TAGS: Schema = {
  type: 'object',
  maxProperties: MAX_TAGS,
  additionalProperties: { type: 'string', maxLength: MAX_TEXT },
};
const TEXT: Schema = { type: 'string', maxLength: MAX_TEXT };
/** The path of one device: any text, since an id that cannot exist is simply not found. */
export const DEVICE_PARAMS: Schema = object({ id: { type: 'string', maxLength: 128 } });

const DEVICE_PROPERTIES: Record<string, Schema> = {
  id: { type: 'string', pattern: DEVICE_ID.source },
  enabled: { type: 'boolean', description: 'A disabled device cannot connect.' },
  tags: TAGS,
  description: TEXT,
  createdAt: TIME,
  tokens: {
    type: 'array',
    description: 'Its valid tokens by their public part; the tokens themselves are not kept.',
    items: object({ keyId: { type: 'string' }, createdAt: TIME, expiresAt: TIME }, ['expiresAt']),
  },
  lastSeenAt: TIME,
  online: { type: 'boolean' },
};
const DEVICE = object(DEVICE_PROPERTIES, ['lastSeenAt']);
const DEVICE_WITH_LAST = object(
  {
    ...DEVICE_PROPERTIES,
    last: {
      type: 'object',
      description: 'The newest reading of each stream since the hub started.',
      additionalProperties: { type: 'object' },
    },
  },
  ['lastSeenAt'],
);
const DEVICE_WITH_TOKEN = object({ ...DEVICE_PROPERTIES, token: { type: 'string' } }, ['lastSeenAt']);

/** Reading takes a viewer, changing an operator. */
export function deviceRoutes({ devices, live, online }: DeviceRouteDeps): Route[] {
  const shown = (device: Device) => ({ ...device, online: online(device.id) });
  return [
    {
      method: 'GET',
      path: '/v1/devices',
      role: 'viewer',
      tag: 'devices',
      summary: 'Devices in the order of their ids, page by page.',
      query: query({
        limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
        cursor: { type: 'string', maxLength: 128, description: 'The `next` of the page before.' },
      }),
      answers: {
        200: {
          description: 'A page; `next` is absent on the last.',
          schema: object({ devices: { type: 'array', items: DEVICE }, next: { type: 'string' } }, ['next']),
        },
      },
      handle({ query: { limit, cursor } }) {
        const page = devices.list({ limit: limit as number, after: cursor ? String(cursor) : '' });
        return { body: { ...page, devices: page.devices.map(shown) } };
      },
    },
    {
      method: 'POST',
      path: '/v1/devices',
      role: 'operator',
      tag: 'devices',
      summary: 'Adds a device and makes its token, which is shown only here.',
      body: object({ id: { type: 'string' }, tags: TAGS, description: TEXT }, ['tags', 'description']),
      answers: { 201: { description: 'The device and its token.', schema: DEVICE_WITH_TOKEN } },
      async handle({ body }) {
        const { id, ...details } = body as { id: string } & Omit<DeviceDetails, 'enabled'>;
        const { device, token } = await devices.add(id, details);
        return { status: 201, body: { ...shown(device), token } };
      },
    },
    {
      method: 'GET',
      path: '/v1/devices/:id',
      role: 'viewer',
      tag: 'devices',
      summary: 'One device, whether it is online, and its last reading of each stream.',
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
        ...object({ enabled: { type: 'boolean' }, tags: TAGS, description: TEXT }, ['enabled', 'tags', 'description']),
        minProperties: 1,
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
      method: 'DELETE',
      path: '/v1/devices/:id/tokens',
      role: 'operator',
      tag: 'devices',
      summary: 'Revokes all tokens of a device and closes its connection.',
      params: DEVICE_PARAMS,
      answers: { 204: { description: 'Revoked.' } },
      async handle({ params: { id = '' } }) {
        await devices.revokeTokens(id);
        return { status: 204 };
      },
    },
  ];
}

/** The device of that id. Throws `RefusedError` (not-found). */
export function deviceOf(devices: Devices, id: string): Device {
  const device = devices.get(id);
  if (!device) throw new RefusedError('not-found', `There is no device "${id}".`);
  return device;
}
