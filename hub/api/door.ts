/** One route at the server: who may come in, what is checked on the way, and what is written down about it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RefusedError, Unavailable } from '../kit/errors.ts';
import type { Log } from '../kit/log.ts';
import { redact } from '../kit/redact.ts';
import type { Attempt, AuditTrail } from './audit-trail.ts';
import type { Entrance } from './entrance.http.ts';
import { IDEMPOTENCY_HEADER, IDEMPOTENCY_KEY, isRepeatable, type Repeats } from './idempotency.ts';
import { type Asker, demand, demandCsrf, identify, identifyIfKnown, type Recognition } from './identify.ts';
import type { Pass, Passes } from './passes.ts';
import { MistakenRequest, PROBLEM_TYPE, problemOfError, refuseTokensIn } from './problem.ts';
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
  const { log, repeats } = door;
  const { method, path, role, asksWho = false } = route;
  const numbers = integersOf(route.query);
  const attempts = createAttempts(route, door.trail);
  const { learn } = attempts;
  const askers = new WeakMap<FastifyRequest, Asker>();
  app.route({
    method,
    url: path,
    exposeHeadRoute: !route.noHead,
    schema: schemaOf(route),
    ...(role === 'anyone' && !route.takesSecret && !asksWho && { config: { rateLimit: false } }),
    // Before the body is read: a stranger's request costs nothing more and learns nothing of what is valid.
    async preParsing(request) {
      learn(request, { at: Date.now() });
      if (role === 'anyone' && !asksWho) return;
      const asker = askerOf(request, door, asksWho);
      if (!asker) return;
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
      const call = callOf(request, askers.get(request), door);
      const once = repeats.once(route, pathOf(request), call);
      const { answer, repeated } = await once.catch((error: unknown) =>
        door.entrance.throttle(request, error, route.takesSecret === true),
      );
      if (repeated) reply.header('idempotency-replayed', 'true');
      learn(request, { answer: answer.body, repeated, ...(answer.operator && { operator: answer.operator }) });
      // Before anybody waits: the hub may be killed meanwhile.
      await attempts.write(request);
      if (answer.socket) return converse(request, reply, answer.socket, role, door);
      const body = route.follow ? await route.follow(answer.body, call, repeated) : answer.body;
      return send(reply, { ...answer, body }, () => streamOf(request, answer, role, door));
    },
    errorHandler(error, request, reply) {
      learn(request, { refusal: problemOfError(error).code });
      return sendProblem(log, error, request, reply);
    },
    // The line is on the disk before the answer leaves: whoever was told of a change finds it in the audit log.
    onSend: attempts.write,
  });
}

/** What is known so far of each request under way, and whether its line is written. */
function createAttempts(route: Route, trail: AuditTrail) {
  const known = new WeakMap<FastifyRequest, Partial<Attempt>>();
  const written = new WeakSet<FastifyRequest>();
  return {
    learn: (request: FastifyRequest, more: Partial<Attempt>) =>
      void known.set(request, { ...known.get(request), ...more }),
    /** Once, however often it is called. */
    async write(request: FastifyRequest): Promise<void> {
      if (written.has(request)) return;
      written.add(request);
      await trail.add(route, { ...attemptOf(request), ...known.get(request) });
    },
  };
}

/** What every request tells. */
function attemptOf({ ip: from, params, headers: { authorization } }: FastifyRequest): Attempt {
  return { from, authorization, params: (params ?? {}) as Attempt['params'] };
}

/** Answers a request whose path cannot be decoded, so that it reaches no route: who may not come in hears that first. */
export async function refusePath(request: FastifyRequest, reply: FastifyReply, door: Door): Promise<void> {
  const attempt: Attempt = { ...attemptOf(request), params: {} };
  let error: unknown = new MistakenRequest([
    { in: 'path', path: '/', message: 'cannot be decoded: a % begins no text' },
  ]);
  try {
    attempt.operator = identify(request.headers, door).operator;
  } catch (refusal) {
    error = refusal;
  }
  attempt.refusal = problemOfError(error).code;
  await door.trail.add({ method: request.method, path: '(not decodable)', tag: '' }, attempt);
  sendProblem(door.log, error, request, reply);
}

/** Who asks; undefined when nobody is known and nobody need be. Throws `RefusedError` (unauthorized, too-many-attempts). */
function askerOf(request: FastifyRequest, door: Door, mayBeNobody: boolean): Asker | undefined {
  try {
    return (mayBeNobody ? identifyIfKnown : identify)(request.headers, door);
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
    host: request.headers.host ?? '',
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
  const path = request.url.split('?', 1)[0]!;
  return redact(path.replace(ESCAPED_WORD, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))));
}

/** A letter, digit or underscore that nobody needed to escape. */
const ESCAPED_WORD = /%(3\d|[46][1-9a-f]|[57][0-9a]|5f)/gi;
