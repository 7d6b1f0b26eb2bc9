/** Decides at the HTTP upgrade, before a WebSocket exists, whether a device may come in. */
import { certificateKey } from '../devices/device-tokens.ts';
import { keyIdOf } from '../devices/token.ts';
import type { Refusal, RefusalCode } from '../kit/errors.ts';
import { createThrottle } from '../kit/throttle.ts';
import { createBucket } from './rate.ts';

export const SUBPROTOCOL = 'telemetry-hub.v1';
export const DEVICE_PATH = '/v1/device';
const BEARER_PROTOCOL = 'bearer.';

/** What a caller's client certificate says: which device it is of, or why it is worth nothing. */
export type ShownCertificate = { device: string; fingerprint: string } | { problem: string };

/** What a caller at the door shows. */
export interface Knock {
  /** Path and query as requested. */
  url: string;
  address: string;
  authorization: string | undefined;
  origin: string | undefined;
  /** `Sec-WebSocket-Protocol` as sent. */
  subprotocols: string | undefined;
  /** Absent when none was shown. */
  certificate?: ShownCertificate;
}

/** A device that may come in, and the public part of its token, or what stands for its certificate. */
export interface Admitted {
  device: string;
  keyId: string;
}

export interface Admission {
  /**
   * Who may come in, or why not (and in how many seconds to try again). `connections`: sockets open now. `now`: Unix ms.
   */
  admit(knock: Knock, connections: number, now: number): Admitted | (Refusal & { retryAfterSeconds?: number });
  /** From now on everybody is sent away. */
  drain(): void;
}

export interface AdmissionDeps {
  authenticate(token: string, now: number): { id: string } | Refusal;
  /** The device of this id, which showed a good certificate. */
  recognise?(device: string): { id: string } | Refusal;
  /** Told of each failed token: from where, why, and its public part when it has the shape of one. */
  onFailure?(address: string, refusal: Refusal, keyId: string | undefined): void;
}

export interface AdmissionOptions {
  maxConnections: number;
  origins: readonly string[];
  failedAttemptsPerMinute: number;
  /** Devices let in a second, of all together; more are told to come back. */
  admissionsPerSecond: number;
  random?: () => number;
}

/** Those sent away are told to come back at different times within this. */
const SPREAD_SECONDS = 20;
/** So many seconds' worth of devices may come in at once. */
const CROWD_SECONDS = 2;

export function createAdmission(deps: AdmissionDeps, options: AdmissionOptions): Admission {
  const { random = Math.random } = options;
  const throttle = createThrottle(options.failedAttemptsPerMinute);
  const crowd = createBucket(options.admissionsPerSecond, 0, CROWD_SECONDS);
  let draining = false;

  function admit(knock: Knock, connections: number, now: number) {
    const later = 1 + Math.floor(random() * SPREAD_SECONDS);
    if (draining) return refuse('draining', 'come back in a moment', later);
    if (connections >= options.maxConnections) return refuse('full', `${options.maxConnections} connections`, later);
    if (hasTokenInQuery(knock.url)) return refuse('token-in-query', 'send it in the Authorization header');
    const offered = (knock.subprotocols ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(SUBPROTOCOL)) return refuse('subprotocol', `offer ${SUBPROTOCOL} in Sec-WebSocket-Protocol`);
    if (knock.origin !== undefined && !options.origins.includes(knock.origin)) {
      return refuse('origin', 'add it to gateway.origins to let its pages connect');
    }
    const token = tokenOf(knock.authorization, offered);
    if (token === undefined && !knock.certificate) return refuse('token-missing', 'send Authorization: Bearer <token>');
    const admitted = identify(token, knock.certificate, now);
    if ('device' in admitted)
      return crowd.take(1, now) === 0 ? admitted : refuse('full', 'too many devices come at once', later);
    deps.onFailure?.(knock.address, admitted, token === undefined ? undefined : keyIdOf('device', token));
    const waitMs = throttle.failed(knock.address, now);
    return waitMs > 0 ? refuse('too-many-attempts', 'wait before the next one', Math.ceil(waitMs / 1000)) : admitted;
  }

  /** A token says who it is; a certificate does when there is no token, and may not contradict one. */
  function identify(token: string | undefined, certificate: ShownCertificate | undefined, now: number) {
    if (token === undefined) return byCertificate(certificate!);
    const device = deps.authenticate(token, now);
    if (!('id' in device)) return device;
    if (certificate && 'device' in certificate && certificate.device !== device.id)
      return refuse('certificate-invalid', 'it is of another device than the token');
    return { device: device.id, keyId: keyIdOf('device', token) ?? '' };
  }

  function byCertificate(certificate: ShownCertificate): Admitted | Refusal {
    if ('problem' in certificate) return refuse('certificate-invalid', certificate.problem);
    const device =
      deps.recognise?.(certificate.device) ?? refuse('certificate-invalid', 'certificates open nothing here');
    return 'id' in device ? { device: device.id, keyId: certificateKey(certificate.fingerprint) } : device;
  }

  return {
    admit,
    drain() {
      draining = true;
    },
  };
}

function refuse(code: RefusalCode, detail: string, retryAfterSeconds?: number) {
  return retryAfterSeconds === undefined ? { code, detail } : { code, detail, retryAfterSeconds };
}

function tokenOf(authorization: string | undefined, offered: string[]): string | undefined {
  const header = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  return header ?? offered.find((name) => name.startsWith(BEARER_PROTOCOL))?.slice(BEARER_PROTOCOL.length);
}

function hasTokenInQuery(url: string): boolean {
  const at = url.indexOf('?');
  return at !== -1 && /(^|[?&])(access_)?token=|thd_/i.test(url.slice(at));
}
