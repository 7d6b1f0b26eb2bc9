/**
 * Devices that flood, a process of its own for `bench/flood.ts`: each sends four times what it may, whatever it is told, and
 * comes back as soon as it is sent away. Plan on stdin; counts on stdout at SIGTERM.
 */
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { FrameTemplate, MAX_SEQ } from './frames.ts';
import { openSocket } from './load-connection.ts';

export interface FloodPlan {
  port: number;
  tokens: string[];
}

export interface FloodCounts {
  /** Frames written, and connections that the hub ended or refused. */
  frames: number;
  sentAway: number;
}

/** 20,000 frames a second: more would only measure how long this process takes the other devices' core. */
const FRAMES_PER_WRITE = 200;
const WRITE_EVERY_MS = 10;
const COMES_BACK_MS = 10;
/** They do not all begin, and are not all sent away, at one moment. */
const SPREAD_MS = 1_000;

const counts: FloodCounts = { frames: 0, sentAway: 0 };
process.on('SIGTERM', () => process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit(0)));
const { port, tokens } = (await json(process.stdin)) as FloodPlan;
const template = new FrameTemplate(1, 1);
await Promise.all(tokens.map(flood));

async function flood(token: string): Promise<never> {
  await sleep(Math.random() * SPREAD_MS);
  for (;;) {
    const socket = await openSocket(port, token).catch(() => undefined);
    if (socket) await pour(socket);
    counts.sentAway += 1;
    await sleep(COMES_BACK_MS);
  }
}

/** Resolves when the socket is gone. */
async function pour(socket: TLSSocket): Promise<void> {
  const gone = new Promise((resolve) => socket.on('close', resolve).on('end', resolve)).then(() => true);
  socket.on('error', () => {}).resume();
  for (let seq = 0, isGone = false; !isGone && seq + FRAMES_PER_WRITE < MAX_SEQ; seq += FRAMES_PER_WRITE) {
    const written = new Promise<boolean>((resolve) =>
      socket.write(framesFrom(seq), (error) => resolve(Boolean(error))),
    );
    counts.frames += FRAMES_PER_WRITE;
    isGone = await Promise.race([written, gone]);
    await sleep(WRITE_EVERY_MS);
  }
  socket.destroy();
}

function framesFrom(seq: number): Buffer {
  const buffer = Buffer.alloc(FRAMES_PER_WRITE * template.bytes);
  for (let index = 0; index < FRAMES_PER_WRITE; index++) {
    const frame = buffer.subarray(index * template.bytes, (index + 1) * template.bytes);
    template.write(frame, seq + index + 1, Date.now());
  }
  return buffer;
}
