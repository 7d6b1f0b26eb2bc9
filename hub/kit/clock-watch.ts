/** Notices when the wall clock jumps: it is held against the monotonic one, which never does. Pure. */

/** From so much on between two looks it is a jump; what NTP corrects by slowing and hastening is far less. */
const JUMP_MS = 1_000;

export interface ClockWatch {
  /** To be called about once a second, with both clocks read in one breath. Milliseconds. */
  look(wall: number, monotonic: number): void;
  /** Jumps that were noticed. */
  readonly jumps: number;
}

/** `onJump`: told by how many milliseconds the wall clock was put on (or back, when negative). */
export function createClockWatch(wall: number, monotonic: number, onJump: (byMs: number) => void): ClockWatch {
  let offset = wall - monotonic;
  let jumps = 0;
  return {
    look(wall, monotonic) {
      const byMs = Math.round(wall - monotonic - offset);
      // Taken anew each time, so that a clock that drifts for weeks never jumps.
      offset = wall - monotonic;
      if (Math.abs(byMs) < JUMP_MS) return;
      jumps += 1;
      onJump(byMs);
    },
    get jumps() {
      return jumps;
    },
  };
}
