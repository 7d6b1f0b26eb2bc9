/** The routes of commands: sending one to a device, waiting for its end, looking and taking back. */
import { COMMAND_STATES, type Command } from '../commands/command.ts';
import type { CommandQuery } from '../commands/command-index.ts';
import { COMMAND_ID, MAX_PARAMS_BYTES, TIMEOUT_MS, TTL_MS } from '../commands/command-request.ts';
import type { Commands } from '../commands/commands.ts';
import type { Devices } from '../devices/devices.ts';
import { RefusedError } from '../kit/errors.ts';
import { deviceOf } from './device-routes.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { idOfKey, keyReused } from './idempotency.ts';
import { pageOf, paging } from './page.ts';
import { MistakenRequest } from './problem.ts';
import { object, query, type Route, type Schema } from './route.ts';
import { DURATION_FORMS, parseDuration } from './time.ts';

export interface CommandRouteDeps {
  devices: Devices;
  commands: Pick<Commands, 'send' | 'get' | 'list' | 'cancel' | 'wait'>;
}

/** How long an answer may be held back for a command's end. */
const MAX_WAIT_MS = 60_000;

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const STATE: Schema = { enum: [...COMMAND_STATES] };
const COMMAND_PARAMS = object({
  id: { type: 'string', maxLength: 128, description: 'Id of the command.', examples: ['0mgj6k3cw00019f2c4b7a10de'] },
});
const WAIT: Schema = {
  type: 'string',
  maxLength: 16,
  description: `Answer when the command has ended, or after this: ${DURATION_FORMS}; 60s at most.`,
  examples: ['10s'],
};
/** When it was made, and its id. */
const CURSOR = {
  pattern: `^\\d{1,16}\\.${COMMAND_ID.source.slice(1)}`,
  example: '1760000000000.0mgj6k3cw00019f2c4b7a10de',
};
const LISTED: Record<string, Schema> = {
  state: { ...STATE, description: 'Only those in this state.' },
  group: { type: 'string', maxLength: 64, description: 'Only those of this group.' },
  ...paging(CURSOR),
};

/** A command as it is shown. */
export const COMMAND: Schema = object(
  {
    id: { type: 'string', pattern: COMMAND_ID.source, examples: ['0mgj6k3cw00019f2c4b7a10de'] },
    device: { type: 'string', examples: ['meter-7'] },
    name: { type: 'string', examples: ['set-interval'] },
    params: { type: 'object', examples: [{ seconds: 10 }] },
    state: { ...STATE, description: '`unknown`: sent, then silence past its deadline; a late result still wins.' },
    createdAt: TIME,
    updatedAt: TIME,
    expiresAt: { ...TIME, description: 'Not sent any more from then on.' },
    timeoutMs: {
      type: 'number',
      examples: [30_000],
      description: 'How long the device may take from the first sending.',
    },
    deadlineAt: { ...TIME, description: 'First sending plus `timeoutMs`.' },
    attempt: { type: 'integer', examples: [1], description: 'How often it was sent.' },
    actor: { type: 'string', examples: ['operator:admin'] },
    acceptedAt: TIME,
    progress: { type: 'number', examples: [0.5], minimum: 0, maximum: 1 },
    value: { description: 'What the device answered.' },
    error: object({ code: { type: 'string' }, message: { type: 'string' } }),
    misfit: { type: 'string', description: 'In what the answer does not fit the schema of results.' },
    finishedAt: TIME,
    group: { type: 'string', examples: ['g-5f0c2f0e-9c1b-4d7a-8f3e-2b6a1d4c7e90'] },
    schedule: { type: 'string', examples: ['nightly-reboot'] },
  },
  'deadlineAt acceptedAt progress value error misfit finishedAt group schedule'.split(' '),
);
const PAGE = pageOf('commands', COMMAND);
const REQUEST = object(
  {
    name: { type: 'string', maxLength: 64, description: 'A command of schemas/commands.', examples: ['identify'] },
    params: {
      type: 'object',
      examples: [{ seconds: 10 }],
      description: `By the command's schema; ${MAX_PARAMS_BYTES} bytes at most.`,
    },
    ttlMs: {
      type: 'integer',
      minimum: TTL_MS.min,
      maximum: TTL_MS.max,
      default: TTL_MS.fallback,
      description: 'How long it may wait to be sent.',
    },
    timeoutMs: {
      type: 'integer',
      examples: [30_000],
      minimum: TIMEOUT_MS.min,
      maximum: TIMEOUT_MS.max,
      description: "How long the device may take from the first sending; the schema's without it.",
    },
  },
  ['params', 'ttlMs', 'timeoutMs'],
);

