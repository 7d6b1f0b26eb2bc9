/** The routes of alerts: what is wrong now, the rules that find it, and the channels that tell of it. */
import { configSchema } from '../../schemas/index.ts';
import type { Alerts } from '../alerts/alerts.ts';
import { cursorOf } from '../alerts/alerts.ts';
import { NeverTaken } from '../alerts/channel.ts';
import type { Deliveries } from '../alerts/deliveries.ts';
import { RULE_KINDS, type Rule, type RuleDetails, SEVERITIES } from '../alerts/rule.ts';
import type { RuleChange, Rules } from '../alerts/rules.ts';
import { ALERT_STATES, type AlertState } from '../alerts/watch.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import { cutPage, pageOf, paging } from './page.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface AlertRouteDeps {
  rules: Rules;
  alerts: Pick<Alerts, 'list' | 'counts' | 'isFull'>;
  deliveries: Pick<Deliveries, 'status' | 'test'>;
}

const TIME: Schema = { type: 'number', description: 'Unix milliseconds.', examples: [1_760_000_000_000] };
const NAME: Schema = { type: 'string', maxLength: 64, description: 'Name of the rule.', examples: ['too-hot'] };

/** The same words as in the configuration. */
const { id: _, ...DETAILS } = configSchema.properties.alerts.properties.rules.items.properties as Record<
  string,
  Schema
>;
const EXAMPLE = { kind: 'field', stream: 'environment', field: 'temperature', above: 30, clear: 28, forMs: 60_000 };
const ALWAYS_THERE = ['kind', 'forMs', 'clearForMs', 'severity', 'description', 'enabled'];
const RULE: Schema = object(
  {
    id: NAME,
    ...DETAILS,
    origin: { enum: ['configuration', 'api'], description: 'Rules of the configuration are changed there.' },
  },
  Object.keys(DETAILS).filter((name) => !ALWAYS_THERE.includes(name)),
);

const ALERT: Schema = object(
  {
    id: { type: 'string' },
    rule: NAME,
    kind: { enum: RULE_KINDS },
    severity: { enum: SEVERITIES },
    device: { type: 'string', description: 'Absent when it is about the hub.', examples: ['meter-7'] },
    sink: { type: 'string', description: 'Of the kind lag.' },
    state: { enum: ALERT_STATES, description: 'pending: wrong, but not yet for long enough.' },
    value: { type: 'number', description: 'While it fires the newest.' },
    since: { ...TIME, description: 'When it began to be wrong, Unix milliseconds.' },
    firedAt: TIME,
    resolvedAt: TIME,
    summary: { type: 'string', examples: ['meter-7: environment.temperature is 31.2, above 30 for 1 min'] },
  },
  ['device', 'sink', 'value', 'firedAt', 'resolvedAt'],
);

/** When it began, and its id. */
const CURSOR = { pattern: '^\\d{15,16}\\.[\\w-]{1,64}$', example: '001760000000000.c5070e80-e6c1' };

const COUNTS = object(Object.fromEntries(ALERT_STATES.map((state) => [state, { type: 'integer' }])));

const CHANNEL: Schema = object(
  {
    name: { type: 'string', examples: ['on-call'] },
    kind: { enum: ['webhook', 'mqtt'] },
    waiting: { type: 'integer', description: 'Notices that it has not taken yet.' },
    delivered: { type: 'integer', description: 'Since the hub started.' },
    dropped: { type: 'integer', description: 'Notices given up: refused for good, a day old, or one too many.' },
    lastError: { type: 'string', description: 'Why the last attempt failed; absent while all is well.' },
  },
  ['lastError'],
);

/** Looking takes a viewer, changing an operator. */
export function alertRoutes({ rules, alerts, deliveries }: AlertRouteDeps): Route[] {
  return [listRoute(alerts), ...rulesRoutes(rules), ...changingRoutes(rules), ...channelRoutes(deliveries)];
}

function listRoute(alerts: AlertRouteDeps['alerts']): Route {
  const page = pageOf('alerts', ALERT);
  const full = { type: 'boolean', description: 'More is wrong than is watched: 10,000 alerts at a time.' };
  const properties = { ...(page.properties as Record<string, Schema>), counts: COUNTS, full };
  return {
    method: 'GET',
    path: '/v1/alerts',
    role: 'viewer',
    tag: 'alerts',
    summary: 'Alerts, those that began last first; resolved ones are kept for a week.',
    query: query({
      state: { type: 'string', enum: ALERT_STATES, description: 'Only those in this state.' },
      rule: NAME,
      device: { type: 'string', maxLength: 64, description: 'Only of this device.', examples: ['meter-7'] },
      ...paging(CURSOR),
    }),
    answers: {
      200: { description: 'A page of alerts, and how many there are in all.', schema: object(properties, ['next']) },
    },
    handle({ query: { limit, cursor, state, rule, device } }) {
      const found = alerts.list({
        limit: Number(limit) + 1,
        ...(state !== undefined && { state: state as AlertState }),
        ...(rule !== undefined && { rule: String(rule) }),
        ...(device !== undefined && { device: String(device) }),
        ...(cursor !== undefined && { after: String(cursor) }),
      });
      const { items, next } = cutPage(found, Number(limit), cursorOf);
      return { body: { alerts: items, ...next, counts: alerts.counts(), full: alerts.isFull } };
    },
  };
}

