/** The routes of devices: who there is, what each said last, adding and removing. */
import { DEVICE_ID, type DeviceDetails } from '../devices/device-details.ts';
import type { Device, Devices } from '../devices/devices.ts';
import { PRESENCE_STATES, type PresenceBook } from '../devices/presence.ts';
import { RefusedError } from '../kit/errors.ts';
import type { LastValues } from '../telemetry/last-values.ts';
import {
  DEVICE,
  DEVICE_PARAMS,
  DEVICE_WITH_LAST,
  DEVICE_WITH_TOKEN,
  EXPECTED,
  SESSION,
  TAGS,
  TEXT,
} from './device-schemas.ts';
import { pageOf, paging } from './page.ts';
import { MistakenRequest } from './problem.ts';
import { object, query, type Route } from './route.ts';
import { EXPIRES_IN, untilOf } from './token-life.ts';

export interface DeviceRouteDeps {
  devices: Devices;
  lastValues: Pick<LastValues, 'of'>;
  presence: Pick<PresenceBook, 'of' | 'sessions'>;
}

/** The id of a device; empty: from the first one on. */
const CURSOR = { pattern: `^$|${DEVICE_ID.source}`, example: 'meter-7' };

type NewDevice = { id: string; expiresInMs?: number } & Omit<DeviceDetails, 'enabled'>;

/** Reading takes a viewer, changing an operator. */
export function deviceRoutes({ devices, lastValues, presence }: DeviceRouteDeps): Route[] {
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
        ...paging(CURSOR),
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
      deed: 'add/added the device',
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
        const life = expiresAt === undefined ? {} : { expiresAt };
        const { device, token } = await devices.add(id, { ...details, ...life });
        return { status: 201, body: { ...shown(device), token, ...life } };
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
      async handle({ params: { id = '' } }) {
        deviceOf(devices, id);
        const last = await lastValues.of(id);
        return { body: { ...shown(deviceOf(devices, id)), last } };
      },
    },
    {
      method: 'PATCH',
      path: '/v1/devices/:id',
      role: 'operator',
      tag: 'devices',
      deed: 'change/changed the device',
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
      deed: 'remove/removed the device',
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
export function tagsOf(text: string | number | undefined): Record<string, string> {
  const pairs = text === undefined ? [] : String(text).split(/,(?=[A-Za-z][A-Za-z0-9_-]*=)/);
  const tags = pairs.map((pair) => /^([^=]+)=(.*)$/s.exec(pair)?.slice(1) as [string, string] | undefined);
  if (tags.every((tag) => tag !== undefined)) return Object.fromEntries(tags);
  throw new MistakenRequest([{ in: 'query', path: '/tag', message: 'must be name=value' }]);
}

/** The names in a parameter of a query; undefined when it was not sent. Throws `MistakenRequest` where one is empty. */
export function namesIn(parameter: string, text: string | number | undefined): Set<string> | undefined {
  if (text === undefined) return undefined;
  const names = new Set(String(text).split(','));
  if (!names.has('')) return names;
  const message = 'has an empty name: names with one comma between, or leave it out for all';
  throw new MistakenRequest([{ in: 'query', path: `/${parameter}`, message }]);
}

/** The device of that id. Throws `RefusedError` (not-found). */
export function deviceOf(devices: Devices, id: string): Device {
  const device = devices.get(id);
  if (!device) throw new RefusedError('not-found', `There is no device "${id}".`);
  return device;
}
