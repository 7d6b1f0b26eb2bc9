/** Commands to random devices all the time, how often each ran in a device, and what the hub says of their ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, type Handler } from '../device-sim/answers.ts';
import { type Command, hasEnded } from '../hub/commands/command.ts';
import type { TestHub } from '../test/helpers/hub.ts';
import type { Outages } from './outages.ts';

export interface Orders {
  /** What devices do when they are told to: obey, obey late, fail, refuse, or never answer. */
  handler: Handler;
  /** Asks for one command; what the hub does not answer promises nothing. */
  ask(device: string): Promise<void>;
  /** How many have not ended. Throws when the hub does not answer. */
  open(): Promise<number>;
  judge(): Promise<OrderFigures>;
}

export interface OrderFigures {
  byState: Record<string, number>;
  /** Ids that ran more than once in a device. */
  twice: string[];
  /** Ids of which the hub said that they are stored, and which it does not know any more. */
  lost: string[];
  /** Ids that ran, and that the hub does not know. */
  phantom: string[];
  /** Ids without an end. */
  open: string[];
  /** Ids that became `unknown` later than promised while the hub was there. */
  late: string[];
}

const NAMES = ['identify', 'read-now', 'set-interval'];
const TIMEOUT_MS = 4_000;
const LATE_AT_MOST_MS = 5_000;

export function createOrders(hub: TestHub, outages: Outages, random: () => number): Orders {
  const runs = new Map<string, number>();
  const stored = new Set<string>();

  return {
    async handler({ id }) {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      const mood = random();
      if (mood < 0.1) throw new CommandError('failed', 'it broke');
      if (mood < 0.2) throw new CommandError('rejected', 'it does not want to');
      if (mood < 0.3) await new Promise(() => {});
      if (mood < 0.6) await sleep(random() * TIMEOUT_MS * 1.2, undefined, { ref: false });
      return {};
    },
    async ask(device) {
      const name = NAMES[Math.floor(random() * NAMES.length)]!;
      const params = name === 'set-interval' ? { seconds: 5 } : {};
      const body = { name, params, timeoutMs: TIMEOUT_MS };
      const command = await hub.call<Command>('POST', `/v1/devices/${device}/commands`, body).catch(() => undefined);
      if (command) stored.add(command.id);
    },
    open: async () => (await allCommands(hub)).filter(({ state }) => !hasEnded(state)).length,
    async judge() {
      const commands = await allCommands(hub);
      const ids = new Set(commands.map(({ id }) => id));
      const idsOf = (fits: (command: Command) => boolean) => commands.filter(fits).map(({ id }) => id);
      const byState: Record<string, number> = {};
      for (const { state } of commands) byState[state] = (byState[state] ?? 0) + 1;
      return {
        byState,
        twice: [...runs].filter(([, times]) => times > 1).map(([id]) => id),
        lost: [...stored].filter((id) => !ids.has(id)),
        phantom: [...runs.keys()].filter((id) => !ids.has(id)),
        open: idsOf(({ state }) => !hasEnded(state)),
        late: idsOf((command) => isLate(command, outages)),
      };
    },
  };
}

function isLate({ state, deadlineAt, finishedAt }: Command, outages: Outages): boolean {
  if (state !== 'unknown' || deadlineAt === undefined || finishedAt === undefined) return false;
  const latest = deadlineAt + LATE_AT_MOST_MS;
  return finishedAt > latest && outages.wasUp(deadlineAt, latest);
}

async function allCommands(hub: TestHub): Promise<Command[]> {
  const commands: Command[] = [];
  for (let cursor = ''; ; ) {
    const page = await hub.call<{ commands: Command[]; next?: string }>('GET', `/v1/commands?limit=1000${cursor}`);
    commands.push(...page.commands);
    if (page.next === undefined) return commands;
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
}
