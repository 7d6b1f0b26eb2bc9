/** Shares the loop between the connections of the embedded broker: each turn so many packets that the turn stays short. */

/** Hands on at most so many packets; returns how many it were. */
export type Hand = (packets: number) => number;

export interface Pacer {
  /** Calls `hand` once, in a later turn of the loop; whoever asked first is first. */
  ask(hand: Hand): void;
}

/** What a packet costs is only known afterwards, as each goes to all who subscribed to it. */
const TURN_MS = 20;
/** Slowly up, at once down. */
const GROWTH = 1.1;
const LEAST_PACKETS = 4;
const MOST_PACKETS = 512;
/** Of one connection in a turn. */
const SHARE_PACKETS = 16;

/** The bound of its queue is the number of connections: each asks once. */
export function createPacer(now: () => number = () => performance.now()): Pacer {
  let waiting: Hand[] = [];
  let packets = LEAST_PACKETS;
  let turnAt = 0;
  let isBusy = false;

  function turn(): void {
    const at = now();
    const tookMs = at - turnAt;
    packets = tookMs > TURN_MS ? (packets * TURN_MS) / tookMs : packets * GROWTH;
    packets = Math.min(MOST_PACKETS, Math.max(LEAST_PACKETS, packets));
    turnAt = at;
    const served = waiting;
    waiting = [];
    let left = Math.floor(packets);
    let count = 0;
    while (count < served.length && left > 0) left -= served[count++]!(Math.min(left, SHARE_PACKETS));
    waiting = [...served.slice(count), ...waiting];
    isBusy = waiting.length > 0;
    if (isBusy) setImmediate(turn);
  }

  return {
    ask(hand) {
      waiting.push(hand);
      if (isBusy) return;
      isBusy = true;
      turnAt = now();
      setImmediate(turn);
    },
  };
}
