/** Where devices connect, as far as the page knows. */
import { signal } from '@preact/signals';
import type { HubStatus } from './status.ts';

const USUAL_PORT = 8443;
const told = signal<string | undefined>(undefined);

/** Remembers what the status said. */
export function noteGateway({ gateway }: HubStatus): void {
  told.value = gateway?.url;
}

/** The address for devices: the hub's own word, with the name under which this page was reached. */
export function gatewayUrl(): string {
  const url = new URL(told.value ?? `wss://${location.hostname}:${USUAL_PORT}/v1/device`);
  const isLocal = ['127.0.0.1', '0.0.0.0', 'localhost', '[::]', '[::1]'].includes(url.hostname);
  if (isLocal) url.hostname = location.hostname;
  return url.href;
}
