/** Shares the loop between the connections of the embedded broker: so many packets each turn that a turn stays short. */

/** Hands on at most so many packets; returns how many it were. */
export type Hand = (packets: number) => number;

export interface Pacer {
  /** Calls `hand` once, in a later turn of the loop; whoever asked first is first. */
  ask(hand: Hand): void;
}

/** A packet may go to every client, which costs some ten microseconds each. */
const DELIVERIES_OF_TURN = 2_000;
const LEAST_PACKETS = 4;
const MOST_PACKETS = 512;

/** `clients`: how many are connected. The bound of its queue is their number, as each asks once. */
export function createPacer(clients: () => number): Pacer {
  let waiting: Hand[] = [];
  let isBusy = false;

  function turn(): void {
    const served = waiting;
    waiting = [];
    let left = Math.min(MOST_PACKETS, Math.max(LEAST_PACKETS, Math.floor(DELIVERIES_OF_TURN / clients())));
    let count = 0;
    while (count < served.length && left > 0) {
      const share = Math.ceil(left / (served.length - count));
      left -= served[count++]!(share);
    }
    waiting = [...served.slice(count), ...waiting];
    isBusy = waiting.length > 0;
    if (isBusy) setImmediate(turn);
  }

  return {
    ask(hand) {
      waiting.push(hand);
      if (isBusy) return;
      isBusy = true;
      setImmediate(turn);
    },
  };
}
