/** What the embedded broker sees of a socket: MQTT packets up to a size, a backlog up to a size, and a way to end it. */
import { Duplex } from 'node:stream';

export interface StreamBounds {
  /** A packet that says it is longer ends the connection before it is kept. */
  packetBytes: number;
  /** What may wait for a slow reader before the writer has to. */
  backlogBytes: number;
}

/** What was written shall still go out when the connection ends, but nobody waits longer for it. */
const LAST_WORDS_MS = 1_000;

export class BoundedStream extends Duplex {
  readonly #socket: Duplex;

  constructor(socket: Duplex, { packetBytes, backlogBytes }: StreamBounds) {
    super({ writableHighWaterMark: backlogBytes, allowHalfOpen: false });
    this.#socket = socket;
    const isBounded = createPacketGuard(packetBytes);
    socket.on('data', (chunk: Buffer) => {
      if (this.destroyed) return;
      if (!isBounded(chunk)) this.destroy(new Error(`a packet is longer than ${packetBytes} bytes`));
      else if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.write(chunks.length === 1 ? chunks[0]!.chunk : Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const socket = this.#socket;
    const patience = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
    socket.once('close', () => clearTimeout(patience));
    socket.resume();
    socket.end();
    done(error);
  }
}

/** Follows the lengths of MQTT packets over chunks; false once a packet is longer than allowed or has no length at all. */
export function createPacketGuard(maxBytes: number): (chunk: Uint8Array) => boolean {
  let bodyLeft = 0;
  /** Of the length that is being read; -1 before a packet's first byte. */
  let shift = -1;
  let length = 0;
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (bodyLeft > 0) {
        const step = Math.min(bodyLeft, chunk.length - at);
        bodyLeft -= step;
        at += step;
        continue;
      }
      const byte = chunk[at++]!;
      if (shift < 0) {
        shift = 0;
        length = 0;
        continue;
      }
      length += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte >= 128 && shift < 28) continue;
      if (byte >= 128 || length > maxBytes) return false;
      bodyLeft = length;
      shift = -1;
    }
    return true;
  };
}
