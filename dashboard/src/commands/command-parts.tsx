/** A command on the page: its state, its life step by step, and everything that is known of it. */
import type { ComponentChildren } from 'preact';
import { commandOf } from '../hub/catalog.ts';
import { call, path } from '../hub/client.http.ts';
import { type Command, type CommandState, STATES } from '../hub/commands.ts';
import { may } from '../hub/session.ts';
import { Dialog } from '../kit/dialog.tsx';
import { fieldValue, span } from '../kit/format.ts';
import { Act, Badge, Facts } from '../kit/parts.tsx';
import { Clock, Moment } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { linkTo } from '../router.ts';
import { stepsOf } from './steps.ts';

/** The state in a word; what it means on hover. */
export function StateBadge({ state }: { state: CommandState }) {
  const { tone, means } = STATES[state];
  return (
    <span title={means}>
      <Badge tone={tone}>{state}</Badge>
    </span>
  );
}

/** The title of a command from its schema. */
export const commandTitle = (name: string) => commandOf(name)?.title ?? name;

/** Parameters in one line. */
export function paramsText(params: Record<string, unknown> | undefined): string {
  return Object.entries(params ?? {})
    .map(([name, value]) => `${name} ${fieldValue(value)}`)
    .join(', ');
}

/** The life of a command, as it happens. */
export function Life({ command }: { command: Command }) {
  const { progress, state } = command;
  const running = !STATES[state].ended && progress !== undefined;
  return (
    <div class="life">
      <ol aria-label="Its life">
        {stepsOf(command).map(({ title, at, reached }) => (
          <li key={title} class={reached ? 'reached' : ''}>
            <span>{title}</span>
            {at !== undefined && (
              <small>{at === command.createdAt ? <Clock at={at} /> : `+${span(at - command.createdAt)}`}</small>
            )}
          </li>
        ))}
      </ol>
      {running && <progress value={progress} max={1} aria-label="How far it is" />}
      <p class="soft">{STATES[state].means}</p>
    </div>
  );
}

/** Everything about one command. */
export function CommandDialog({ command, onClose }: { command: Command; onClose(): void }) {
  const { id, device, name, error, misfit } = command;
  const takeBack = async () => {
    await call('POST', path`/v1/commands/${id}/cancel`);
    say('Taken back.');
  };
  return (
    <Dialog title={`${commandTitle(name)} → ${device}`} onClose={onClose} wide>
      <div>
        <StateBadge state={command.state} />
      </div>
      <Life command={command} />
      {error && (
        <p class="notice bad">
          <span>
            <strong>{error.code}</strong> {error.message}
          </span>
        </p>
      )}
      {misfit && <p class="notice warn">The answer does not fit the schema of results: {misfit}</p>}
      <CommandFacts command={command} />
      {command.state === 'queued' && may('operator') && (
        <footer>
          <Act act={takeBack} kind="danger">
            Take back
          </Act>
        </footer>
      )}
    </Dialog>
  );
}

function CommandFacts({ command }: { command: Command }) {
  const { id, device, params, value, actor, expiresAt, group, schedule } = command;
  const facts: [string, ComponentChildren][] = [
    ['Device', <a href={linkTo(['devices', device])}>{device}</a>],
    ['Parameters', <code>{JSON.stringify(params)}</code>],
    ['Answer', value !== undefined && <code>{JSON.stringify(value)}</code>],
    ['Asked by', actor],
    ['Not sent after', <Moment at={expiresAt} />],
    ['Group', group !== undefined && <a href={linkTo(['groups', group])}>{group}</a>],
    ['Schedule', schedule],
    ['Id', <code>{id}</code>],
  ];
  return <Facts facts={facts.filter(([, fact]) => Boolean(fact))} />;
}
