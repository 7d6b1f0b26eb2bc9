/** What the certificate that a device showed in the TLS handshake is worth. */
import { TLSSocket } from 'node:tls';
import type { ShownCertificate } from './admission.ts';

const FINGERPRINT_LENGTH = 16;

/** Undefined when none was shown, or on a socket without TLS. */
export function certificateOf(socket: unknown): ShownCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const shown = socket.getPeerCertificate();
  if (!shown.fingerprint256) return undefined;
  if (!socket.authorized) return { problem: String(socket.authorizationError) };
  const device = shown.subject.CN;
  if (typeof device !== 'string') return { problem: 'it has no common name, or several' };
  const fingerprint = shown.fingerprint256.replaceAll(':', '').slice(0, FINGERPRINT_LENGTH).toLowerCase();
  return { device, fingerprint };
}

/** When the certificate that was shown ends, Unix milliseconds; infinity when there is none. */
export function certificateEndOf(socket: unknown): number {
  const end = socket instanceof TLSSocket ? Date.parse(socket.getPeerCertificate().valid_to) : Number.NaN;
  return Number.isNaN(end) ? Number.POSITIVE_INFINITY : end;
}
