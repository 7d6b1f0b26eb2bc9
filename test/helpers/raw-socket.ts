/** A TCP or TLS connection to the device door on which a test writes bytes of its own, right or wrong. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { TestHub } from './hub.ts';
import { PATIENCE_MS } from './patience.ts';

export interface RawSocket {
  write(data: Buffer | string): void;
  /** Resolves when the hub has ended the connection: everything it said since the last call of `answer`. Throws after some seconds. */
  ended(): Promise<Buffer>;
  /** Resolves when what it said since the last call satisfies `isWhole`. */
  answer(isWhole: (data: Buffer) => boolean): Promise<Buffer>;
  destroy(): void;
}

/** Connects, and says nothing yet. */
export async function connectSocket(hub: TestHub): Promise<RawSocket> {
  const { hostname, port } = new URL(hub.gateway);
  const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca: hub.ca, servername: 'localhost' });
  let heard = Buffer.alloc(0);
  let isOver = false;
  let wake = () => {};
  socket.on('data', (chunk: Buffer) => {
    heard = Buffer.concat([heard, chunk]);
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isOver = true;
    wake();
  });
  await once(socket, 'secureConnect');
  async function until(isTrue: () => boolean): Promise<Buffer> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isTrue()) {
      if (performance.now() > deadline)
        throw new Error(`the hub said only ${JSON.stringify(heard.toString('latin1'))}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, 200).unref();
      });
    }
    const said = heard;
    heard = Buffer.alloc(0);
    return said;
  }
  return {
    write: (data) => void socket.write(data),
    ended: () => until(() => isOver),
    answer: (isWhole) => until(() => isWhole(heard) || isOver),
    destroy: () => void socket.destroy(),
  };
}

/** The request that makes the connection a WebSocket, as lines that a test may change. */
export function upgradeRequest(token: string): string[] {
  return [
    'GET /v1/device HTTP/1.1',
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol: telemetry-hub.v1',
    `Authorization: Bearer ${token}`,
  ];
}

export const asHttp = (lines: readonly string[]) => `${lines.join('\r\n')}\r\n\r\n`;

/** An RFC 6455 frame, in which everything may be wrong. */
export interface WireFrame {
  opcode: number;
  payload?: Buffer | string;
  fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  reserved?: number;
  isMasked?: boolean;
  /** Instead of the payload's own length: 7 bits, or as 16 or 64 bits. */
  length?: number | { wide: 16 | 64; value: bigint };
}

const MASK = Buffer.from([0x12, 0x34, 0x56, 0x78]);

/** Its bytes. */
export function wireFrame({
  opcode,
  payload = '',
  fin = true,
  reserved = 0,
  isMasked = true,
  length,
}: WireFrame): Buffer {
  const data = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const head = lengthBytes(length ?? (data.length < 126 ? data.length : { wide: 16, value: BigInt(data.length) }));
  head[0]! |= isMasked ? 0x80 : 0;
  if (!isMasked) return Buffer.concat([Buffer.from([first]), head, data]);
  for (let at = 0; at < data.length; at++) data[at]! ^= MASK[at % 4]!;
  return Buffer.concat([Buffer.from([first]), head, MASK, data]);
}

function lengthBytes(length: number | { wide: 16 | 64; value: bigint }): Buffer {
  if (typeof length === 'number') return Buffer.from([length]);
  const bytes = Buffer.alloc(length.wide === 16 ? 3 : 9);
  bytes[0] = length.wide === 16 ? 126 : 127;
  if (length.wide === 16) bytes.writeUInt16BE(Number(length.value), 1);
  else bytes.writeBigUInt64BE(length.value, 1);
  return bytes;
}

/** The code of the close frame in what the hub said (unmasked frames); undefined when it said no goodbye. */
export function closeCodeIn(said: Buffer): number | undefined {
  for (let at = 0; at + 2 <= said.length; ) {
    const isLong = said[at + 1] === 126;
    const head = isLong ? 4 : 2;
    const length = isLong ? said.readUInt16BE(at + 2) : said[at + 1]!;
    if ((said[at]! & 15) === 8) return length >= 2 ? said.readUInt16BE(at + head) : 1005;
    at += head + length;
  }
  return undefined;
}
