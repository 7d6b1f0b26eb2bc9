/** The three families of errors, sorted by who must act: Refusal (the caller), Unavailable (time), Bug (us). */

/**
 * Every reason for which the hub refuses something, in one table: stable word → HTTP status, WebSocket close code
 * (0: the socket stays open), whether the same thing may succeed later, and its sentence.
 */
export const REFUSALS = {
  // at the upgrade
  'token-missing': { status: 401, close: 0, retry: false, title: 'No token was sent.' },
  'token-invalid': { status: 401, close: 4502, retry: false, title: 'The token is unknown, expired or revoked.' },
  'certificate-invalid': { status: 401, close: 4502, retry: false, title: 'The client certificate opens no device.' },
  'token-in-query': { status: 400, close: 0, retry: false, title: 'A token in the query string would stay in logs.' },
  'device-disabled': { status: 403, close: 4503, retry: false, title: 'The device is disabled.' },
  origin: { status: 403, close: 0, retry: false, title: 'This Origin is not allowed.' },
  method: { status: 405, close: 0, retry: false, title: 'This address does not take this method.' },
  handshake: { status: 400, close: 0, retry: false, title: 'The WebSocket handshake is not one.' },
  subprotocol: { status: 426, close: 0, retry: false, title: 'The subprotocol telemetry-hub.v1 is required.' },
  'too-many-attempts': { status: 429, close: 0, retry: true, title: 'Too many failed attempts from this address.' },
  takeover: { status: 429, close: 0, retry: true, title: 'Two clients take this device from each other.' },
  full: { status: 503, close: 4001, retry: true, title: 'The hub has no room for another connection.' },
  draining: { status: 503, close: 1001, retry: true, title: 'The hub is shutting down or restarting.' },
  // on the socket
  replaced: { status: 409, close: 4500, retry: false, title: 'A newer connection of this device took over.' },
  'device-removed': { status: 404, close: 4503, retry: false, title: 'The device was removed.' },
  protocol: { status: 400, close: 4501, retry: false, title: 'The frame violates the protocol.' },
  binary: { status: 400, close: 1003, retry: false, title: 'Binary frames are not part of telemetry-hub.v1.' },
  'slow-reader': { status: 503, close: 4000, retry: true, title: 'The device does not read what it is sent.' },
  silent: { status: 408, close: 4002, retry: true, title: 'The connection gave no sign of life.' },
  flood: { status: 429, close: 4003, retry: true, title: 'The device kept sending after flow frames.' },
  // about one frame
  'not-json': { status: 400, close: 0, retry: false, title: 'The frame is not a JSON object.' },
  'too-deep': { status: 400, close: 0, retry: false, title: 'The JSON is nested deeper than 8 levels.' },
  'unknown-type': { status: 400, close: 0, retry: false, title: 'The hub knows no frame of this type.' },
  'invalid-frame': { status: 400, close: 0, retry: false, title: 'The frame does not fit its schema.' },
  'unknown-command': { status: 404, close: 0, retry: false, title: 'There is no such command.' },
  // about one reading (the rest are JSON Schema keywords)
  stream: { status: 400, close: 0, retry: false, title: 'The hub has no such stream.' },
  clock: { status: 400, close: 0, retry: false, title: 'The time is too far ahead, or older than the store keeps.' },
  'quarantine-full': { status: 503, close: 0, retry: false, title: 'The quarantine is full: it was not kept.' },
  store: { status: 422, close: 0, retry: false, title: 'The telemetry store refused the reading.' },
  // operators
  unauthorized: { status: 401, close: 0, retry: false, title: 'An operator token is required.' },
  csrf: { status: 403, close: 0, retry: false, title: 'A change by cookie needs the header x-csrf-token.' },
  forbidden: { status: 403, close: 0, retry: false, title: 'The role of this token does not allow it.' },
  'not-found': { status: 404, close: 0, retry: false, title: 'There is no such thing.' },
  exists: { status: 409, close: 0, retry: false, title: 'It exists already.' },
  conflict: { status: 409, close: 0, retry: true, title: 'Somebody else changed it at the same moment.' },
  invalid: { status: 400, close: 0, retry: false, title: 'The request does not fit its schema.' },
  'queue-full': { status: 429, close: 0, retry: true, title: 'The device has as many commands waiting as it may.' },
  'already-sent': {
    status: 409,
    close: 0,
    retry: false,
    title: 'The command is past the point where it can be cancelled.',
  },
  'already-ended': { status: 409, close: 0, retry: false, title: 'The command has ended: nothing changes it.' },
  'last-admin': { status: 409, close: 0, retry: false, title: 'Nobody would be left who may change operators.' },
  'key-reused': { status: 422, close: 0, retry: false, title: 'This Idempotency-Key belongs to another request.' },
  'too-many-requests': { status: 429, close: 0, retry: true, title: 'Too many requests from this address.' },
  'too-many-answers': { status: 429, close: 0, retry: true, title: 'Too many long answers are being read.' },
  'too-many-groups': { status: 429, close: 0, retry: true, title: 'Too many group commands are under way.' },
  'too-many-schedules': { status: 409, close: 0, retry: false, title: 'There are as many schedules as there may be.' },
  'too-many-rules': { status: 409, close: 0, retry: false, title: 'There are as many rules as there may be.' },
  configured: { status: 409, close: 0, retry: false, title: 'It is set in the configuration of the hub.' },
  unavailable: { status: 503, close: 0, retry: true, title: 'Something the hub depends on does not answer.' },
  'store-unavailable': { status: 503, close: 0, retry: true, title: 'The telemetry store does not answer.' },
} as const satisfies Record<string, { status: number; close: number; retry: boolean; title: string }>;

export type RefusalCode = keyof typeof REFUSALS;

/** A value, never thrown on the hot path: why the caller did not get what it asked for. */
export interface Refusal {
  code: RefusalCode;
  detail: string;
}

/** Carries a refusal where throwing is the simplest way out (operator API, start-up). */
export class RefusedError extends Error implements Refusal {
  readonly code: RefusalCode;
  readonly detail: string;
  /** When it makes sense to try again; undefined when that is not known. */
  readonly retryAfterMs: number | undefined;
  constructor(code: RefusalCode, detail: string, retryAfterMs?: number) {
    super(detail);
    this.name = 'RefusedError';
    this.code = code;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A refusal for which one member of what was asked is to blame: what is wrong can be told where it was written. */
export class RefusedMember extends RefusedError {
  /** JSON pointer. */
  readonly member: string;
  /** What is wrong, for who sees the member's name beside it. */
  readonly fault: string;
  constructor(code: RefusalCode, member: string, detail: string, fault = detail) {
    super(code, detail);
    this.member = member;
    this.fault = fault;
  }
}

/** An adapter's server did not do its part; the same call may succeed later. */
export class Unavailable extends Error {
  /** How long the server asked us to wait, if it said so. */
  readonly retryAfterMs: number | undefined;
  /** True when an operator must act first (credentials, a missing database): retried slowly, with an alarm. */
  readonly stalled: boolean;
  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number; stalled?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.name = 'Unavailable';
    this.retryAfterMs = options.retryAfterMs;
    this.stalled = options.stalled ?? false;
  }
}

/** A row of a backplane table was changed by somebody else in between. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
}

/** The exit code of a mistake in the configuration: EX_CONFIG of sysexits.h. */
export const EXIT_CONFIG = 78;

/** A mistake of the person who runs the hub; printed without a stack trace, with this exit code. */
export class UserError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}
