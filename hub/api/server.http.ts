/** The operator API: an HTTP server that carries the table of routes, with authentication and OpenAPI. */
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Audit } from '../audit/audit.ts';
import { createDamper } from '../audit/damper.ts';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { Log } from '../kit/log.ts';
import { redact } from '../kit/redact.ts';
import { includesRole, type Operator, type Operators } from '../operators/operators.ts';
import { type AuditRouteDeps, auditRoutes } from './audit-routes.ts';
import { type Attempt, type AuditTrail, createAuditTrail } from './audit-trail.ts';
import { type CommandRouteDeps, commandRoutes } from './command-routes.ts';
import { type ContractRouteDeps, contractRoutes } from './contract-routes.ts';
import { type DeviceRouteDeps, deviceRoutes } from './device-routes.ts';
import { type GroupRouteDeps, groupRoutes } from './group-routes.ts';
import { type HubRouteDeps, hubRoutes } from './hub-routes.ts';
import { createRepeats, IDEMPOTENCY_HEADER, IDEMPOTENCY_KEY, isRepeatable, type Repeats } from './idempotency.ts';
import { openapiOf } from './openapi.ts';
import { type OperatorRouteDeps, operatorRoutes } from './operator-routes.ts';
import { PROBLEM_TYPE, problemOfError, refuseTokensIn } from './problem.ts';
import type { Answer, Call, Route } from './route.ts';
import { type ScheduleRouteDeps, scheduleRoutes } from './schedule-routes.ts';
import { openStream } from './stream.ts';
import { type TelemetryRouteDeps, telemetryRoutes } from './telemetry-routes.ts';
import { type TokenRouteDeps, tokenRoutes } from './token-routes.ts';

