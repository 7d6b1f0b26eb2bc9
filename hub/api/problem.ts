/** Errors as HTTP problem details (RFC 9457), made from the table of refusals. */
import { ParamsMisfit } from '../commands/command-request.ts';
import { Conflict, REFUSALS, type Refusal, RefusedError, RefusedMember, Unavailable } from '../kit/errors.ts';
import { holdsToken } from '../kit/redact.ts';

/** One mistake in a request. */
export interface Mistake {
  in: 'body' | 'query' | 'path' | 'header';
  /** JSON pointer into the body, or `/name` of a parameter. */
  path: string;
  message: string;
}

export interface Problem {
  type: 'about:blank';
  title: string;
  status: number;
  /** The stable word, from the table of refusals; `internal` is the hub's own fault. */
  code: string;
  detail: string;
  errors?: Mistake[];
}

/** A request that fits its schema and still makes no sense. */
export class MistakenRequest extends RefusedError {
  readonly errors: Mistake[];
  constructor(errors: Mistake[]) {
    super('invalid', errors.map(({ path, message }) => `${path} ${message}`).join('; '));
    this.errors = errors;
  }
}

/** A body is stored and shown again, so a token in it would not stay a secret. Throws `MistakenRequest`. */
export function refuseTokensIn(body: unknown): void {
  if (body === undefined || body === null || !holdsToken(JSON.stringify(body))) return;
  throw new MistakenRequest([{ in: 'body', path: '/', message: 'holds a token, which would be stored and shown' }]);
}

/** The content type of a problem. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** The problem of a refusal, by its row in the table. */
export function problemOf({ code, detail }: Refusal, errors?: Mistake[]): Problem {
  const { status, title } = REFUSALS[code];
  return { type: 'about:blank', title, status, code, detail, ...(errors && { errors }) };
}

/** Of the statuses with which a body is refused before any handler sees it. */
const TITLES: Record<number, string> = { 413: 'Content Too Large', 415: 'Unsupported Media Type' };

/** What fastify throws when a request does not fit: its validation, or a body it cannot read. */
interface RequestError extends Error {
  statusCode?: number;
  validation?: { instancePath: string; keyword: string; message?: string; params: Record<string, unknown> }[];
  validationContext?: string;
}

/** The problem of whatever a handler threw. An error that nobody foresaw says nothing of its inside. */
export function problemOfError(error: unknown): Problem {
  if (error instanceof MistakenRequest) return problemOf(error, error.errors);
  if (error instanceof ParamsMisfit) return problemOf(error, error.failures.map(mistakeOf));
  if (error instanceof RefusedMember)
    return problemOf(error, [{ in: 'body', path: error.member, message: error.fault }]);
  if (error instanceof RefusedError) return problemOf(error);
  if (error instanceof Conflict) return problemOf({ code: 'conflict', detail: 'Try again.' });
  if (error instanceof Unavailable) return problemOf({ code: 'unavailable', detail: error.message });
  const { validation, validationContext, statusCode = 500, message } = error as RequestError;
  if (validation) return problemOfError(new MistakenRequest(mistakesOf(validation, validationContext)));
  if (statusCode >= 400 && statusCode < 500) {
    const title = TITLES[statusCode] ?? 'Bad Request';
    return { type: 'about:blank', title, status: statusCode, code: 'invalid', detail: message };
  }
  const detail = 'The hub made a mistake; its log says more.';
  return { type: 'about:blank', title: 'Internal Server Error', status: 500, code: 'internal', detail };
}

function mistakeOf({ path, message }: ParamsMisfit['failures'][number]): Mistake {
  return { in: 'body', path: `/params${path}`, message };
}

/** Where a mistake is, by fastify's words. */
const PLACES: Record<string, Mistake['in']> = { querystring: 'query', params: 'path', headers: 'header' };

function mistakesOf(validation: NonNullable<RequestError['validation']>, context = 'body'): Mistake[] {
  const where = PLACES[context] ?? 'body';
  return validation.map(({ instancePath, keyword, message = 'is not valid', params }) => {
    if (keyword === 'additionalProperties')
      return { in: where, path: `${instancePath}/${params.additionalProperty}`, message: 'is not known' };
    if (keyword === 'required')
      return { in: where, path: `${instancePath}/${params.missingProperty}`, message: 'is missing' };
    if (keyword === 'enum')
      return {
        in: where,
        path: instancePath,
        message: `must be one of ${(params.allowedValues as string[]).join(', ')}`,
      };
    if (keyword === 'pattern' && instancePath === '/cursor')
      return { in: where, path: instancePath, message: 'must be the `next` of the page before' };
    return { in: where, path: instancePath || '/', message };
  });
}
