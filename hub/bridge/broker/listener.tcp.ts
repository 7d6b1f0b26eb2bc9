/** The embedded broker's door to the network: TCP or TLS sockets, as many as there may be. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

export interface ListenerAddress {
  host: string;
  /** 0 for a free one. */
  port: number;
  /** Its certificate, which may be renewed; without it the listener is plain. */
  tls?: { readonly current: Certificate; onChange(listener: (renewed: Certificate) => void): void };
}

/** PEM texts. */
interface Certificate {
  cert: string;
  key: string;
}

const HANDSHAKE_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;

export interface Listener {
  port: number;
  /** Takes nobody in any more; resolves when everybody has gone. */
  stop(): Promise<void>;
  cutOff(): void;
}

/** Starts listening; throws the error of `listen` (EADDRINUSE …). */
export async function startListener(
  { host, port, tls }: ListenerAddress,
  maxSockets: number,
  onSocket: (socket: Socket, address: string) => void,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  const admit = (socket: Socket) => onSocket(socket, socket.remoteAddress ?? 'unknown');
  const server = tls ? createSecureServer(tls, admit) : createServer(admit);
  server.maxConnections = maxSockets;
  server.on('connection', (socket: Socket) => {
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('error', () => socket.destroy());
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(void server.off('error', reject)));
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
    cutOff() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function createSecureServer(tls: NonNullable<ListenerAddress['tls']>, admit: (socket: Socket) => void): Server {
  const options = { minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS } as const;
  const server = createTlsServer({ ...tls.current, ...options }, admit);
  tls.onChange((renewed) => server.setSecureContext({ ...renewed, minVersion: options.minVersion }));
  return server;
}
