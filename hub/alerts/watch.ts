/** How long one thing has been wrong, or right again, and what that makes of its alert. Pure: the time is an argument. */
import type { Verdict } from './rule.ts';

/** `pending`: wrong, but not yet for long enough. */
export const ALERT_STATES = ['pending', 'firing', 'resolved'] as const;
export type AlertState = (typeof ALERT_STATES)[number];

/** What was seen of one device or sink by one rule. Times are Unix milliseconds. */
export class Watch {
  #badSince: number | undefined;
  #goodSince: number | undefined;
  /** It was wrong at some moment since the last decision, however short. */
  #touched = false;
  #value: number | undefined;
  #badValue: number | undefined;

  /** Goes on with what was known before a restart. */
  static resumed(state: AlertState, since: number, value: number | undefined): Watch {
    const watch = new Watch();
    if (state === 'pending') watch.#badSince = since;
    watch.#value = value;
    watch.#badValue = value;
    return watch;
  }

  /** The last value. */
  get value(): number | undefined {
    return this.#value;
  }

  /** The last value that was wrong. */
  get badValue(): number | undefined {
    return this.#badValue;
  }

  /** Nothing is to be remembered of it, once its alert is over. */
  get isIdle(): boolean {
    return this.#badSince === undefined && !this.#touched;
  }

  /** When it began to be wrong. */
  get badSince(): number | undefined {
    return this.#badSince;
  }

  see(verdict: Verdict, value: number | undefined, at: number): void {
    this.#value = value;
    if (verdict === 'bad') {
      this.#badSince ??= at;
      this.#badValue = value;
    } else this.#badSince = undefined;
    if (verdict === 'good') this.#goodSince ??= at;
    else this.#goodSince = undefined;
    this.#touched ||= verdict === 'bad';
  }

  /** What becomes of an alert in this state; undefined: there is none. */
  decide(state: AlertState | undefined, now: number, forMs: number, clearForMs: number): AlertState | undefined {
    const touched = this.#touched;
    this.#touched = false;
    if (state === 'firing') return isOver(this.#goodSince, now, clearForMs) ? 'resolved' : 'firing';
    if (isOver(this.#badSince, now, forMs) || (touched && forMs === 0)) return 'firing';
    if (this.#badSince !== undefined) return 'pending';
    return state === 'pending' ? undefined : state;
  }
}

function isOver(since: number | undefined, now: number, ms: number): boolean {
  return since !== undefined && now - since >= ms;
}
