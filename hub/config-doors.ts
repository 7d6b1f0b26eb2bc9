/** The rules of the configuration that keep the doors shut: nothing plain to a public address, nobody trusted by mistake. Pure. */
import type { Config } from '../schemas/types.gen.ts';
import { createNetworks, isLoopback } from './kit/network.ts';

/** `path`: a JSON pointer into the configuration. */
export interface Mistake {
  path: string;
  message: string;
}

/** What the schema cannot say of `gateway`. */
export function checkGateway(gateway: Config['gateway']): Mistake[] {
  return [
    ...checkPair(gateway.tls, '/gateway/tls'),
    ...checkPlain(gateway),
    ...checkClientCertificates(gateway.tls),
    ...checkProxies(gateway),
    ...checkNetworks(gateway.trustedProxies, '/gateway/trustedProxies'),
  ];
}

/** What the schema cannot say of `api`. */
export function checkApi({ host, tls, trustedProxies }: Config['api']): Mistake[] {
  const mistakes = [...checkPair(tls, '/api/tls'), ...checkNetworks(trustedProxies, '/api/trustedProxies')];
  if (!tls.enabled && !isLoopback(host)) {
    const message = `must be a loopback address, or api.tls.enabled true; it is ${host}`;
    mistakes.push({ path: '/api/host', message });
  }
  return mistakes;
}

function checkPair({ certFile, keyFile }: { certFile?: string; keyFile?: string }, path: string): Mistake[] {
  if ((certFile === undefined) === (keyFile === undefined)) return [];
  return [{ path, message: 'needs both certFile and keyFile, or neither' }];
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
