/** What the embedded broker sees of a socket: MQTT packets up to a size, a few at a time, and a backlog up to a size. */
import { Duplex } from 'node:stream';
import type { Pacer } from './pacer.ts';

export interface StreamBounds {
  /** A packet that says it is longer ends the connection before it is kept. */
  packetBytes: number;
  /** What may wait for a slow reader before the writer has to. */
  backlogBytes: number;
}

/** What was read from the socket and waits for its turn; then the socket has to wait. */
const WAITING_BYTES = 65_536;
/** What was written shall still go out when the connection ends, but nobody waits longer for it. */
const LAST_WORDS_MS = 1_000;

export class BoundedStream extends Duplex {
  readonly #socket: Duplex;
  readonly #pacer: Pacer;
  readonly #packetBytes: number;
  readonly #follow: PacketFollower;
  readonly #chunks: Buffer[] = [];
  /** Of the chunks together, and how much of the first one was handed on. */
  #bytes = 0;
  #offset = 0;
  #isWanted = false;
  #isWaiting = false;
  #hasEnded = false;

  constructor(socket: Duplex, pacer: Pacer, { packetBytes, backlogBytes }: StreamBounds) {
    // One piece at a time is ready: the broker takes everything that is.
    super({ readableHighWaterMark: 1, writableHighWaterMark: backlogBytes, allowHalfOpen: false });
    this.#socket = socket;
    this.#pacer = pacer;
    this.#packetBytes = packetBytes;
    this.#follow = createPacketFollower(packetBytes);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => {
      this.#hasEnded = true;
      this.#askForTurn();
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#isWanted = true;
    this.#askForTurn();
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
    this.#chunks.length = 0;
    socket.resume();
    socket.end();
    done(error);
  }

  #take(chunk: Buffer): void {
    if (this.destroyed) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= WAITING_BYTES) this.#socket.pause();
    this.#askForTurn();
  }

  #askForTurn(): void {
    const hasNews = this.#chunks.length > 0 || this.#hasEnded;
    if (!this.#isWanted || this.#isWaiting || !hasNews || this.destroyed) return;
    this.#isWaiting = true;
    this.#pacer.ask((packets) => this.#hand(packets));
  }

  /** Hands on the next packets, or a part of one. */
  #hand(packets: number): number {
    this.#isWaiting = false;
    const chunk = this.#chunks[0];
    if (this.destroyed) return 0;
    this.#isWanted = false;
    if (!chunk) {
      this.push(null);
      return 0;
    }
    const start = this.#offset;
    const piece = this.#follow(chunk, start, packets);
    if (!piece) {
      this.destroy(new Error(`a packet is longer than ${this.#packetBytes} bytes`));
      return 0;
    }
    this.#offset = piece.end;
    if (piece.end === chunk.length) this.#drop(chunk);
    this.push(chunk.subarray(start, piece.end));
    return Math.max(1, piece.ended);
  }

  #drop(chunk: Buffer): void {
    this.#chunks.shift();
    this.#offset = 0;
    this.#bytes -= chunk.length;
    if (this.#bytes < WAITING_BYTES) this.#socket.resume();
  }
}

/**
 * Follows MQTT packets over chunks, from `start` to where `packets` of them have ended, or to the end of the chunk.
 * Undefined once a packet is longer than allowed or has no length at all.
 */
export type PacketFollower = (
  chunk: Uint8Array,
  start: number,
  packets: number,
) => { end: number; ended: number } | undefined;

export function createPacketFollower(maxBytes: number): PacketFollower {
  let bodyLeft = 0;
  /** Of the length that is being read; -1 before a packet's first byte. */
  let shift = -1;
  let length = 0;
  return (chunk, start, packets) => {
    let ended = 0;
    let at = start;
    while (at < chunk.length && ended < packets) {
      if (bodyLeft > 0) {
        const step = Math.min(bodyLeft, chunk.length - at);
        bodyLeft -= step;
        at += step;
        if (bodyLeft === 0) ended += 1;
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
      if (byte >= 128 || length > maxBytes) return undefined;
      bodyLeft = length;
      shift = -1;
      if (length === 0) ended += 1;
    }
    return { end: at, ended };
  };
}
