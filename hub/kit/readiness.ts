/** Whether the hub can do its work now, and in plain words why not: what `/readyz` answers. */

export interface Readiness {
  /** Adds a reason that is asked for each time: a sentence while it holds, false while all is well. */
  add(reason: () => string | false): void;
  /** True once every part was built, false again when the hub stops. */
  set(started: boolean): void;
  /** Empty when the hub is ready. */
  reasons(): string[];
}

export function createReadiness(): Readiness {
  const checks: (() => string | false)[] = [];
  let isStarted = false;
  return {
    add: (reason) => checks.push(reason),
    set(started) {
      isStarted = started;
    },
    reasons() {
      const troubles = checks.map((reason) => reason()).filter((reason) => reason !== false);
      return isStarted ? troubles : ['the hub is starting or stopping', ...troubles];
    },
  };
}
