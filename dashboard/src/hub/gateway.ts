/** Where devices connect, as the page can tell. */
import { signal } from '@preact/signals';
import { get } from './client.http.ts';
import type { HubStatus } from './status.ts';

const USUAL_PORT = 8443;
const LOCAL_NAMES = ['127.0.0.1', '0.0.0.0', 'localhost', '[::]', '[::1]'];
const told = signal<string | undefined>(undefined);

/** Asks the hub. Throws `HubRefusal`, `HubAway`. */
export async function loadGateway(): Promise<void> {
  told.value = (await get<HubStatus>('/v1/status')).gatewayUrl;
}

/** The address for devices: the hub's own word, with the name under which this page was reached. */
export function gatewayUrl(): string {
  const url = new URL(told.value ?? `wss://${location.hostname}:${USUAL_PORT}/v1/device`);
  if (LOCAL_NAMES.includes(url.hostname)) url.hostname = location.hostname;
  return url.href;
}
