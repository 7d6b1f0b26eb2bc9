/** Where devices connect, as the page can tell. */
import { signal } from '@preact/signals';
import { get } from './client.http.ts';
import type { HubStatus } from './status.ts';

const USUAL = ':8443/v1/device';
const LOCAL_NAMES = ['127.0.0.1', '0.0.0.0', 'localhost', '[::]', '[::1]'];
const told = signal<string | undefined>(undefined);

/** A certificate that no authority has signed, and the hosts that it is for; empty when devices need none. */
export interface Trust {
  pem?: string;
  names?: string[];
}

const trust = signal<Trust>({});

/** Asks the hub. Throws `HubRefusal`, `HubAway`. */
export async function loadGateway(): Promise<void> {
  const [status, certificate] = await Promise.all([
    get<HubStatus>('/v1/status'),
    get<Trust>('/v1/gateway/certificate'),
  ]);
  told.value = status.gatewayUrl;
  trust.value = certificate;
}

/** What devices are to trust. */
export const gatewayTrust = (): Trust => trust.value;

/** The address for devices. */
export const gatewayUrl = (): string => addressFor(told.value, location.hostname);

/**
 * What the hub told, with the name under which the page was reached (`pageHost`) where the hub knows itself by a name of
 * its own machine only. A hub that speaks no TLS there, or on a Unix socket, has a proxy before it: then the usual port.
 */
export function addressFor(gateway: string | undefined, pageHost: string): string {
  const usual = `wss://${pageHost}${USUAL}`;
  if (gateway === undefined || !/^wss?:/.test(gateway)) return usual;
  const url = new URL(gateway);
  if (!LOCAL_NAMES.includes(url.hostname)) return url.href;
  if (url.protocol === 'ws:' && !LOCAL_NAMES.includes(pageHost)) return usual;
  url.hostname = pageHost;
  return url.href;
}
