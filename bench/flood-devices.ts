/**
 * Devices that flood, a process of its own for `bench/flood.ts`: each sends frames as fast as its socket takes them, reads
 * nothing of what it is told, and comes back as soon as it is sent away. Plan on stdin; counts on stdout at SIGTERM.
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

/** Frames in one write: what a device with a full buffer hands to its socket at once. */
const FRAMES_PER_WRITE = 32;
const COMES_BACK_MS = 10;

const counts: FloodCounts = { frames: 0, sentAway: 0 };
process.on('SIGTERM', () => process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit(0)));
const { port, tokens } = (await json(process.stdin)) as FloodPlan;
const template = new FrameTemplate(1, 1);
await Promise.all(tokens.map(flood));

async function flood(token: string): Promise<never> {
  for (;;) {
    const socket = await openSocket(port, token).catch(() => undefined);
    if (socket) await pour(socket);
    counts.sentAway += 1;
    await sleep(COMES_BACK_MS);
  }
}

/** Resolves when the socket is gone. */
async function pour(socket: TLSSocket): Promise<void> {
  const gone = new Promise((resolve) => socket.on('close', resolve).on('end', resolve));
  socket.on('error', () => {}).resume();
  const buffer = Buffer.alloc(FRAMES_PER_WRITE * template.bytes);
  const ended = gone.then(() => true);
  for (let seq = 0, isGone = false; !isGone && seq + FRAMES_PER_WRITE < MAX_SEQ; seq += FRAMES_PER_WRITE) {
    for (let index = 0; index < FRAMES_PER_WRITE; index++) {
      const frame = buffer.subarray(index * template.bytes, (index + 1) * template.bytes);
      template.write(frame, seq + index + 1, Date.now());
    }
    const written = new Promise<boolean>((resolve) => socket.write(buffer, (error) => resolve(Boolean(error))));
    counts.frames += FRAMES_PER_WRITE;
    isGone = await Promise.race([written, ended]);
  }
  socket.destroy();
}
