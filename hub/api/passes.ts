/** Passes of live streams: each ends when its operator may not look any more, however long ago the stream began. */

/** What a stream is held by. */
export interface Pass {
  /** Aborted when the pass has ended; its reason is the refusal. */
  signal: AbortSignal;
  /** The stream is over: nobody looks after the pass any more. Idempotent. */
  giveBack(): void;
}

export interface Passes {
  /** `check` throws the refusal once the operator may not look any more. */
  issue(check: () => void): Pass;
  /** Checks all at once: a token or an operator was changed. */
  checkAll(): void;
}

/** An expiry is no event, so it is looked for. */
const EVERY_MS = 500;

/** Checks each pass that is out there now and then, and at `checkAll`; no timer runs while there is none. */
export function createPasses(everyMs = EVERY_MS): Passes {
  const out = new Map<AbortController, () => void>();
  let timer: NodeJS.Timeout | undefined;

  function giveBack(pass: AbortController): void {
    out.delete(pass);
    if (out.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  function checkAll(): void {
    for (const [pass, check] of out) {
      try {
        check();
      } catch (refusal) {
        giveBack(pass);
        pass.abort(refusal);
      }
    }
  }

  return {
    issue(check) {
      const pass = new AbortController();
      out.set(pass, check);
      timer ??= setInterval(checkAll, everyMs);
      return { signal: pass.signal, giveBack: () => giveBack(pass) };
    },
    checkAll,
  };
}
