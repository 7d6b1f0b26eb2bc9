/** The rules of the configuration that keep the doors shut: nothing plain to a public address, nobody trusted by mistake. */
import type { Config } from '../schemas/types.gen.ts';
import type { ConfigSource } from './config.ts';
import { checkPair, checkPems } from './config-files.ts';
import { createNetworks, isLoopback } from './kit/network.ts';

/** `path`: a JSON pointer into the configuration. */
export interface Mistake {
  path: string;
  message: string;
}

/** What the schema cannot say of `gateway`. */
export function checkGateway(gateway: Config['gateway'], readFile: ConfigSource['readFile']): Mistake[] {
  return [
    ...checkPair(gateway.tls, '/gateway/tls'),
    ...checkPems(gateway.tls, ['certFile', 'keyFile', 'clientCaFile', 'clientCrlFile'], '/gateway/tls', readFile),
    ...checkPlain(gateway),
    ...checkClientCertificates(gateway.tls),
    ...checkProxies(gateway),
    ...checkNetworks(gateway.trustedProxies, '/gateway/trustedProxies'),
  ];
}

/** What the schema cannot say of `api`. */
export function checkApi({ host, tls, trustedProxies }: Config['api'], readFile: ConfigSource['readFile']): Mistake[] {
  const mistakes = [
    ...checkPair(tls, '/api/tls'),
    ...checkPems(tls, ['certFile', 'keyFile'], '/api/tls', readFile),
    ...checkNetworks(trustedProxies, '/api/trustedProxies'),
  ];
  if (!tls.enabled && !isLoopback(host)) {
    const message = `must be a loopback address, or api.tls.enabled true; it is ${host}`;
    mistakes.push({ path: '/api/host', message });
  }
  return mistakes;
}

interface Door {
  /** Of its section, dotted. */
  name: string;
  host: string;
  port: number;
}

/** Two doors cannot be one. */
export function checkPorts({ gateway, api, mqtt }: Pick<Config, 'gateway' | 'api' | 'mqtt'>): Mistake[] {
  const doors: Door[] = [
    ...(gateway.socketPath === undefined ? [{ name: 'gateway', ...gateway }] : []),
    { name: 'api', ...api },
    ...(mqtt.embedded ? [{ name: 'mqtt.listener', ...mqtt.listener }] : []),
  ];
  return doors.flatMap((door, at) => {
    const other = doors.slice(0, at).find((before) => areOne(before, door));
    if (!other) return [];
    const path = `/${door.name.replaceAll('.', '/')}/port`;
    return [{ path, message: `is ${door.port}, which ${other.name}.port is too: give it another one` }];
  });
}

const EVERYWHERE = ['0.0.0.0', '::'];

/** 0 picks a free port, so it meets none. */
function areOne(one: Door, other: Door): boolean {
  if (one.port === 0 || one.port !== other.port) return false;
  return one.host === other.host || [one, other].some(({ host }) => EVERYWHERE.includes(host));
}

function checkPlain({ tls, host, socketPath }: Config['gateway']): Mistake[] {
  const path = '/gateway/tls/enabled';
  if (socketPath !== undefined)
    return tls.enabled ? [{ path, message: 'must be false with gateway.socketPath: TLS ends in the proxy' }] : [];
  if (tls.enabled || isLoopback(host)) return [];
  return [{ path, message: `may be false only on a loopback address, not on ${host}` }];
}

function checkClientCertificates({ enabled, clientCaFile, clientCrlFile }: Config['gateway']['tls']): Mistake[] {
  const mistakes: Mistake[] = [];
  if (clientCaFile !== undefined && !enabled)
    mistakes.push({ path: '/gateway/tls/clientCaFile', message: 'needs gateway.tls.enabled: a proxy would keep them' });
  if (clientCrlFile !== undefined && clientCaFile === undefined)
    mistakes.push({ path: '/gateway/tls/clientCrlFile', message: 'needs gateway.tls.clientCaFile' });
  return mistakes;
}

function checkProxies({ proxyProtocol, trustedProxies, socketPath }: Config['gateway']): Mistake[] {
  if (!proxyProtocol || trustedProxies.length > 0 || socketPath !== undefined) return [];
  const message = 'needs gateway.trustedProxies or gateway.socketPath, or nobody could connect';
  return [{ path: '/gateway/proxyProtocol', message }];
}

function checkNetworks(texts: readonly string[], path: string): Mistake[] {
  try {
    createNetworks(texts);
    return [];
  } catch (error) {
    return [{ path, message: `must hold addresses and networks: ${(error as Error).message}` }];
  }
}
