/** One route at the server: who may come in, what is checked on the way, and what is written down about it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { Log } from '../kit/log.ts';
import { redact } from '../kit/redact.ts';
import type { Attempt, AuditTrail } from './audit-trail.ts';
import type { Entrance } from './entrance.http.ts';
import { IDEMPOTENCY_HEADER, IDEMPOTENCY_KEY, isRepeatable, type Repeats } from './idempotency.ts';
import { type Asker, demand, demandCsrf, identify, type Recognition } from './identify.ts';
import type { Pass, Passes } from './passes.ts';
import { PROBLEM_TYPE, problemOfError, refuseTokensIn } from './problem.ts';
import { type Answer, type Call, needsBody, type Route } from './route.ts';
import { openStream } from './stream.ts';
import type { Upgrades } from './upgrades.ws.ts';

/** What every route needs of the server around it. */
export interface Door extends Recognition {
  entrance: Pick<Entrance, 'throttle'>;
  upgrades: Pick<Upgrades, 'isUpgrade' | 'accept'>;
  log: Log;
  trail: AuditTrail;
  repeats: Repeats;
  passes: Passes;
  /** Aborted when the server closes: streams end. */
  closing: AbortSignal;
}

/** Adds the route to the server. */
export function addRoute(app: FastifyInstance, route: Route, door: Door): void {
  const { log, trail, repeats } = door;
  const { method, path, role } = route;
  const numbers = integersOf(route.query);
  const askers = new WeakMap<FastifyRequest, Asker>();
  /** What is known so far of each request under way. */
  const known = new WeakMap<FastifyRequest, Partial<Attempt>>();
  const learn = (request: FastifyRequest, more: Partial<Attempt>) =>
    void known.set(request, { ...known.get(request), ...more });
  app.route({
    method,
    url: path,
    schema: schemaOf(route),
    ...(role === 'anyone' && !route.takesSecret && { config: { rateLimit: false } }),
    // Before the body is read: a stranger's request costs nothing more and learns nothing of what is valid.
    async preParsing(request) {
      if (role === 'anyone') return;
      const asker = askerOf(request, door);
      askers.set(request, asker);
      learn(request, { operator: asker.operator });
      demandCsrf(method, request.headers, asker);
      demand(role, asker.operator);
    },
    async preValidation(request) {
      // A query string is text; what shall be an integer becomes one when it looks like one.
      const query = request.query as Record<string, unknown>;
      for (const name of numbers) if (/^-?\d{1,15}$/.test(String(query[name]))) query[name] = Number(query[name]);
      if (route.body && !needsBody(route)) request.body ??= {};
    },
    async handler(request, reply) {
      if (!route.takesSecret) refuseTokensIn(request.body);
      learn(request, { body: request.body });
      const once = repeats.once(route, pathOf(request), callOf(request, askers.get(request), door));
      const { answer, repeated } = await once.catch((error: unknown) =>
        door.entrance.throttle(request, error, route.takesSecret === true),
      );
      if (repeated) reply.header('idempotency-replayed', 'true');
      learn(request, { answer: answer.body, repeated, ...(answer.operator && { operator: answer.operator }) });
      if (answer.socket) return converse(request, reply, answer.socket, role, door);
      return send(reply, answer, () => streamOf(request, answer, role, door));
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

/** Who asks. Throws `RefusedError` (unauthorized, too-many-attempts). */
function askerOf(request: FastifyRequest, door: Door): Asker {
  try {
    return identify(request.headers, door);
  } catch (error) {
    // A cookie is no guess: nobody finds 256 bits, and a page that was left open goes on asking with an old one.
    return door.entrance.throttle(request, error, request.headers.authorization !== undefined);
  }
}

function callOf(request: FastifyRequest, asker: Asker | undefined, { upgrades }: Door): Call {
  const key = request.headers[IDEMPOTENCY_HEADER];
  return {
    params: request.params as Record<string, string>,
    query: request.query as Record<string, string | number | undefined>,
    body: request.body,
    accept: request.headers.accept ?? '',
    operator: asker?.operator,
    isUpgrade: upgrades.isUpgrade(request.raw),
    isSecure: request.protocol === 'https',
    ...(asker && { asker }),
    ...(key !== undefined && { idempotencyKey: String(key) }),
  };
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

function send(
  reply: FastifyReply,
  { status = 200, type, headers = {}, body, stream }: Answer,
  open: () => NodeJS.ReadableStream,
) {
  reply.code(status).headers(headers);
  if (type) reply.type(type);
  if (!stream) return reply.send(body);
  // A stream has its connection to itself, so nothing is left over when it ends.
  reply.headers({ 'cache-control': 'no-store', connection: 'close' });
  return reply.send(open());
}

function streamOf(request: FastifyRequest, answer: Answer, role: Route['role'], door: Door) {
  return openStream(answer.stream!, door.closing, passOf(request, role, door));
}

function converse(
  request: FastifyRequest,
  reply: FastifyReply,
  talk: NonNullable<Answer['socket']>,
  role: Route['role'],
  door: Door,
): FastifyReply {
  door.upgrades.accept(request.raw, talk, passOf(request, role, door), door.closing);
  return reply.hijack();
}

/** A stream outlasts the moment at which its operator was recognised, so the same is asked again and again. */
function passOf({ headers }: FastifyRequest, role: Route['role'], door: Door): Pass {
  return door.passes.issue(() => demand(role, identify(headers, door).operator));
}

/** Answers with the problem details of an error; what the hub itself did wrong goes to its log. */
export function sendProblem(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOfError(error);
  if (problem.status === 500)
    log.error({ err: error, method: request.method, path: pathOf(request) }, 'request failed');
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  if ((error instanceof Unavailable || error instanceof RefusedError) && error.retryAfterMs !== undefined)
    reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
  // Text, so that no serializer of the route can take anything from it.
  return reply
    .code(problem.status)
    .type(PROBLEM_TYPE)
    .send(redact(JSON.stringify(problem)));
}

/** The path of a request without the query string and without tokens, wherever somebody may have put one. */
export function pathOf(request: FastifyRequest): string {
  return redact(request.url.split('?', 1)[0]!);
}