export interface ApiDeps
  extends ContractRouteDeps,
    DeviceRouteDeps,
    CommandRouteDeps,
    GroupRouteDeps,
    ScheduleRouteDeps,
    TelemetryRouteDeps,
    TokenRouteDeps,
    OperatorRouteDeps,
    Omit<HubRouteDeps, 'openapi'> {
  audit: Pick<Audit, 'record' | 'list'>;
  operators: OperatorRouteDeps['operators'] & Pick<Operators, 'authenticate'>;
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
    AuditRouteDeps &
    TokenRouteDeps &
    OperatorRouteDeps &
    HubRouteDeps,
): Route[] {
  return [
    ...hubRoutes(deps),
    ...contractRoutes(deps),
    ...deviceRoutes(deps),
    ...tokenRoutes(deps),
    ...commandRoutes(deps),
    ...groupRoutes(deps),
    ...scheduleRoutes(deps),
    ...telemetryRoutes(deps),
    ...operatorRoutes(deps),
    ...auditRoutes(deps),
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
  await app.register(helmet);
  await app.register(rateLimit, {
    max: requestsPerMinute,
    errorResponseBuilder: (_request, { after }) => new RefusedError('too-many-requests', `Try again in ${after}.`),
  });
  logRequests(app, deps.log);
  const routes = routesOf({ ...deps, openapi: () => document });
  const document = openapiOf(routes, deps);
  const { record } = deps.audit;
  const trail = createAuditTrail(record, createDamper(record));
  const door = { ...deps, trail, repeats: createRepeats(), closing: closing.signal };
  for (const route of routes) addRoute(app, route, door);
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

/** What the wrapper around each route needs. */
interface Door extends Pick<ApiDeps, 'operators' | 'log'> {
  trail: AuditTrail;
  repeats: Repeats;
  closing: AbortSignal;
}

function addRoute(app: FastifyInstance, route: Route, { operators, log, trail, repeats, closing }: Door) {
  const { method, path, role } = route;
  const numbers = integersOf(route.query);
  /** What is known so far of each request under way. */
  const known = new WeakMap<FastifyRequest, Partial<Attempt>>();
  const learn = (request: FastifyRequest, more: Partial<Attempt>) =>
    void known.set(request, { ...known.get(request), ...more });
  app.route({
    method,
    url: path,
    schema: schemaOf(route),
    ...(role === 'anyone' && { config: { rateLimit: false } }),
    // Before the body is read: a stranger's request costs nothing more and learns nothing of what is valid.
    async preParsing(request) {
      if (role === 'anyone') return;
      const operator = authenticate(request, operators);
      learn(request, { operator });
      demand(role, operator);
    },
    async preValidation(request) {
      // A query string is text; what shall be an integer becomes one when it looks like one.
      const query = request.query as Record<string, unknown>;
      for (const name of numbers) if (/^-?\d{1,15}$/.test(String(query[name]))) query[name] = Number(query[name]);
    },
    async handler(request, reply) {
      refuseTokensIn(request.body);
      learn(request, { body: request.body });
      const call = callOf(request, known.get(request)?.operator);
      const { answer, repeated } = await repeats.once(route, pathOf(request), call);
      if (repeated) reply.header('idempotency-replayed', 'true');
      learn(request, { answer: answer.body, repeated });
      return send(reply, answer, closing);
    },
    errorHandler(error, request, reply) {
      learn(request, { refusal: problemOfError(error).code });
      return sendProblem(log, error, request, reply);
    },
    // The line is on the disk before the answer leaves: whoever was told of a change finds it in the audit log.
    async onSend(request) {
      const { ip: from, params, headers } = request;
      const { authorization } = headers;
      await trail.add(route, {
        ...{ from, authorization, params: (params ?? {}) as Attempt['params'] },
        ...known.get(request),
      });
    },
  });
}

function callOf(request: FastifyRequest, operator: Operator | undefined): Call {
  const key = request.headers[IDEMPOTENCY_HEADER];
  return {
    params: request.params as Record<string, string>,
    query: request.query as Record<string, string | number | undefined>,
    body: request.body,
    accept: request.headers.accept ?? '',
    operator,
    ...(key !== undefined && { idempotencyKey: String(key) }),
  };
}

/** Who asks. Throws `RefusedError` (unauthorized). */
function authenticate(request: FastifyRequest, operators: ApiDeps['operators']): Operator {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (!token) throw new RefusedError('unauthorized', 'Send Authorization: Bearer <operator token>.');
  const operator = operators.authenticate(token, Date.now());
  if ('code' in operator) throw new RefusedError(operator.code, operator.detail);
  return operator;
}

/** Throws `RefusedError` (forbidden). */
function demand(role: Operator['role'], operator: Operator): void {
  if (includesRole(operator.role, role)) return;
  throw new RefusedError('forbidden', `This needs the role ${role}; "${operator.name}" is ${operator.role}.`);
}

function integersOf(query: Route['query']): string[] {
  const properties = (query?.properties ?? {}) as Record<string, { type?: unknown }>;
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

function schemaOf(route: Route) {
  const { params, query, body } = route;
  const headers = isRepeatable(route) && { type: 'object', properties: { [IDEMPOTENCY_HEADER]: IDEMPOTENCY_KEY } };
  return {
    ...(params && { params }),
    ...(query && { querystring: query }),
    ...(headers && { headers }),
    ...(body && { body }),
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

function sendProblem(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const problem = problemOfError(error);
  if (problem.status === 500)
    log.error({ err: error, method: request.method, path: pathOf(request) }, 'request failed');
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  if (error instanceof Unavailable && error.retryAfterMs !== undefined)
    reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
  // Text, so that no serializer of the route can take anything from it.
  return reply
    .code(problem.status)
    .type(PROBLEM_TYPE)
    .send(redact(JSON.stringify(problem)));
}

function logRequests(app: FastifyInstance, log: Log) {
  app.addHook('onResponse', async (request, reply) => {
    log.debug(
      { method: request.method, path: pathOf(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'request',
    );
  });
}

/** Without the query string and without tokens, wherever somebody may have put one. */
function pathOf(request: FastifyRequest): string {
  return redact(request.url.split('?', 1)[0]!);
}
