/** The rules of alerts: what each watches, changing, switching and removing it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { patch, path, remove } from '../hub/client.http.ts';
import type { Resource } from '../hub/resource.ts';
import { may } from '../hub/session.ts';
import { confirmed, Dialog } from '../kit/dialog.tsx';
import { Icon } from '../kit/icons.tsx';
import { Act, Badge, Card, Empty, Facts, Loaded } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { say } from '../kit/toast.tsx';
import { RuleForm } from './alert-rule-form.tsx';
import { type Rule, ruleWords, SEVERITY_TONES } from './alert-words.ts';

/** Rules of the configuration are shown, and changed there. */
export function AlertRules({ rules }: { rules: Resource<{ rules: Rule[] }> }) {
  const [changing, setChanging] = useState<Rule>();
  const [open, setOpen] = useState<string>();
  const opened = rules.data?.rules.find(({ id }) => id === open);
  const change = (rule: Rule) => {
    setOpen(undefined);
    setChanging(rule);
  };
  return (
    <Card title="Rules">
      <Loaded resource={rules}>
        {({ rules: rows }) => (
          <Table
            label="Rules"
            columns={columns(rules.reload, setChanging)}
            rows={rows}
            keyOf={({ id }) => id}
            onOpen={({ id }) => setOpen(id)}
            empty={
              <Empty icon="alerts" title="No rules yet">
                A rule says what is wrong, for how long, and of which devices.
              </Empty>
            }
          />
        )}
      </Loaded>
      {opened && (
        <RuleDialog
          rule={opened}
          reload={rules.reload}
          change={() => change(opened)}
          onClose={() => setOpen(undefined)}
        />
      )}
      {changing && <RuleForm rule={changing} onClose={() => setChanging(undefined)} onDone={rules.reload} />}
    </Card>
  );
}

function columns(reload: () => void, change: (rule: Rule) => void): Column<Rule>[] {
  return [
    {
      name: 'id',
      title: 'Rule',
      width: '20%',
      wraps: true,
      cell: ({ id, description }) => <span title={description}>{id}</span>,
    },
    {
      name: 'words',
      title: 'Fires when',
      wraps: true,
      cell: (rule) => <span title={ruleWords(rule)}>{ruleWords(rule)}</span>,
    },
    {
      name: 'severity',
      title: 'Severity',
      width: '112px',
      lesser: true,
      cell: ({ severity }) => <Badge tone={SEVERITY_TONES[severity]}>{severity}</Badge>,
    },
    {
      name: 'state',
      title: 'State',
      width: '84px',
      cell: ({ enabled }) => <Badge tone={enabled ? 'good' : 'calm'}>{enabled ? 'on' : 'off'}</Badge>,
    },
    {
      name: 'actions',
      title: 'Change',
      width: '276px',
      lesser: true,
      cell: (rule) => <RuleActions rule={rule} reload={reload} change={() => change(rule)} />,
    },
  ];
}

/** All of a rule, uncut, and what can be done with it where the table has no room for that. */
function RuleDialog({ rule, onClose, ...rest }: RuleActionsProps & { onClose(): void }) {
  const { id, description, severity, enabled, deliver } = rule;
  const facts: [string, ComponentChildren][] = [
    ['Fires when', ruleWords(rule)],
    ['What it is for', description],
    ['Severity', severity],
    ['State', enabled ? 'on' : 'off'],
    ['Told to', deliver?.join(', ') ?? 'every channel'],
  ];
  return (
    <Dialog title={id} onClose={onClose}>
      <Facts facts={facts.filter(([, fact]) => Boolean(fact))} />
      <footer>
        <RuleActions rule={rule} {...rest} />
      </footer>
    </Dialog>
  );
}

const FIXED =
  'This rule is in the configuration of the hub (alerts.rules): it is changed there, and takes effect at the next start.';

function RuleActions({ rule: { id, enabled, origin }, reload, change }: RuleActionsProps) {
  if (origin === 'configuration')
    return (
      <span class="soft" title={FIXED}>
        in the configuration
      </span>
    );
  if (!may('operator')) return null;
  const toggle = () => patch(path`/v1/alerts/rules/${id}`, { enabled: !enabled }).then(reload);
  return (
    <span class="row-actions">
      <button type="button" aria-label={`Change ${id}`} onClick={change}>
        Change
      </button>
      <Act act={toggle}>{enabled ? 'Switch off' : 'Switch on'}</Act>
      <Act act={() => dismiss(id, reload)} kind="danger" label={`Remove ${id}`}>
        <Icon name="trash" size={16} />
      </Act>
    </span>
  );
}

interface RuleActionsProps {
  rule: Rule;
  reload(): void;
  change(): void;
}

async function dismiss(id: string, reload: () => void): Promise<void> {
  const text = 'What it found is resolved.';
  if (!(await confirmed({ title: `Remove the rule ${id}?`, text, yes: 'Remove', danger: true }))) return;
  await remove(path`/v1/alerts/rules/${id}`);
  say(`${id} was removed.`);
  reload();
}