function rulesRoutes(rules: Rules): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/alerts/rules',
      role: 'viewer',
      tag: 'alerts',
      summary: 'All rules in the order of their names.',
      answers: { 200: { description: 'The rules.', schema: object({ rules: { type: 'array', items: RULE } }) } },
      handle: () => ({ body: { rules: rules.list() } }),
    },
    {
      method: 'GET',
      path: '/v1/alerts/rules/:id',
      role: 'viewer',
      tag: 'alerts',
      summary: 'One rule.',
      params: object({ id: NAME }),
      answers: { 200: { description: 'The rule.', schema: RULE } },
      handle: ({ params: { id = '' } }) => ({ body: ruleCalled(rules, id) }),
    },
  ];
}

function changingRoutes(rules: Rules): Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/alerts/rules',
      role: 'operator',
      tag: 'alerts',
      deed: 'add/added the rule',
      summary: 'Adds a rule; it looks from now on.',
      body: {
        ...object(
          { id: NAME, ...DETAILS },
          Object.keys(DETAILS).filter((name) => name !== 'kind'),
        ),
        examples: [{ id: 'too-hot', ...EXAMPLE }],
      },
      answers: { 201: { description: 'The rule.', schema: RULE } },
      async handle({ body }) {
        const { id, ...details } = body as { id: string } & RuleDetails;
        return { status: 201, body: await rules.add(id, details) };
      },
    },
    {
      method: 'PATCH',
      path: '/v1/alerts/rules/:id',
      role: 'operator',
      tag: 'alerts',
      deed: 'change/changed the rule',
      summary: 'Changes what is named; null takes it away. Its alerts go on.',
      params: object({ id: NAME }),
      body: { ...query(nullable(DETAILS)), minProperties: 1, examples: [{ enabled: false }] },
      answers: { 200: { description: 'The rule as it is now.', schema: RULE } },
      async handle({ params: { id = '' }, body }) {
        return { body: await rules.change(id, body as RuleChange) };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/alerts/rules/:id',
      role: 'operator',
      tag: 'alerts',
      deed: 'remove/removed the rule',
      summary: 'Removes a rule; what it found is resolved.',
      params: object({ id: NAME }),
      answers: { 204: { description: 'Removed.' } },
      async handle({ params: { id = '' } }) {
        await rules.remove(id);
        return { status: 204 };
      },
    },
  ];
}

function channelRoutes(deliveries: AlertRouteDeps['deliveries']): Route[] {
  const name = { type: 'string', maxLength: 64, description: 'Name of the channel.', examples: ['on-call'] };
  return [
    {
      method: 'GET',
      path: '/v1/alerts/channels',
      role: 'viewer',
      tag: 'alerts',
      summary: 'Where notices go, and how it goes.',
      answers: {
        200: { description: 'The channels.', schema: object({ channels: { type: 'array', items: CHANNEL } }) },
      },
      handle: () => ({ body: { channels: deliveries.status() } }),
    },
    {
      method: 'POST',
      path: '/v1/alerts/channels/:name/test',
      role: 'operator',
      tag: 'alerts',
      deed: 'test/tested the channel',
      summary: 'Sends a test notice now, beside those that wait.',
      params: object({ name }),
      answers: { 204: { description: 'The receiver took it.' } },
      async handle({ params }) {
        await tried(deliveries, params.name ?? '');
        return { status: 204 };
      },
    },
  ];
}

/** Throws `RefusedError` (not-found, unavailable), in words for who asked. */
async function tried(deliveries: AlertRouteDeps['deliveries'], name: string): Promise<void> {
  try {
    await deliveries.test(name);
  } catch (error) {
    if (!(error instanceof Unavailable || error instanceof NeverTaken)) throw error;
    throw new RefusedError('unavailable', `The channel ${name} did not take it: ${error.message}.`);
  }
}

/** Each may be null, which takes it away; what is left out stays as it is, so that nothing has a default. */
function nullable(schemas: Record<string, Schema>): Record<string, Schema> {
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { default: _, ...schema }]) => [
      name,
      {
        ...schema,
        ...(schema.type !== undefined && { type: [schema.type, 'null'] }),
        ...(schema.enum !== undefined && { enum: [...(schema.enum as unknown[]), null] }),
      },
    ]),
  );
}

function ruleCalled(rules: Rules, id: string): Rule {
  const rule = rules.get(id);
  if (!rule) throw new RefusedError('not-found', `There is no rule "${id}".`);
  return rule;
}
