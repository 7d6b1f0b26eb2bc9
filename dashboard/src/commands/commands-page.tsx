/** All commands, by state and device, and sending one to a device by name. */
import { COMMAND_STATES, type Command } from '../hub/commands.ts';
import { usePaged } from '../hub/paged.ts';
import { SearchField } from '../kit/fields.tsx';
import { Empty } from '../kit/parts.tsx';
import { goTo, linkTo, place } from '../router.ts';
import { CommandTable } from './command-table.tsx';

const LIMIT = 200;

/** The filter is in the address. */
export function CommandsPage() {
  const { query } = place.value;
  const state = query.get('state') ?? '';
  const device = query.get('device') ?? '';
  const list = usePaged<Command>('/v1/commands', 'commands', { state, device, limit: LIMIT });
  const change = (next: Record<string, string>) =>
    goTo(linkTo(['commands'], { state, device, ...next }), { replace: true });
  return (
    <>
      <div class="page-head">
        <h1>Commands</h1>
        <a class="button" href="#/groups">
          To many devices…
        </a>
      </div>
      <div class="filters">
        <SearchField label="Only of the device" value={device} onText={(text) => change({ device: text.trim() })} />
        <select aria-label="State" value={state} onChange={(event) => change({ state: event.currentTarget.value })}>
          <option value="">Any state</option>
          {COMMAND_STATES.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <CommandTable
        list={list}
        takes={(command) => (state === '' || command.state === state) && (device === '' || command.device === device)}
        empty={
          <Empty icon="commands" title="No commands">
            {state || device
              ? 'None fits the filter.'
              : 'Send one from the page of a device, or to many from the groups.'}
          </Empty>
        }
      />
    </>
  );
}
