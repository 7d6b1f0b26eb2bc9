/** Tells those who sent frames what became of them. */
import type { Frame, FrameOwner } from './reading.ts';

/** Tells each owner once about its frames, by the one number that `pick` chooses among theirs. */
export function tellOwners(
  frames: readonly Frame[],
  pick: (a: number, b: number) => number,
  tell: (owner: FrameOwner, seq: number) => void,
): void {
  const chosen = new Map<FrameOwner, number>();
  for (const { owner, seq } of frames) {
    if (owner) chosen.set(owner, pick(chosen.get(owner) ?? seq, seq));
  }
  for (const [owner, seq] of chosen) tell(owner, seq);
}
