/** Who may use this hub: operators with their roles and the life of their tokens. For admins. */
import { useState } from 'preact/hooks';
import { get, path, post, remove } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { ROLES, type Role, session } from '../hub/session.ts';
import { confirmed, Dialog, FormEnd, showUntilKept } from '../kit/dialog.tsx';
import { PickField, TextField } from '../kit/fields.tsx';
import { operatorNameFrom, readAll } from '../kit/form-values.ts';
import { Icon } from '../kit/icons.tsx';
import { Act, Badge, Loaded } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Ago } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { useForm } from '../kit/use-form.ts';

interface Operator {
  name: string;
  role: Role;
  createdAt: number;
  expiresAt?: number;
}

interface Made {
  name: string;
  token: string;
}

const MEANING: Record<Role, string> = {
  viewer: 'viewer: sees everything but the audit log',
  operator: 'operator: changes devices, sends commands',
  admin: 'admin: changes operators too',
};
const DAY_MS = 86_400_000;
const LIVES: [string, string][] = [
  ['', 'for ever'],
  ['1', 'a day'],
  ['30', '30 days'],
  ['365', 'a year'],
];

/** Tokens are shown once, when they are made. */
export function OperatorsPage() {
  const known = useResource('operators', (signal) => get<{ operators: Operator[] }>('/v1/operators', { signal }));
  const [adding, setAdding] = useState(false);
  const onMade = ({ name, token }: Made) => {
    setAdding(false);
    showUntilKept({ title: `Token of ${name}`, token });
    known.reload();
  };
  return (
    <>
      <div class="page-head">
        <h1>Operators</h1>
        <button type="button" class="primary" onClick={() => setAdding(true)}>
          <Icon name="plus" /> Add operator
        </button>
      </div>
      <Loaded resource={known}>
        {({ operators }) => (
          <Table
            label="Operators"
            columns={columnsFor(known.reload, onMade)}
            rows={operators}
            keyOf={({ name }) => name}
            empty="Nobody"
          />
        )}
      </Loaded>
      {adding && <AddOperator onClose={() => setAdding(false)} onMade={onMade} />}
    </>
  );
}

function columnsFor(reload: () => void, onMade: (made: Made) => void): Column<Operator>[] {
  return [
    {
      name: 'name',
      title: 'Name',
      wraps: true,
      cell: ({ name }) => (name === session.value?.operator ? `${name} (you)` : name),
    },
    {
      name: 'role',
      title: 'Role',
      width: '124px',
      cell: ({ role }) => <Badge tone={role === 'admin' ? 'busy' : 'calm'}>{role}</Badge>,
    },
    { name: 'since', title: 'Added', width: '110px', lesser: true, cell: ({ createdAt }) => <Ago at={createdAt} /> },
    {
      name: 'until',
      title: 'Token',
      width: '150px',
      lesser: true,
      cell: ({ expiresAt }) => (expiresAt === undefined ? 'never expires' : <Expiry at={expiresAt} />),
    },
    {
      name: 'actions',
      title: '',
      width: '196px',
      align: 'end',
      cell: (operator) => <Actions operator={operator} reload={reload} onMade={onMade} />,
    },
  ];
}

function Expiry({ at }: { at: number }) {
  return (
    <span>
      {at > Date.now() ? 'expires ' : 'expired '}
      <Ago at={at} />
    </span>
  );
}

function Actions({
  operator: { name },
  reload,
  onMade,
}: {
  operator: Operator;
  reload(): void;
  onMade(made: Made): void;
}) {
  const own = name === session.value?.operator;
  const rotate = async () => {
    const text = `The token there is dies at once${own ? ', and this session ends with it: keep the new one' : ''}.`;
    if (!(await confirmed({ title: `New token for ${name}?`, text, yes: 'Make it', danger: own }))) return;
    onMade(await post<Made>(path`/v1/operators/${name}/tokens`));
  };
  const dismiss = async () => {
    const text = 'The token dies at once, and sessions in browsers end.';
    if (!(await confirmed({ title: `Remove ${name}?`, text, yes: 'Remove', danger: true }))) return;
    await remove(path`/v1/operators/${name}`);
    say(`${name} was removed.`);
    reload();
  };
  return (
    <span class="row-actions">
      <Act act={rotate}>New token</Act>
      <Act act={dismiss} kind="danger" label={`Remove ${name}`}>
        <Icon name="trash" size={16} />
      </Act>
    </span>
  );
}

function AddOperator({ onClose, onMade }: { onClose(): void; onMade(made: Made): void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [days, setDays] = useState('');
  const form = useForm(['/name'], async () => {
    const life = days === '' ? {} : { expiresInMs: Number(days) * DAY_MS };
    onMade(await post<Made>('/v1/operators', { ...readAll({ name: () => operatorNameFrom(name) }), role, ...life }));
  });
  return (
    <Dialog title="Add an operator" onClose={onClose}>
      <form class="fields" onSubmit={form.submit} noValidate>
        <TextField
          label="Name"
          value={name}
          onText={setName}
          mistake={form.mistakeAt('/name')}
          input={{ required: true, autocomplete: 'off' }}
        />
        <PickField
          label="Role"
          value={role}
          options={ROLES.map((one) => [one, MEANING[one]])}
          onPick={(value) => setRole(value as Role)}
        />
        <PickField label="The token holds" value={days} options={LIVES} onPick={setDays} />
        <FormEnd form={form} yes="Add" onCancel={onClose} />
      </form>
    </Dialog>
  );
}