/** Looking takes a viewer, sending and taking back an operator. */
export function commandRoutes({ devices, commands }: CommandRouteDeps): Route[] {
  /** The command as it is, or as it is when it has ended. */
  const ended = async (command: Command, waitMs: number) => {
    return waitMs > 0 ? commands.wait(command.id, waitMs) : command;
  };
  const page = (asked: Record<string, string | number | undefined>, device?: string) => {
    const { state, group, limit, cursor } = asked as Omit<CommandQuery, 'device' | 'before'> & { cursor?: string };
    return commands.list({
      limit,
      ...(state !== undefined && { state }),
      ...(group !== undefined && { group }),
      ...(cursor !== undefined && { before: cursor }),
      ...(device !== undefined && { device }),
    });
  };
  return [
    {
      method: 'POST',
      path: '/v1/devices/:id/commands',
      role: 'operator',
      tag: 'commands',
      deed: 'send/sent a command',
      summary: 'Sends a device a command; durable when answered. An offline device gets it when it connects.',
      params: DEVICE_PARAMS,
      query: query({ wait: WAIT }),
      body: REQUEST,
      answers: { 201: { description: 'The command; look at its state.', schema: COMMAND } },
      async handle({ params: { id = '' }, query: { wait }, body, operator, idempotencyKey: key }) {
        // A mistake in it is told before anything is made.
        waitOf(wait);
        const request = { ...(body as Order), device: id };
        const made = key === undefined ? {} : { id: idOfKey(operator?.name ?? '', key) };
        const earlier = made.id === undefined ? undefined : commands.get(made.id);
        if (key !== undefined && earlier && !isSameOrder(earlier, request)) throw keyReused(key);
        const command = earlier ?? (await commands.send({ ...request, ...made, actor: `operator:${operator?.name}` }));
        return { status: 201, body: command };
      },
      follow(made, { query: { wait } }, repeated) {
        // It may be forgotten by the time that it is asked for again.
        const command = (repeated && commands.get((made as Command).id)) || (made as Command);
        return commands.get(command.id) ? ended(command, waitOf(wait)) : command;
      },
    },
    {
      method: 'GET',
      path: '/v1/devices/:id/commands',
      role: 'viewer',
      tag: 'commands',
      summary: 'The commands of a device, newest first.',
      params: DEVICE_PARAMS,
      query: query(LISTED),
      answers: { 200: { description: 'A page; `next` is absent on the last.', schema: PAGE } },
      handle({ params: { id = '' }, query: asked }) {
        return { body: page(asked, deviceOf(devices, id).id) };
      },
    },
    {
      method: 'GET',
      path: '/v1/commands',
      role: 'viewer',
      tag: 'commands',
      summary: 'Commands of all devices, newest first.',
      query: query({
        device: { type: 'string', maxLength: 128, description: 'Only those of this device.', examples: ['meter-7'] },
        ...LISTED,
      }),
      answers: { 200: { description: 'A page; `next` is absent on the last.', schema: PAGE } },
      handle({ query: asked }) {
        return { body: page(asked, asked.device === undefined ? undefined : String(asked.device)) };
      },
    },
    {
      method: 'GET',
      path: '/v1/commands/:id',
      role: 'viewer',
      tag: 'commands',
      summary: 'One command; with `wait` when it has ended.',
      params: COMMAND_PARAMS,
      query: query({ wait: WAIT }),
      answers: { 200: { description: 'The command.', schema: COMMAND } },
      async handle({ params: { id = '' }, query: { wait } }) {
        const waitMs = waitOf(wait);
        return { body: await ended(commandOf(commands, id), waitMs) };
      },
    },
    {
      method: 'POST',
      path: '/v1/commands/:id/cancel',
      role: 'operator',
      tag: 'commands',
      deed: 'cancel/cancelled the command',
      summary: 'Takes back a command that was not sent yet.',
      params: COMMAND_PARAMS,
      answers: { 200: { description: 'The cancelled command.', schema: COMMAND } },
      async handle({ params: { id = '' }, operator }) {
        return { body: await commands.cancel(id, `operator:${operator?.name}`) };
      },
    },
  ];
}

function commandOf(commands: Pick<Commands, 'get'>, id: string): Command {
  const command = commands.get(id);
  if (!command) throw new RefusedError('not-found', `There is no command "${id}".`);
  return command;
}

type Order = Pick<Command, 'name'> & Partial<Pick<Command, 'params'>>;

/** A key may come again after a restart, when only the command itself is left of its first request. */
function isSameOrder(command: Command, { device, name, params = {} }: Order & { device: string }): boolean {
  const sameTarget = command.device === device && command.name === name;
  return sameTarget && JSON.stringify(command.params) === JSON.stringify(params);
}

/** Milliseconds; 0 without it. Throws `MistakenRequest`. */
function waitOf(wait: string | number | undefined): number {
  if (wait === undefined) return 0;
  const ms = parseDuration(String(wait));
  if (ms !== undefined && ms <= MAX_WAIT_MS) return ms;
  throw new MistakenRequest([{ in: 'query', path: '/wait', message: `must be ${DURATION_FORMS}; 60s at most` }]);
}
