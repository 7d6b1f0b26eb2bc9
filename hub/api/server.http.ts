/** The operator API: an HTTP server that carries the table of routes, with authentication and OpenAPI. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { Log } from '../kit/log.ts';
import { includesRole, type Operator, type Operators } from '../operators/operators.ts';
import { type CommandRouteDeps, commandRoutes } from './command-routes.ts';
import { type ContractRouteDeps, contractRoutes } from './contract-routes.ts';
import { type DeviceRouteDeps, deviceRoutes } from './device-routes.ts';
import { type GroupRouteDeps, groupRoutes } from './group-routes.ts';
import { type HubRouteDeps, hubRoutes } from './hub-routes.ts';
import { PROBLEM_TYPE, problemOfError } from './problem.ts';
import type { Answer, Outlet, Route } from './route.ts';
import { type ScheduleRouteDeps, scheduleRoutes } from './schedule-routes.ts';
import { type TelemetryRouteDeps, telemetryRoutes } from './telemetry-routes.ts';

export interface ApiDeps
  extends ContractRouteDeps,
    DeviceRouteDeps,
    CommandRouteDeps,
    GroupRouteDeps,
    ScheduleRouteDeps,
    TelemetryRouteDeps,
    Omit<HubRouteDeps, 'openapi'> {
  operators: Pick<Operators, 'authenticate'>;
  log: Log;
  version: string;
}

export interface ApiOptions {
  host: string;
  /** 0 picks a free one. */
  port: number;
  /** Requests of one address in a minute, health apart; 6,000. */
  requestsPerMinute?: number;
}

export interface Api {
  /** Where it listens, for example `http://127.0.0.1:8080`. */
  url: string;
  /** Ends live streams, answers what is under way and stops listening. Idempotent. */
  close(): Promise<void>;
}

/** Bodies of this API are small: a device with all its tags. */
const BODY_BYTES = 64 * 1024;
const CLOSE_MS = 2_000;

/** Every route there is, each with the role it needs. */
export function routesOf(
  deps: ContractRouteDeps &
    DeviceRouteDeps &
    CommandRouteDeps &
    GroupRouteDeps &
    ScheduleRouteDeps &
    TelemetryRouteDeps &
    HubRouteDeps,
): Route[] {
  return [
    ...hubRoutes(deps),
    ...contractRoutes(deps),
    ...deviceRoutes(deps),
    ...commandRoutes(deps),
    ...groupRoutes(deps),
    ...scheduleRoutes(deps),
    ...telemetryRoutes(deps),
  ];
}

/** Listens when it resolves. Rejects when the address cannot be used. */
export async function createApi(deps: ApiDeps, { host, port, requestsPerMinute = 6_000 }: ApiOptions): Promise<Api> {
  const app = fastify({
    bodyLimit: BODY_BYTES,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    // Nothing is coerced or dropped in silence: what does not fit is named, all of it at once.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: true } },
  });
  const closing = new AbortController();
  app.setErrorHandler((error, request, reply) => sendProblem(deps.log, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const error = new RefusedError('not-found', `There is no ${request.method} ${pathOf(request)} here.`);
    return sendProblem(deps.log, error, request, reply);
  });
  // The schemas of answers are documentation; what is sent is made by the handlers alone.
  app.setSerializerCompiler(() => (body) => JSON.stringify(body));
  await app.register(helmet);
  await app.register(rateLimit, {
    max: requestsPerMinute,
    errorResponseBuilder: (_request, { after }) => new RefusedError('too-many-requests', `Try again in ${after}.`),
  });
  await app.register(swagger, { openapi: openapiHead(deps.version) });
  logRequests(app, deps.log);
  const routes = routesOf({ ...deps, openapi: () => app.swagger() });
  for (const route of routes) addRoute(app, route, deps.operators, closing.signal);
  const url = await app.listen({ host, port });
  let closed: Promise<void> | undefined;
  return {
    url,
    close() {
      closing.abort();
      closed ??= closeWithin(CLOSE_MS, app);
      return closed;
    },
  };
}

/** Lets requests under way finish, but not for longer than this. */
async function closeWithin(ms: number, app: FastifyInstance) {
  const impatience = setTimeout(() => app.server.closeAllConnections(), ms);
  await app.close();
  clearTimeout(impatience);
}

