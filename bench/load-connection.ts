/** One device of the load generator: a TLS socket, a hand-made upgrade, and just enough WebSocket to read acks. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { DEVICE_PATH, SUBPROTOCOL } from '../hub/gateway/admission.ts';
import { FrameTemplate, MAX_SEQ } from './frames.ts';
import type { Histogram } from './statistics.ts';

/** Frames in flight are fewer than this; a power of two, to find the send time of a frame by its number. */
const RING = 256;
const VARIANTS = 16;
const TEXT = 1;
const CLOSE = 8;
const ACK_HEAD = '{"type":"ack","seq":';
const QUOTE_A = 9;
const LETTER_A = 0x61;

/** What all connections of a generator share. */
export interface Traffic {
  templates: FrameTemplate[];
  readingsPerFrame: number;
  /** Milliseconds from writing a frame to reading its ack. */
  latency: Histogram;
  /** Frames acknowledged, and ack frames received. */
  acked: number;
  acks: number;
  /** Called when a server says something else than ack: the figures would be worth nothing. */
  onTrouble(what: string): void;
}

/** Frames of one length that differ in their values, made once. */
export function createTemplates(readingsPerFrame: number): FrameTemplate[] {
  return Array.from({ length: VARIANTS }, (_, variant) => new FrameTemplate(variant, readingsPerFrame));
}

export class LoadConnection {
  sent = 0;
  acked = 0;
  readonly #socket: TLSSocket;
  readonly #traffic: Traffic;
  readonly #sentAt = new Float64Array(RING);
  #ts: number;
  #rest: Buffer | undefined;

  /** `firstTs`: the time of the first reading; each next one is a millisecond later. */
  constructor(socket: TLSSocket, traffic: Traffic, firstTs: number) {
    this.#socket = socket;
    this.#traffic = traffic;
    this.#ts = firstTs;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => traffic.onTrouble(error.message));
    socket.on('end', () => traffic.onTrouble('the server ended a connection'));
  }

  get inFlight(): number {
    return this.sent - this.acked;
  }

  /** Writes one frame. */
  send(): void {
    const { templates, readingsPerFrame, onTrouble } = this.#traffic;
    if (this.sent === MAX_SEQ) return onTrouble('a run this long needs wider frame numbers');
    const seq = ++this.sent;
    const template = templates[seq % VARIANTS]!;
    const frame = Buffer.allocUnsafe(template.bytes);
    template.write(frame, seq, this.#ts);
    this.#ts += readingsPerFrame;
    this.#sentAt[seq % RING] = performance.now();
    this.#socket.write(frame);
  }

  close(): void {
    this.#socket.removeAllListeners('end');
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const data = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    let seq = 0;
    while (at + 2 <= data.length) {
      const isLong = data[at + 1] === 126;
      const head = isLong ? 4 : 2;
      const length = !isLong ? data[at + 1]! : at + head <= data.length ? data.readUInt16BE(at + 2) : data.length;
      if (at + head + length > data.length) break;
      seq = this.#frame(data[at]! & 15, data, at + head, at + head + length) || seq;
      at += head + length;
    }
    this.#rest = at < data.length ? data.subarray(at) : undefined;
    if (seq > this.acked) this.#acknowledged(seq);
  }

  /** The number in an ack; 0 for frames that are of no interest, such as pings: whoever sends data is alive. */
  #frame(opcode: number, data: Buffer, from: number, to: number): number {
    if (opcode === CLOSE) this.#traffic.onTrouble(`closed with ${data.readUInt16BE(from)}`);
    if (opcode !== TEXT) return 0;
    if (data[from + QUOTE_A] !== LETTER_A) {
      this.#traffic.onTrouble(data.toString('utf8', from, to));
      return 0;
    }
    this.#traffic.acks++;
    let seq = 0;
    for (let at = from + ACK_HEAD.length; at < to - 1; at++) seq = seq * 10 + data[at]! - 0x30;
    return seq;
  }

  #acknowledged(seq: number): void {
    const now = performance.now();
    const traffic = this.#traffic;
    traffic.acked += seq - this.acked;
    while (this.acked < seq) traffic.latency.add(now - this.#sentAt[++this.acked % RING]!);
  }
}

/** One more device of the generator. Throws what the server answered instead of an upgrade. */
export async function openConnection(
  port: number,
  token: string,
  traffic: Traffic,
  firstTs: number,
): Promise<LoadConnection> {
  return new LoadConnection(await openSocket(port, token), traffic, firstTs);
}

/** A socket that speaks WebSocket from now on, as the device of this token. Throws what the server answered instead. */
export async function openSocket(port: number, token: string): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  socket.setNoDelay(true);
  socket.write(
    `GET ${DEVICE_PATH} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
      `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nAuthorization: Bearer ${token}\r\n\r\n`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  const text = answer.toString('latin1');
  // A server says nothing before the first frame of a device, so the head of the answer comes alone and whole.
  if (!text.startsWith('HTTP/1.1 101') || !text.endsWith('\r\n\r\n')) throw new Error(`no upgrade: ${text}`);
  return socket;
}
