/** Lists of commands as they live: what the hub listed, and the news of it, whichever of both comes first. */
import { useRef } from 'preact/hooks';
import { type Command, withChanges } from '../hub/commands.ts';
import { commandsIn, useLive } from '../hub/live.ts';
import type { Paged } from '../hub/paged.ts';

/** Policy beyond it: the oldest news is forgotten here; the list that was shown has it. */
const MAX_HEARD = 1_000;

/**
 * The list with everything that was heard since. Between what the hub listed and the first news of it something may have
 * happened, so the list is asked for again when the news begin. `takes`: whether a command that is new belongs into it.
 */
export function useCommandNews(
  list: Pick<Paged<Command>, 'data' | 'change' | 'reload'> & Partial<Pick<Paged<Command>, 'more'>>,
  takes: (command: Command) => boolean,
): Command[] | undefined {
  const heard = useRef(new Map<string, Command>()).current;
  // What is older than all that was loaded comes with its own page.
  const belongsTo = (shown: Command[]) => {
    const oldest = list.more ? shown.at(-1)?.createdAt : undefined;
    return (command: Command) => takes(command) && command.createdAt >= (oldest ?? 0);
  };
  const hear = (commands: Command[]) => {
    keep(heard, commands);
    const changed = new Map(commands.map((command) => [command.id, command]));
    list.change((before) => withChanges(before, changed, belongsTo(before)));
  };
  useLive({ commands: true }, (news) => hear(commandsIn(news).map(({ command }) => command)), list.reload);
  return list.data && withChanges(list.data, heard, belongsTo(list.data));
}

/** Remembers the newest of each command. */
export function keep(heard: Map<string, Command>, commands: Command[]): void {
  for (const command of commands) {
    heard.delete(command.id);
    heard.set(command.id, command);
  }
  for (const id of heard.keys()) {
    if (heard.size <= MAX_HEARD) return;
    heard.delete(id);
  }
}
