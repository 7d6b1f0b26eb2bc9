/** Why brokers end connections and refuse messages: reason codes and errors in words for a person. */
import type { Ending } from './connection.ts';

/** Reason codes of MQTT 5, and the few of 3.1.1, for which the hub has words of its own. */
export const REASONS: Readonly<Record<number, string>> = {
  1: 'it does not speak this version of MQTT',
  2: 'it does not take this client id (clientId)',
  3: 'it is not available',
  4: 'it does not take this user name and password (username, passwordFile)',
  5: 'it does not let this user in (username, passwordFile)',
  128: 'an error it does not name',
  132: 'it does not speak this version of MQTT',
  133: 'it does not take this client id (clientId)',
  134: 'it does not take this user name and password (username, passwordFile)',
  135: 'it does not let this user in (username, passwordFile)',
  136: 'it is not available',
  137: 'it is busy',
  138: 'it has banned this client',
  139: 'it is shutting down',
  141: 'it heard nothing of the hub for too long',
  142: 'another client came with the same client id (clientId)',
  149: 'a packet is too large for it',
  151: 'a quota is exceeded',
  159: 'connections come too fast for it',
};

const WRONG_VERSION = new Set([1, 132]);
/** Somebody must act on these. */
const REFUSALS = new Set([2, 4, 5, 133, 134, 135, 138, 142]);
/** Topic, size or format: the same message would be refused again. */
const REFUSED_MESSAGES = new Set<unknown>([144, 149, 153]);

/** What the errors of sockets and certificates mean. */
const ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  EHOSTUNREACH: 'there is no way to that host',
  ECONNRESET: 'the connection was reset',
  ETIMEDOUT: 'the host does not answer',
};
const CERTIFICATES: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not known here: name its authority by caFile',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed: name it by caFile',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not known here: name its authority by caFile',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not known here: name its authority by caFile',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is not known here: name its authority by caFile',
  CERT_SIGNATURE_FAILURE: 'its certificate was not signed by the authority in caFile',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host than that in url',
};

export interface EndingError {
  message: string;
  code?: unknown;
}

/** How far a connection came. */
export interface Stage {
  /** Without credentials. */
  url: string;
  /** TLS is agreed. */
  isSecure: boolean;
  /** The broker has accepted the connection. */
  isWelcomed: boolean;
}

/** Why a connection ended, for a person. */
export function endingOf({ code, message }: EndingError, stage: Stage): Ending {
  const at = `${stage.url}: `;
  if (typeof code === 'number') {
    const kind = WRONG_VERSION.has(code) ? 'version' : REFUSALS.has(code) ? 'refused' : 'lost';
    return { kind, message: `${at}${REASONS[code] ?? message}` };
  }
  const certificate = CERTIFICATES[String(code)];
  if (certificate) return { kind: 'refused', message: `${at}${certificate} (${code})` };
  if (/wrong version number/.test(message))
    return { kind: 'lost', message: `${at}what answers there does not speak TLS${plainly(stage)}` };
  const known = ERRORS[String(code)];
  if (known) {
    const guess = code === 'ECONNRESET' ? guessOf(stage) : '';
    return { kind: 'lost', message: `${at}${known} (${code})${guess}` };
  }
  if (code === undefined && !stage.isWelcomed && !/timeout/i.test(message))
    return { kind: 'lost', message: `${at}what answers there does not speak MQTT (${message})` };
  const isOfTls = /^(ERR_SSL|ERR_TLS)|CERT/.test(String(code));
  return { kind: isOfTls ? 'refused' : 'lost', message: `${at}${message}` };
}

/** The words when the other side hung up and gave no reason. */
export function silenceOf(stage: Stage): string {
  return `${stage.url}: the broker ended the connection${guessOf(stage)}`;
}

const plainly = ({ url }: Stage) => `; without it the url begins with ${url.startsWith('wss:') ? 'ws' : 'mqtt'}://`;

/** What is probably wrong with an address when who answers there says nothing before it hangs up. */
function guessOf({ url, isSecure, isWelcomed }: Stage): string {
  if (isWelcomed) return '';
  if (url.startsWith('mqtt:')) return '; if it expects TLS, the url begins with mqtts://';
  if (/^wss?:/.test(url)) return '; is it the address of MQTT over WebSocket?';
  return isSecure ? '' : '; if it speaks no TLS, the url begins with mqtt://';
}

/** Whether a PUBACK with this code is about the message itself. */
export function isRefusedMessage(code: unknown): boolean {
  return REFUSED_MESSAGES.has(code);
}
