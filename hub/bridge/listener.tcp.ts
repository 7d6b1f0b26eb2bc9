/** The embedded broker's door to the network: TCP or TLS sockets, as many as there may be. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

export interface ListenerAddress {
  host: string;
  /** 0 for a free one. */
  port: number;
  /** PEM texts; without them the listener is plain. */
  tls?: { cert: string; key: string };
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
  const server = tls
    ? createTlsServer({ ...tls, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS }, admit)
    : createServer(admit);
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
