/** What comes after a connection to a broker ended: when the next try is, and in which version of MQTT. */
import { backoffMs } from '../../kit/backoff.ts';
import type { Ending } from './connection.ts';

const RETRY_MS = { least: 50, base: 200, most: 30_000 };
/** While it is refused, somebody must act. */
const REFUSED_MS = 30_000;
/** A connection that held so long ends the back-off. */
const STEADY_MS = 10_000;
/** Ended without a word so often, the broker may not know MQTT 5: one try in 3.1.1. */
const MUTE_ENDINGS = 3;

export class Retry {
  readonly #wanted: 5 | 4;
  readonly #random: () => number;
  #version: 5 | 4;
  /** The broker said that it does not speak MQTT 5. */
  #isOld = false;
  #muteEndings = 0;
  #attempt = 0;

  constructor(version: 5 | 4, random: () => number = Math.random) {
    this.#wanted = version;
    this.#version = version;
    this.#random = random;
  }

  /** Of the connection that is, or of the next try. */
  get version(): 5 | 4 {
    return this.#version;
  }

  welcomed(): void {
    this.#muteEndings = 0;
  }

  /** Milliseconds until the next try. `heldMs`: how long the connection lasted after it was accepted; 0: it was not. */
  after({ kind }: Ending, heldMs: number): number {
    if (heldMs > STEADY_MS) this.#attempt = 0;
    const before = this.#version;
    this.#version = this.#choose(kind);
    if (this.#version === 4 && before === 5) return 0;
    if (kind === 'refused') return REFUSED_MS;
    return RETRY_MS.least + backoffMs(this.#attempt++, RETRY_MS.base, RETRY_MS.most, this.#random);
  }

  #choose(kind: Ending['kind']): 5 | 4 {
    if (kind === 'version') this.#isOld = true;
    if (kind === 'mute') this.#muteEndings += 1;
    const isTriedInOld = this.#muteEndings % (MUTE_ENDINGS + 1) === MUTE_ENDINGS;
    return this.#isOld || isTriedInOld ? 4 : this.#wanted;
  }
}