function openapiHead(version: string) {
  return {
    openapi: '3.1.0',
    info: { title: 'Telemetry Hub operator API', version, description: 'Errors are problem details (RFC 9457).' },
    components: { securitySchemes: { operator: { type: 'http' as const, scheme: 'bearer' } } },
  };
}

function addRoute(app: FastifyInstance, route: Route, operators: ApiDeps['operators'], closing: AbortSignal) {
  const { method, path, role } = route;
  const numbers = integersOf(route.query);
  const callers = new WeakMap<FastifyRequest, Operator>();
  app.route({
    method,
    url: path,
    schema: schemaOf(route),
    ...(role === 'anyone' && { config: { rateLimit: false } }),
    // Before the body is read: a stranger's request costs nothing more and learns nothing of what is valid.
    async preParsing(request) {
      if (role !== 'anyone') callers.set(request, authorize(request, role, operators));
    },
    async preValidation(request) {
      // A query string is text; what shall be an integer becomes one when it looks like one.
      const query = request.query as Record<string, unknown>;
      for (const name of numbers) if (/^-?\d{1,15}$/.test(String(query[name]))) query[name] = Number(query[name]);
    },
    async handler(request, reply) {
      const answer = await route.handle({
        params: request.params as Record<string, string>,
        query: request.query as Record<string, string | number | undefined>,
        body: request.body,
        accept: request.headers.accept ?? '',
        operator: callers.get(request),
      });
      return send(reply, answer, closing);
    },
  });
}

/** Who asks. Throws `RefusedError` (unauthorized, forbidden). */
function authorize(request: FastifyRequest, role: Operator['role'], operators: ApiDeps['operators']): Operator {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) throw new RefusedError('unauthorized', 'Send Authorization: Bearer <operator token>.');
  const operator = operators.authenticate(token, Date.now());
  if ('code' in operator) throw new RefusedError(operator.code, operator.detail);
  if (includesRole(operator.role, role)) return operator;
  throw new RefusedError('forbidden', `This needs the role ${role}; "${operator.name}" is ${operator.role}.`);
}

function integersOf(query: Route['query']): string[] {
  const properties = (query?.properties ?? {}) as Record<string, { type?: unknown }>;
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

function schemaOf({ role, tag, summary, params, query, body, answers }: Route) {
  const response = Object.entries(answers).map(([status, { description, schema, type }]) => {
    const content = { [type ?? 'application/json']: { schema: schema ?? { type: 'string' } } };
    return [status, schema || type ? { description, content } : { description, type: 'null' }];
  });
  return {
    summary,
    tags: [tag],
    'x-role': role,
    security: role === 'anyone' ? [] : [{ operator: [] }],
    ...(params && { params }),
    ...(query && { querystring: query }),
    ...(body && { body }),
    response: Object.fromEntries(response),
  };
}

function send(reply: FastifyReply, { status = 200, type, body, stream }: Answer, closing: AbortSignal) {
  reply.code(status);
  if (type) reply.type(type);
  if (!stream) return reply.send(body);
  // A stream has its connection to itself, so nothing is left over when it ends.
  reply.headers({ 'cache-control': 'no-store', connection: 'close' });
  return reply.send(openStream(stream, closing));
}

/** Runs a streaming answer; the stream ends with it, and it is told when the reader has gone. */
function openStream(stream: NonNullable<Answer['stream']>, closing: AbortSignal): PassThrough {
  const through = new PassThrough();
  const gone = new AbortController();
  through.on('close', () => gone.abort());
  const signal = AbortSignal.any([closing, gone.signal]);
  const outlet: Outlet = {
    signal,
    async write(text) {
      if (signal.aborted) throw new Error('the reader has gone');
      if (!through.write(text)) await once(through, 'drain', { signal });
    },
  };
  stream(outlet).then(
    () => through.end(),
    (error) => through.destroy(error),
  );
  return through;
}

function sendProblem(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const problem = problemOfError(error);
  if (problem.status === 500)
    log.error({ err: error, method: request.method, path: pathOf(request) }, 'request failed');
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  if (error instanceof Unavailable && error.retryAfterMs !== undefined)
    reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
  // Text, so that no serializer of the route can take anything from it.
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem));
}

function logRequests(app: FastifyInstance, log: Log) {
  app.addHook('onResponse', async (request, reply) => {
    log.debug(
      { method: request.method, path: pathOf(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'request',
    );
  });
}

/** Without the query string, where somebody may have put a secret. */
function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0]!;
}
