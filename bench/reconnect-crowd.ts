/** The devices of `bench/reconnect.ts`, in a process of their own: each comes in, says hello, and comes back when it is out. */
import { createSecureContext, type SecureContext } from 'node:tls';
import WebSocket from 'ws';
import { SUBPROTOCOL } from '../hub/gateway/admission.ts';

export interface CrowdPlan {
  url: string;
  /** One device for each. */
  tokens: string[];
  /** PEM text. */
  ca: string;
}

/** Sent whenever all are in: milliseconds since the first of them was out. */
export interface CrowdReport {
  allMs: number;
  halfMs: number;
  attempts: number;
  /** Answers with 503. */
  sentAway: number;
  /** Connections that ended before they were in. */
  broken: number;
  /** Processor time of this process so far. */
  cpuSeconds: number;
}

/** As docs/protocol.md asks of devices. */
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 30_000;

process.once('message', (plan: CrowdPlan) => new Crowd(plan).start());
process.on('disconnect', () => process.exit(0));

class Crowd {
  readonly #plan: CrowdPlan;
  /** One for all: to make it costs as much as a handshake. */
  readonly #trust: SecureContext;
  #in = 0;
  #since = performance.now();
  #report = newReport();

  constructor(plan: CrowdPlan) {
    this.#plan = plan;
    this.#trust = createSecureContext({ ca: plan.ca });
  }

  start(): void {
    for (const [device, token] of this.#plan.tokens.entries()) this.#dial(token, device, 0);
  }

  #dial(token: string, device: number, failures: number): void {
    this.#report.attempts++;
    const headers = { authorization: `Bearer ${token}` };
    const options = { secureContext: this.#trust, headers, perMessageDeflate: false };
    const ws = new WebSocket(this.#plan.url, [SUBPROTOCOL], options);
    let isIn = false;
    let waitMs = 0;
    ws.on('open', () => ws.send(`{"type":"hello","epoch":"bench-${device}"}`));
    ws.once('message', () => {
      isIn = true;
      this.#entered();
    });
    ws.on('unexpected-response', (_request, response) => {
      if (response.statusCode === 503) this.#report.sentAway++;
      waitMs = 1_000 * Number(response.headers['retry-after'] ?? 0);
      ws.terminate();
    });
    ws.on('error', () => {});
    ws.on('close', () => {
      if (isIn) this.#left();
      else if (waitMs === 0) this.#report.broken++;
      const next = isIn ? 0 : failures + 1;
      const jitterMs = Math.random() * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** next);
      setTimeout(() => this.#dial(token, device, next), waitMs + jitterMs);
    });
  }

  #entered(): void {
    const { length } = this.#plan.tokens;
    const elapsedMs = performance.now() - this.#since;
    if (++this.#in === Math.ceil(length / 2)) this.#report.halfMs = elapsedMs;
    if (this.#in < length) return;
    const { user, system } = process.cpuUsage();
    process.send!({ ...this.#report, allMs: elapsedMs, cpuSeconds: (user + system) / 1e6 });
  }

  #left(): void {
    if (this.#in-- < this.#plan.tokens.length) return;
    this.#since = performance.now();
    this.#report = newReport();
  }
}

function newReport(): CrowdReport {
  return { allMs: 0, halfMs: 0, attempts: 0, sentAway: 0, broken: 0, cpuSeconds: 0 };
}
