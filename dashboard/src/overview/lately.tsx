/** The newest refusals and the newest commands, a few of each. */
import { useCommandNews } from '../commands/command-news.ts';
import { commandTitle, StateBadge } from '../commands/command-parts.tsx';
import { get } from '../hub/client.http.ts';
import type { Command } from '../hub/commands.ts';
import { useResource } from '../hub/resource.ts';
import { Card, Trouble } from '../kit/parts.tsx';
import { Ago } from '../kit/time.tsx';
import { type Refused, why } from '../pages/quarantine.tsx';
import { linkTo } from '../router.ts';

const SHOWN = 5;
const ASK_MS = 5_000;

/** Readings that were not taken, and why. */
export function LatelyRefused() {
  const load = (signal: AbortSignal) => get<{ readings: Refused[] }>(`/v1/quarantine?limit=${SHOWN}`, { signal });
  const { data, error } = useResource('lately refused', load, ASK_MS);
  const readings = data?.readings;
  return (
    <Card title="Lately refused" actions={<a href="#/quarantine">Quarantine</a>}>
      {!readings && error && <Trouble error={error} />}
      {readings?.length === 0 && <p class="soft">Nothing: every reading fitted its schema.</p>}
      <ul class="lines">
        {readings?.map((refused) => (
          <li key={refused.id}>
            <span>
              <a href={linkTo(['devices', refused.device])}>{refused.device}</a>{' '}
              <span class="soft">{refused.stream}</span> {why(refused)}
            </span>
            <small>
              <Ago at={refused.receivedAt} />
            </small>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Commands as they live. */
export function LatelySent() {
  const load = (signal: AbortSignal) => get<{ commands: Command[] }>(`/v1/commands?limit=${SHOWN}`, { signal });
  const { data, error, set, reload } = useResource('lately sent', load);
  const change = (next: (commands: Command[]) => Command[]) =>
    set((before) => ({ commands: next(before.commands).slice(0, SHOWN) }));
  const commands = useCommandNews({ data: data?.commands, change, reload }, () => true)?.slice(0, SHOWN);
  return (
    <Card title="Lately told" actions={<a href="#/commands">Commands</a>}>
      {!commands && error && <Trouble error={error} />}
      {commands?.length === 0 && <p class="soft">No command was sent so far.</p>}
      <ul class="lines">
        {commands?.map(({ id, device, name, state, createdAt }) => (
          <li key={id}>
            <span>
              <StateBadge state={state} /> {commandTitle(name)} <span class="soft">to</span>{' '}
              <a href={linkTo(['devices', device])}>{device}</a>
            </span>
            <small>
              <Ago at={createdAt} />
            </small>
          </li>
        ))}
      </ul>
    </Card>
  );
}
