/** One WebSocket as a `Connection`: bounded on the way out, bounded in each turn of the loop on the way in. */
import type { WebSocket } from 'ws';
import { REFUSALS } from '../kit/errors.ts';
import type { Connection } from './connection.ts';

/** How long a peer may take to answer a close before its socket is destroyed; one that may not be here, not so long. */
const CLOSE_MS = 2_000;
const EXPEL_MS = 500;
const EXPELLED = new Set<number>([REFUSALS['token-invalid'].close, REFUSALS['device-disabled'].close]);
/** Who goes on sending after the goodbye is cut off here: well behind what a device has under way when it comes. */
const FRAMES_AFTER_CLOSE = 1_024;
/** A socket with more than this unsent is destroyed rather than closed politely. */
const STUCK_BYTES = 65_536;

interface WsDetails {
  address: string;
  /** Which of the heartbeat's groups it is pinged with. */
  heartbeatGroup: number;
  /** When what let the device in ends, Unix milliseconds. */
  endsAt: number;
}

export class WsConnection implements Connection {
  readonly address: string;
  readonly heartbeatGroup: number;
  readonly endsAt: number;
  readonly #ws: WebSocket;
  #missedPongs = 0;
  #closing = false;
  #framesAfterClose = 0;

  constructor(ws: WebSocket, { address, heartbeatGroup, endsAt }: WsDetails) {
    this.#ws = ws;
    this.address = address;
    this.heartbeatGroup = heartbeatGroup;
    this.endsAt = endsAt;
  }

  get backlog(): number {
    return this.#ws.bufferedAmount;
  }

  send(text: string): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.send(text);
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    // A peer that does not read would keep its whole backlog alive until the closing handshake times out.
    if (this.backlog > STUCK_BYTES) return this.#ws.terminate();
    this.#ws.resume();
    this.#ws.close(code, reason.slice(0, 120));
    const timer = setTimeout(() => this.#ws.terminate(), EXPELLED.has(code) ? EXPEL_MS : CLOSE_MS);
    this.#ws.once('close', () => clearTimeout(timer));
  }

  /** Any frame counts as life; a flood after the goodbye would cost as much as one before it. */
  alive(): void {
    this.#missedPongs = 0;
    if (this.#closing && ++this.#framesAfterClose > FRAMES_AFTER_CLOSE) this.#ws.terminate();
  }

  /** Pings the device; false when it left the last two pings without a pong. */
  ping(): boolean {
    if (this.#missedPongs >= 2) return false;
    this.#missedPongs++;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
    return true;
  }

  terminate(): void {
    this.#ws.terminate();
  }
}

/** Frames one socket may bring in one turn of the event loop, and all sockets together. */
const SOCKET_FRAMES_PER_TURN = 64;
const FRAMES_PER_TURN = 1024;
/** So long nothing is read of a device that does not listen: its flood waits in its own buffers. */
const BRAKE_MS = 50;

/**
 * Keeps a flood of readable sockets from starving timers and signals: a socket that has used up its share of the turn
 * is paused and goes on in the next one. Paused sockets are few and only for one turn, so their pongs are not missed.
 */
export function createTurnBudget() {
  let turn = 0;
  let frames = 0;
  let paused: WebSocket[] = [];

  function nextTurn(): void {
    turn++;
    frames = 0;
    const waiting = paused;
    paused = [];
    for (const ws of waiting) ws.resume();
  }

  /** Makes the function to call for each frame of a socket. `isDeaf`: the device does not listen. */
  return (ws: WebSocket) => {
    let mine = 0;
    let seenTurn = -1;
    return (isDeaf: boolean): void => {
      if (isDeaf && !ws.isPaused) {
        ws.pause();
        setTimeout(() => ws.resume(), BRAKE_MS).unref();
      }
      if (seenTurn !== turn) {
        seenTurn = turn;
        mine = 0;
      }
      if (frames++ === 0) setImmediate(nextTurn);
      if ((++mine >= SOCKET_FRAMES_PER_TURN || frames >= FRAMES_PER_TURN) && !ws.isPaused) {
        ws.pause();
        paused.push(ws);
      }
    };
  };
}
