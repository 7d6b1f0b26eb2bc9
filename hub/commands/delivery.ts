/** Carries commands to devices: in order of creation, counted durably before each sending, on the newest session only. */
import type { Downlink } from '../../schemas/types.gen.ts';
import { type Command, isDeliverable } from './command.ts';

/** Where a device's frames go: one session. */
export interface Outlet {
  send(frame: Downlink): void;
  /** False while it has much to send already. */
  readonly hasRoom: boolean;
}

export interface DeliveryDeps {
  /** The commands of a device, in the order of creation. */
  of(device: string): readonly Command[];
  /** Since when there is this device; undefined when there is none. Older commands are those of another one of its id. */
  since(device: string): number | undefined;
  /** Counts one more sending; undefined when the command is not to be sent any more. Durable when it resolves. */
  markSent(id: string): Promise<Command | undefined>;
  /** Sending was put off: somebody shall call `retry` after a moment. */
  onDelay(error?: unknown): void;
  now(): number;
}

export interface Delivery {
  /** The newest session of a device: from now on all goes there, and what was not answered goes again. Once a session. */
  opened(device: string, outlet: Outlet): void;
  /** Touches nothing when a newer session has taken over. */
  closed(device: string, outlet: Outlet): void;
  /** There may be something to send. */
  wake(device: string): void;
  /** Goes on with what was put off. */
  retry(): void;
}

interface Lane {
  device: string;
  outlet: Outlet;
  /** What this session was given and could be given once more. */
  given: Set<string>;
  running: boolean;
}

/** Commands of a device that are marked and sent in one go; their frames are a fraction of what a socket may hold. */
const BATCH = 8;

export function createDelivery({ of, since, markSent, onDelay, now }: DeliveryDeps): Delivery {
  const lanes = new Map<string, Lane>();
  const delayed = new Set<Lane>();
  const isCurrent = (lane: Lane) => lanes.get(lane.device) === lane;

  const dueOn = ({ device, given }: Lane): Command[] => {
    const at = now();
    const from = since(device) ?? Number.POSITIVE_INFINITY;
    const open = of(device).filter((command) => command.createdAt >= from && isDeliverable(command, at));
    const openIds = new Set(open.map(({ id }) => id));
    for (const id of given) if (!openIds.has(id)) given.delete(id);
    return open.filter(({ id }) => !given.has(id)).slice(0, BATCH);
  };

  /** One at a time for each session, so that the order holds. */
  async function run(lane: Lane): Promise<void> {
    if (lane.running) return;
    lane.running = true;
    try {
      for (let due = dueOn(lane); due.length > 0 && isCurrent(lane); due = dueOn(lane)) {
        if (!lane.outlet.hasRoom) return delay(lane);
        await sendAll(lane, due);
      }
    } catch (error) {
      delay(lane, error);
    } finally {
      lane.running = false;
    }
  }

  async function sendAll(lane: Lane, due: Command[]): Promise<void> {
    const marked = await Promise.all(due.map(({ id }) => markSent(id)));
    for (const { id } of due) lane.given.add(id);
    // Meanwhile a newer session may have come; it has a lane of its own and sends them there.
    if (!isCurrent(lane)) return;
    for (const command of marked) if (command) lane.outlet.send(frameOf(command));
  }

  function delay(lane: Lane, error?: unknown): void {
    delayed.add(lane);
    onDelay(error);
  }

  return {
    opened(device, outlet) {
      if (lanes.get(device)?.outlet === outlet) return;
      const lane: Lane = { device, outlet, given: new Set(), running: false };
      lanes.set(device, lane);
      void run(lane);
    },
    closed(device, outlet) {
      if (lanes.get(device)?.outlet === outlet) lanes.delete(device);
    },
    wake(device) {
      const lane = lanes.get(device);
      if (lane) void run(lane);
    },
    retry() {
      const again = [...delayed].filter(isCurrent);
      delayed.clear();
      for (const lane of again) void run(lane);
    },
  };
}

function frameOf({ id, name, params, expiresAt, attempt }: Command): Downlink {
  return { type: 'command', id, name, params, expires: expiresAt, attempt };
}
