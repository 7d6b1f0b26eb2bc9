/** Who is at the other end of a socket: the device itself, or a proxy that is trusted to say whose connection it passes on. */
import type { IncomingMessage } from 'node:http';
import type { Server, Socket } from 'node:net';
import { customerOf, isLoopback, type Networks, plainAddress } from '../kit/network.ts';
import { parseProxyHeader } from './proxy-header.ts';
import { createTurnstile } from './turnstile.ts';

export interface PeerOptions {
  /** Those whose word is taken. */
  proxies: Networks;
  /** The door is a Unix socket: whoever may open it is a proxy. */
  isUnix: boolean;
  /** Connections begin with a PROXY header. */
  proxyProtocol: boolean;
  /** Told of each connection that is ended before it said anything: `proxy-header` or `crowd`. */
  onDrop(why: 'proxy-header' | 'crowd', address: string): void;
}

export interface Peers {
  /** Lets sockets through to the server one by one, once it is known whose they are. Call it before the server listens. */
  guard(server: Server): void;
  /** The device's address; `unknown` when even the proxy does not know. */
  addressOf(request: IncomingMessage): string;
  /** The device of this socket is inside: it is no longer one of those at the door. */
  admitted(socket: Socket): void;
}

const HEADER_MS = 5_000;
/** Sockets of one address (of IPv6, one /64) that may be at the door at a time; proxies and this machine may bring more. */
const KNOCKING_PER_ADDRESS = 256;

export function createPeers({ proxies, isUnix, proxyProtocol, onDrop }: PeerOptions): Peers {
  /** What a PROXY header told of a connection, while it is open. */
  const told = new Map<Name, string>();
  const knocking = createKnocking();
  const turnstile = createTurnstile<Name>();

  const remoteOf = (socket: Socket): string | undefined =>
    told.get(nameOf(socket)) ?? plainAddress(socket.remoteAddress ?? '');
  const isProxy = (address: string | undefined) => (address === undefined ? isUnix : proxies.has(address));
  /** Proxies and this machine bring many. */
  const mayKnock = (name: Name, address: string | undefined): boolean =>
    isProxy(address) ||
    (address !== undefined && isLoopback(address)) ||
    knocking.add(name, customerOf(address ?? 'unknown'));

  function drop(socket: Socket, why: 'proxy-header' | 'crowd', address = 'unknown'): void {
    onDrop(why, address);
    socket.destroy();
  }

  function arrive(socket: Socket, enter: () => void): void {
    socket.on('error', () => socket.destroy());
    const address = plainAddress(socket.remoteAddress ?? '');
    const name = nameOf(socket);
    if (!mayKnock(name, address)) return drop(socket, 'crowd', address);
    socket.once('close', () => {
      knocking.delete(name);
      turnstile.leave(name);
      told.delete(name);
    });
    const queue = () => {
      if (!turnstile.queue(name, enter)) drop(socket, 'crowd', address);
    };
    if (!proxyProtocol) return queue();
    if (!isProxy(address)) return drop(socket, 'proxy-header', address);
    readHeader(socket, (header) => {
      if (header === undefined) return drop(socket, 'proxy-header', address);
      if (header.address !== undefined) {
        if (!mayKnock(name, header.address)) return drop(socket, 'crowd', header.address);
        told.set(name, header.address);
      }
      queue();
    });
  }

  return {
    guard(server) {
      const enter = server.listeners('connection') as ((socket: Socket) => void)[];
      server.removeAllListeners('connection');
      server.on('connection', (socket: Socket) =>
        arrive(socket, () => {
          for (const listener of enter) listener.call(server, socket);
        }),
      );
    },
    addressOf(request) {
      const peer = remoteOf(request.socket);
      if (!isProxy(peer)) return peer ?? 'unknown';
      return forwardedFor(request.headers['x-forwarded-for'], isProxy) ?? peer ?? 'unknown';
    },
    admitted(socket) {
      knocking.delete(nameOf(socket));
      turnstile.leave(nameOf(socket));
    },
  };
}

type Name = string | Socket;

/**
 * What tells a connection from all others that are open: its addresses and ports, which are the same for the socket that TLS
 * wraps around it. A Unix socket has none, and never carries TLS.
 */
function nameOf(socket: Socket): Name {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return remotePort === undefined ? socket : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** The last address that a trusted proxy added: what stands before it, anybody may have written. */
function forwardedFor(header: string | string[] | undefined, isProxy: (address: string) => boolean) {
  let last: string | undefined;
  for (const text of (header?.toString() ?? '').split(',').reverse()) {
    const address = plainAddress(text);
    if (address === undefined) return last;
    last = address;
    if (!isProxy(address)) return last;
  }
  return last;
}

/** Who is at the door, counted by address. Each is counted until it is inside or gone. */
function createKnocking() {
  const counts = new Map<string, number>();
  const addresses = new Map<Name, string>();
  return {
    /** Whether there is room for one more of this address. */
    add(name: Name, address: string): boolean {
      const count = counts.get(address) ?? 0;
      if (count >= KNOCKING_PER_ADDRESS) return false;
      counts.set(address, count + 1);
      addresses.set(name, address);
      return true;
    },
    delete(name: Name): void {
      const address = addresses.get(name);
      if (address === undefined) return;
      addresses.delete(name);
      const left = counts.get(address)! - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    },
  };
}

/** Takes the PROXY header off a socket and leaves the rest in it; undefined when there is none in time. */
function readHeader(socket: Socket, done: (header: { address?: string } | undefined) => void): void {
  let held: Buffer = Buffer.alloc(0);
  const finish = (header: { address?: string } | undefined) => {
    clearTimeout(timer);
    socket.off('readable', look);
    socket.off('close', gone);
    // A stream learns only in its next turn that nobody listens for `readable` any more.
    setImmediate(() => !socket.destroyed && done(header));
  };
  const gone = () => clearTimeout(timer);
  const look = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const header = parseProxyHeader(held);
    if (header === 'more') return;
    if (header === 'bad') return finish(undefined);
    if (held.length > header.length) socket.unshift(held.subarray(header.length));
    finish(header);
  };
  const timer = setTimeout(() => finish(undefined), HEADER_MS);
  socket.on('readable', look);
  socket.once('close', gone);
}
