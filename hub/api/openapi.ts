/** Describes the operator API as an OpenAPI 3.1 document, made of the same table of routes that the server carries. */
import { REFUSALS } from '../kit/errors.ts';
import { exampleOf } from './example.ts';
import { IDEMPOTENCY_KEY, isRepeatable } from './idempotency.ts';
import { SESSION_COOKIE } from './identify.ts';
import { needsBody, object, type Route, type Schema } from './route.ts';

/** What is said of the groups into which the routes are sorted. */
const TAGS: Record<string, string> = {
  hub: 'The hub itself: health, metrics, status, housekeeping.',
  contract: 'What devices and the hub may say to each other.',
  devices: 'Who may connect, who is connected, and their tokens.',
  commands: 'Telling one device to do something, and what came of it.',
  groups: 'One command to many devices.',
  schedules: 'Commands on a timetable.',
  telemetry: 'What the devices measured.',
  session: 'Who asks, and signing in from a browser.',
  operators: 'The people and programs that use this API.',
  audit: 'Who changed what.',
};

const DESCRIPTION =
  'Send `Authorization: Bearer <operator token>`; each operation names the least role that may (`x-role`). Times are Unix ' +
  'milliseconds. Lists that grow come in pages: `limit`, and `cursor` with the `next` of the page before. What is refused ' +
  'is told as problem details (RFC 9457) with a `code` that stays.';

const PROBLEM: Schema = {
  ...object(
    {
      type: { const: 'about:blank' },
      title: { type: 'string', examples: [REFUSALS['not-found'].title] },
      status: { type: 'integer', minimum: 400, maximum: 599, examples: [REFUSALS['not-found'].status] },
      code: { enum: [...Object.keys(REFUSALS), 'internal'], examples: ['not-found'] },
      detail: { type: 'string', examples: ['There is no device "meter-7".'] },
      errors: {
        type: 'array',
        description: 'Each mistake of the request.',
        items: object({
          in: { enum: ['body', 'query', 'path', 'header'] },
          path: {
            type: 'string',
            description: 'JSON pointer into the body, or /name of a parameter.',
            examples: ['/id'],
          },
          message: { type: 'string', examples: ['is missing'] },
        }),
      },
    },
    ['errors'],
  ),
  description: 'Why it was refused (RFC 9457).',
};

/** Of the refusals, those that many routes share; `default` stands for the rest. */
const REFUSED: Record<string, string> = {
  400: 'The request does not fit its schema, or makes no sense.',
  401: 'No operator token, or one that opens nothing.',
  403: 'The role of the token does not allow it.',
  404: 'There is no such thing.',
  429: 'Too much was asked for; `Retry-After` may say when to come back.',
  default: 'Any other refusal, by its code.',
};

/** The document, ready to be sent as JSON. Pure; fit to be made once. */
export function openapiOf(routes: readonly Route[], { version }: { version: string }): Record<string, unknown> {
  const used = [...new Set(routes.map(({ tag }) => tag))];
  const byPath = Map.groupBy(routes, ({ path }) => path.replace(/:(\w+)/g, '{$1}'));
  return {
    openapi: '3.1.0',
    info: { title: 'Telemetry Hub operator API', version, description: DESCRIPTION },
    servers: [{ url: '/', description: 'This hub.' }],
    tags: used.map((name) => ({ name, description: TAGS[name] ?? name })),
    paths: Object.fromEntries(
      [...byPath].map(([path, own]) => {
        return [path, Object.fromEntries(own.map((route) => [route.method.toLowerCase(), operationOf(route)]))];
      }),
    ),
    components: {
      securitySchemes: {
        operator: { type: 'http', scheme: 'bearer', description: 'An operator token, tho_….' },
        session: {
          ...{ type: 'apiKey', in: 'cookie', name: SESSION_COOKIE },
          description: 'Of POST /v1/session; a change needs its `csrf` in the header `x-csrf-token` as well.',
        },
      },
      schemas: { Problem: PROBLEM },
      responses: Object.fromEntries(Object.entries(REFUSED).map(([status, text]) => [nameOf(status), problem(text)])),
    },
  };
}

function operationOf(route: Route) {
  const { method, path, role, asksWho = false, tag, summary, params, query, body } = route;
  const parameters = [
    ...parametersOf('path', params),
    ...parametersOf('query', query),
    ...(isRepeatable(route)
      ? parametersOf('header', object({ 'Idempotency-Key': IDEMPOTENCY_KEY }, ['Idempotency-Key']))
      : []),
  ];
  return {
    operationId: [method.toLowerCase(), ...path.split(/[^A-Za-z0-9]+/).filter(Boolean)].join('-'),
    tags: [tag],
    summary,
    description: role === 'anyone' ? 'Needs no token.' : `Needs the role ${role} or more.`,
    'x-role': role,
    security: role === 'anyone' && !asksWho ? [] : [...(asksWho ? [{}] : []), { operator: [] }, { session: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: needsBody(route),
        description: String(body.description ?? summary),
        content: { 'application/json': contentOf(body) },
      },
    }),
    responses: { ...answersOf(route), ...refusalsOf(route) },
  };
}

function parametersOf(place: 'path' | 'query' | 'header', schema: Schema = {}) {
  const { properties = {}, required = [] } = schema as { properties?: Record<string, Schema>; required?: string[] };
  return Object.entries(properties).map(([name, { description, ...each }]) => {
    return { name, in: place, required: required.includes(name), description, schema: each, example: exampleOf(each) };
  });
}

function answersOf({ answers }: Route) {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, texts = {} }]) => {
      const content: Record<string, ReturnType<typeof contentOf>> = {};
      if (schema) content['application/json'] = contentOf(schema);
      for (const [type, example] of Object.entries(texts)) content[type] = { schema: { type: 'string' }, example };
      return [status, { description, ...(Object.keys(content).length > 0 && { content }) }];
    }),
  );
}

function refusalsOf({ role, asksWho, params, query, body }: Route) {
  const statuses = [
    ...(params || query || body ? ['400'] : []),
    ...(role !== 'anyone' ? ['401', '403'] : asksWho ? ['401'] : []),
    ...(params ? ['404'] : []),
    ...(role === 'anyone' && !asksWho ? [] : ['429']),
    'default',
  ];
  return Object.fromEntries(statuses.map((status) => [status, { $ref: `#/components/responses/${nameOf(status)}` }]));
}

const nameOf = (status: string) => (status === 'default' ? 'Refused' : `Refused${status}`);

function problem(description: string) {
  const schema = { $ref: '#/components/schemas/Problem' };
  return { description, content: { 'application/problem+json': { schema, example: exampleOf(PROBLEM) } } };
}

const contentOf = (schema: Schema) => ({ schema, example: exampleOf(schema) });
