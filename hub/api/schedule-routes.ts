/** The routes of schedules (commands on a timetable) and of the hub's own jobs. */

import { MISSED } from '../commands/schedule.ts';
import type { NewSchedule, Schedule, ScheduleChange, Schedules } from '../commands/schedules.ts';
import type { JobStatus } from '../jobs.cron.ts';
import { RefusedError } from '../kit/errors.ts';
import type { Operator } from '../operators/operators.ts';
import { ORDER } from './group-routes.ts';
import { wordOfKey } from './idempotency.ts';
import { cutPage, pageOf, paging } from './page.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface ScheduleRouteDeps {
  schedules: Schedules;
  jobs(): JobStatus[];
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
/** The id of a run. */
const CURSOR = { pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-z]{1,64}$', example: '5f0c2f0e-9c1b-mgj6k3cw' };
const SCHEDULE_PARAMS: Schema = object({
  id: { type: 'string', maxLength: 64, description: 'Name of the schedule.', examples: ['nightly-reboot'] },
});

const DETAILS: Record<string, Schema> = {
  cron: {
    ...{ type: 'string', maxLength: 200, examples: ['0 3 * * *', '*/10 * * * * *', '@daily'] },
    description: 'Five fields, six with seconds first, or a name such as @daily.',
  },
  timeZone: { type: 'string', maxLength: 64, default: 'UTC', examples: ['Europe/Berlin'] },
  device: { type: 'string', maxLength: 128, description: 'Either one device, or a selector.', examples: ['meter-7'] },
  ...ORDER,
  missed: {
    ...{ enum: MISSED, default: 'skip' },
    description:
      'What is done with times that came while the hub was down: nothing, one run, or all up to missedLimit.',
  },
  missedLimit: { type: 'integer', minimum: 1, maximum: 100, default: 10 },
  description: { type: 'string', maxLength: 500 },
  enabled: { type: 'boolean', description: 'False: paused.' },
};
/** Not filled in by the server's checks: a change must not reset what it does not name. */
const BODY = Object.fromEntries(Object.entries(DETAILS).map(([name, { default: _, ...schema }]) => [name, schema]));
const REQUIRED = new Set(['cron', 'name']);
const OPTIONAL = Object.keys(DETAILS).filter((name) => !REQUIRED.has(name));
const ALWAYS_THERE = new Set(['timeZone', 'missed', 'missedLimit', 'description', 'enabled']);

const RUN: Schema = object(
  {
    id: { type: 'string', examples: ['5f0c2f0e-9c1b-mgj6k3cw'] },
    schedule: { type: 'string', examples: ['nightly-reboot'] },
    at: { ...TIME, description: 'The scheduled time, Unix milliseconds.' },
    startedAt: TIME,
    manual: { const: true },
    late: { const: true, description: 'It came while the hub was away.' },
    state: {
      enum: ['due', 'sent', 'refused', 'interrupted'],
      description: 'interrupted: the hub stopped before it was sent, and its policy is to skip.',
    },
    command: { type: 'string', description: 'What was sent.', examples: ['0mgj6k3cw00019f2c4b7a10de'] },
    group: { type: 'string', description: 'What was sent.', examples: ['g-5f0c2f0e-9c1b-4d7a-8f3e-2b6a1d4c7e90'] },
    error: object({ code: { type: 'string' }, message: { type: 'string' } }),
  },
  ['manual', 'late', 'command', 'group', 'error'],
);

const SCHEDULE: Schema = object(
  {
    id: { type: 'string', examples: ['nightly-reboot'] },
    ...DETAILS,
    createdAt: TIME,
    createdBy: { type: 'string', examples: ['operator:admin'] },
    nextRuns: { type: 'array', items: TIME, description: 'The next five; none while it is paused.' },
    lastRun: RUN,
  },
  [...OPTIONAL.filter((name) => !ALWAYS_THERE.has(name)), 'lastRun'],
);

const JOB: Schema = object(
  {
    name: { type: 'string' },
    at: { type: 'string', description: 'Cron, in UTC.' },
    running: { type: 'boolean' },
    runs: { type: 'integer', description: 'Since the hub started.' },
    failures: { type: 'integer' },
    nextRunAt: TIME,
    last: object(
      {
        at: TIME,
        durationMs: { type: 'number' },
        ok: { type: 'boolean' },
        did: { type: 'number', description: 'How many things it did.' },
        error: { type: 'string' },
      },
      ['did', 'error'],
    ),
  },
  ['nextRunAt', 'last'],
);

/** Looking takes a viewer, changing an operator. */
export function scheduleRoutes({ schedules, jobs }: ScheduleRouteDeps): Route[] {
  return [...lookingRoutes(schedules), ...changingRoutes(schedules), jobRoute(jobs)];
}

