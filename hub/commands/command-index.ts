/** All commands in memory, in the order of their creation: of the hub, and of each device. */
import { type Command, type CommandState, dueOf, hasEnded } from './command.ts';

export interface CommandQuery {
  device?: string;
  state?: CommandState;
  group?: string;
  limit: number;
  /** The `next` of the page before. */
  before?: string;
}

type Place = Pick<Command, 'createdAt' | 'id'>;

/** Commands in the order of creation; the id decides between those of one millisecond, which are of several devices. */
class Ordered {
  readonly items: Command[] = [];

  set(command: Command): void {
    const at = this.firstFrom(command);
    this.items.splice(at, this.items[at]?.id === command.id ? 1 : 0, command);
  }

  delete(command: Command): void {
    const at = this.firstFrom(command);
    if (this.items[at]?.id === command.id) this.items.splice(at, 1);
  }

  /** Where the first command is that is not before this place. New ones are usually the last. */
  firstFrom(place: Place): number {
    let low = 0;
    let high = this.items.length;
    if (high > 0 && isBefore(this.items[high - 1]!, place)) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(this.items[middle]!, place)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const isBefore = (a: Place, b: Place) => a.createdAt < b.createdAt || (a.createdAt === b.createdAt && a.id < b.id);

/** What is known of the commands of one device. */
interface OfDevice {
  ordered: Ordered;
  queued: number;
  ended: number;
}

export interface CommandIndex {
  get(id: string): Command | undefined;
  readonly size: number;
  /** Commands in state `queued`. */
  readonly queued: number;
  /** Takes a new or changed command; returns what it was before. */
  put(command: Command): Command | undefined;
  drop(id: string): void;
  /** Of a device, in the order of creation. */
  of(device: string): readonly Command[];
  /** How many of a device are queued, still under way (queued ones included), and at an end. */
  countsOf(device: string): { queued: number; open: number; ended: number };
  /** All that time will move on. */
  pending(): IterableIterator<Command>;
  /** All, in the order of creation. */
  all(): readonly Command[];
  list(query: CommandQuery): { commands: Command[]; next?: string };
}

export function createCommandIndex(): CommandIndex {
  const byId = new Map<string, Command>();
  const pending = new Map<string, Command>();
  const devices = new Map<string, OfDevice>();
  const everything = new Ordered();
  let queued = 0;

  const ofDevice = (device: string): OfDevice => {
    const known = devices.get(device) ?? { ordered: new Ordered(), queued: 0, ended: 0 };
    devices.set(device, known);
    return known;
  };

  function count(command: Command, by: 1 | -1): void {
    const own = ofDevice(command.device);
    if (command.state === 'queued') {
      queued += by;
      own.queued += by;
    }
    if (hasEnded(command.state)) own.ended += by;
  }

  return {
    get: (id) => byId.get(id),
    get size() {
      return byId.size;
    },
    get queued() {
      return queued;
    },
    put(command) {
      const before = byId.get(command.id);
      if (before) count(before, -1);
      count(command, 1);
      byId.set(command.id, command);
      everything.set(command);
      ofDevice(command.device).ordered.set(command);
      if (dueOf(command)) pending.set(command.id, command);
      else pending.delete(command.id);
      return before;
    },
    drop(id) {
      const command = byId.get(id);
      if (!command) return;
      count(command, -1);
      byId.delete(id);
      pending.delete(id);
      everything.delete(command);
      const own = ofDevice(command.device);
      own.ordered.delete(command);
      if (own.ordered.items.length === 0) devices.delete(command.device);
    },
    of: (device) => devices.get(device)?.ordered.items ?? [],
    countsOf(device) {
      const own = devices.get(device);
      if (!own) return { queued: 0, open: 0, ended: 0 };
      return { queued: own.queued, open: own.ordered.items.length - own.ended, ended: own.ended };
    },
    pending: () => pending.values(),
    all: () => everything.items,
    list(query) {
      const ordered = query.device === undefined ? everything : devices.get(query.device)?.ordered;
      return ordered ? pageOf(ordered, query) : { commands: [] };
    },
  };
}

function pageOf(ordered: Ordered, { state, group, limit, before }: CommandQuery) {
  const commands: Command[] = [];
  const place = before === undefined ? undefined : placeOf(before);
  let at = place ? ordered.firstFrom(place) : ordered.items.length;
  while (at > 0) {
    const command = ordered.items[--at]!;
    if (state !== undefined && command.state !== state) continue;
    if (group !== undefined && command.group !== group) continue;
    const last = commands.at(-1);
    if (commands.length === limit && last) return { commands, next: `${last.createdAt}.${last.id}` };
    commands.push(command);
  }
  return { commands };
}

/** A cursor that is none stands before everything, so its page is empty. */
function placeOf(cursor: string): Place {
  const [, createdAt, id = ''] = /^(\d+)\.(.*)$/s.exec(cursor) ?? [];
  return { createdAt: Number(createdAt ?? -1), id };
}
