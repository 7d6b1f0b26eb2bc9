/** The routes of group commands: one command to many devices, how far it is, and stopping it. */
import { COMMAND_STATES } from '../commands/command.ts';
import { TIMEOUT_MS, TTL_MS } from '../commands/command-request.ts';
import { type Group, type GroupOrder, MAX_GROUP } from '../commands/group.ts';
import type { Groups } from '../commands/groups.ts';
import { MAX_TAGS, MAX_TEXT } from '../devices/device-details.ts';
import { RefusedError } from '../kit/errors.ts';
import { idOfKey, keyReused } from './idempotency.ts';
import { pageOf, paging } from './page.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface GroupRouteDeps {
  groups: Groups;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const COUNT: Schema = { type: 'integer', minimum: 0 };
/** The id of a group. */
const CURSOR = { pattern: '^[gk]-[0-9a-f-]{36,40}$', example: 'g-5f0c2f0e-9c1b-4d7a-8f3e-2b6a1d4c7e90' };
const GROUP_PARAMS: Schema = object({
  id: {
    type: 'string',
    maxLength: 64,
    description: 'Id of the group.',
    examples: ['g-5f0c2f0e-9c1b-4d7a-8f3e-2b6a1d4c7e90'],
  },
});

const SELECTOR: Schema = {
  ...object(
    {
      tags: {
        type: 'object',
        maxProperties: MAX_TAGS,
        additionalProperties: { type: 'string', maxLength: MAX_TEXT },
        description: 'Devices that bear every one of these tags; an empty object means every device.',
        examples: [{ floor: '1' }],
      },
      devices: {
        type: 'array',
        maxItems: 1_000,
        items: { type: 'string', maxLength: 128 },
        description: 'Only these.',
      },
    },
    ['tags', 'devices'],
  ),
  minProperties: 1,
  examples: [{ tags: { floor: '1' } }],
};

/** What is asked of every device, for groups and schedules alike. */
export const ORDER: Record<string, Schema> = {
  selector: SELECTOR,
  name: {
    ...{ type: 'string', maxLength: 64, examples: ['identify'] },
    description: 'The command, by the name of its schema.',
  },
  params: { type: 'object', description: "By the command's schema.", examples: [{ seconds: 10 }] },
  ttlMs: {
    ...{ type: 'integer', minimum: TTL_MS.min, maximum: TTL_MS.max, examples: [3_600_000] },
    description: `How long each command may wait for its device; ${TTL_MS.fallback} without it.`,
  },
  timeoutMs: {
    ...{ type: 'integer', minimum: TIMEOUT_MS.min, maximum: TIMEOUT_MS.max, examples: [30_000] },
    description: "How long a device may take; the schema's without it.",
  },
  parallel: {
    ...{ type: 'integer', minimum: 1, maximum: MAX_GROUP },
    description: 'Devices that may have an unfinished command of this group at a time; all without it.',
  },
  stopWhenFailedPercent: {
    ...{ type: 'number', minimum: 0, maximum: 100 },
    description: 'Sends no more once more than this share of all devices has failed.',
  },
};
const OPTIONAL = ['params', 'ttlMs', 'timeoutMs', 'parallel', 'stopWhenFailedPercent'];

const GROUP: Schema = object(
  {
    id: { type: 'string', examples: ['g-5f0c2f0e-9c1b-4d7a-8f3e-2b6a1d4c7e90'] },
    ...ORDER,
    total: { ...COUNT, description: 'Devices; the sum of counts, refused and pending.' },
    counts: {
      ...object(Object.fromEntries(COMMAND_STATES.map((state) => [state, COUNT]))),
      description: 'Its commands by state.',
    },
    pending: { ...COUNT, description: 'Devices without a command yet; for ever, when it was stopped.' },
    refused: { ...COUNT, description: 'Devices that could not be given a command.' },
    refusals: {
      type: 'array',
      description: 'The first of them, and why.',
      items: object({ device: { type: 'string' }, code: { type: 'string' } }),
    },
    finished: { type: 'boolean' },
    stopped: { enum: ['failures', 'cancelled'], description: 'Why the rest was not sent.' },
    actor: { type: 'string', examples: ['operator:admin', 'schedule:nightly-reboot'] },
    schedule: { type: 'string', examples: ['nightly-reboot'] },
    createdAt: TIME,
    finishedAt: TIME,
  },
  [...OPTIONAL, 'stopped', 'schedule', 'finishedAt'],
);

/** Looking takes a viewer, sending and stopping an operator. */
export function groupRoutes({ groups }: GroupRouteDeps): Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/commands',
      role: 'operator',
      tag: 'groups',
      deed: 'send/sent a command to many',
      summary: 'Sends a command to every device that the selector fits; durable when answered, sent from then on.',
      body: object(ORDER, OPTIONAL),
      answers: {
        202: { description: 'The group as it begins; its id is that of the whole.', schema: GROUP },
      },
      async handle({ body, operator, idempotencyKey: key }) {
        const order = body as GroupOrder;
        const made = key === undefined ? {} : { id: idOfKey(operator?.name ?? '', key) };
        const earlier = made.id === undefined ? undefined : groups.get(made.id);
        if (key !== undefined && earlier && !isSameOrder(earlier, order)) throw keyReused(key);
        return { status: 202, body: await groups.start({ ...order, ...made, actor: `operator:${operator?.name}` }) };
      },
    },
    {
      method: 'GET',
      path: '/v1/groups',
      role: 'viewer',
      tag: 'groups',
      summary: 'Groups, the newest first.',
      query: query(paging(CURSOR)),
      answers: {
        200: {
          description: 'A page; `next` is absent on the last.',
          schema: pageOf('groups', GROUP),
        },
      },
      handle({ query: { limit, cursor } }) {
        return { body: groups.list({ limit: Number(limit), ...(cursor !== undefined && { before: String(cursor) }) }) };
      },
    },
    {
      method: 'GET',
      path: '/v1/groups/:id',
      role: 'viewer',
      tag: 'groups',
      summary: 'How far a group is: its commands by state.',
      params: GROUP_PARAMS,
      answers: { 200: { description: 'The group.', schema: GROUP } },
      handle({ params: { id = '' } }) {
        return { body: groupOf(groups, id) };
      },
    },
    {
      method: 'POST',
      path: '/v1/groups/:id/cancel',
      role: 'operator',
      tag: 'groups',
      deed: 'stop/stopped the group',
      summary: 'Sends no more and takes back what no device has yet; what was sent goes on.',
      params: GROUP_PARAMS,
      answers: { 200: { description: 'The group as it is now.', schema: GROUP } },
      async handle({ params: { id = '' }, operator }) {
        return { body: await groups.cancel(id, `operator:${operator?.name}`) };
      },
    },
  ];
}

function groupOf(groups: Groups, id: string): Group {
  const group = groups.get(id);
  if (!group) throw new RefusedError('not-found', `There is no group "${id}".`);
  return group;
}

/** A key may come again after a restart, when only the group itself is left of its first request. */
function isSameOrder(one: GroupOrder, other: GroupOrder): boolean {
  const saidBy = ({ name, params = {}, selector }: GroupOrder) => JSON.stringify([name, params, selector]);
  return saidBy(one) === saidBy(other);
}