function lookingRoutes(schedules: Schedules): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/schedules',
      role: 'viewer',
      tag: 'schedules',
      summary: 'All schedules in the order of their names, each with its next five runs.',
      answers: {
        200: { description: 'The schedules.', schema: object({ schedules: { type: 'array', items: SCHEDULE } }) },
      },
      handle: () => ({ body: { schedules: schedules.list() } }),
    },
    {
      method: 'GET',
      path: '/v1/schedules/:id',
      role: 'viewer',
      tag: 'schedules',
      summary: 'One schedule, its next five runs and its last one.',
      params: SCHEDULE_PARAMS,
      answers: { 200: { description: 'The schedule.', schema: SCHEDULE } },
      handle: ({ params: { id = '' } }) => ({ body: scheduleOf(schedules, id) }),
    },
    {
      method: 'GET',
      path: '/v1/schedules/:id/runs',
      role: 'viewer',
      tag: 'schedules',
      summary: 'What a schedule did, the newest first; 1,000 runs and 30 days are kept.',
      params: SCHEDULE_PARAMS,
      query: query(paging(CURSOR, 20)),
      answers: {
        200: { description: 'A page of its runs; `next` is absent on the last.', schema: pageOf('runs', RUN) },
      },
      handle({ params: { id = '' }, query: { limit, cursor } }) {
        const asked = cursor === undefined ? [] : [String(cursor)];
        const runs = schedules.runs(id, Number(limit) + 1, ...asked);
        const { items, next } = cutPage(runs, Number(limit), (run) => run.id);
        return { body: { runs: items, ...next } };
      },
    },
  ];
}

function changingRoutes(schedules: Schedules): Route[] {
  const actorOf = (operator: Operator | undefined) => `operator:${operator?.name}`;
  return [
    {
      method: 'POST',
      path: '/v1/schedules',
      role: 'operator',
      tag: 'schedules',
      deed: 'add/added the schedule',
      summary: 'Adds a command on a timetable, for one device or for many.',
      body: {
        ...object({ id: { type: 'string', maxLength: 64, examples: ['nightly-reboot'] }, ...BODY }, OPTIONAL),
        examples: [{ id: 'nightly-reboot', cron: '0 3 * * *', device: 'meter-7', name: 'reboot' }],
      },
      answers: { 201: { description: 'The schedule.', schema: SCHEDULE } },
      async handle({ body, operator }) {
        const { id, ...details } = body as { id: string } & NewSchedule;
        return { status: 201, body: await schedules.add(id, details, actorOf(operator)) };
      },
    },
    {
      method: 'PATCH',
      path: '/v1/schedules/:id',
      role: 'operator',
      tag: 'schedules',
      deed: 'change/changed the schedule',
      summary: 'Changes what is named; enabled pauses and resumes it.',
      params: SCHEDULE_PARAMS,
      body: { ...query(BODY), minProperties: 1, examples: [{ enabled: false }] },
      answers: { 200: { description: 'The schedule as it is now.', schema: SCHEDULE } },
      async handle({ params: { id = '' }, body }) {
        return { body: await schedules.change(id, body as ScheduleChange) };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/schedules/:id',
      role: 'operator',
      tag: 'schedules',
      deed: 'remove/removed the schedule',
      summary: 'Removes a schedule; what it sent stays.',
      params: SCHEDULE_PARAMS,
      answers: { 204: { description: 'Removed.' } },
      async handle({ params: { id = '' } }) {
        await schedules.remove(id);
        return { status: 204 };
      },
    },
    {
      method: 'POST',
      path: '/v1/schedules/:id/run',
      role: 'operator',
      tag: 'schedules',
      deed: 'run/ran the schedule by hand',
      summary: 'Runs a schedule once now, paused or not, beside its timetable.',
      params: SCHEDULE_PARAMS,
      answers: { 202: { description: 'The run; look at its command or group.', schema: RUN } },
      async handle({ params: { id = '' }, operator, idempotencyKey: key }) {
        const name = key === undefined ? [] : [wordOfKey(operator?.name ?? '', key)];
        return { status: 202, body: await schedules.runNow(id, actorOf(operator), ...name) };
      },
    },
  ];
}

function jobRoute(jobs: () => JobStatus[]): Route {
  return {
    method: 'GET',
    path: '/v1/jobs',
    role: 'viewer',
    tag: 'hub',
    summary: "The hub's own housekeeping: when each job runs, and how its last run went.",
    answers: { 200: { description: 'The jobs.', schema: object({ jobs: { type: 'array', items: JOB } }) } },
    handle: () => ({ body: { jobs: jobs() } }),
  };
}

function scheduleOf(schedules: Schedules, id: string): Schedule {
  const schedule = schedules.get(id);
  if (!schedule) throw new RefusedError('not-found', `There is no schedule "${id}".`);
  return schedule;
}
