/** Sending a command: pick one, fill in what its schema asks for, confirm where the schema asks, and watch it happen. */
import { useEffect, useState } from 'preact/hooks';
import { type CommandType, catalog, commandOf } from '../hub/catalog.ts';
import { get, path, post } from '../hub/client.http.ts';
import type { Command } from '../hub/commands.ts';
import { commandsIn, useLive } from '../hub/live.ts';
import { confirmed } from '../kit/dialog.tsx';
import { PickField } from '../kit/fields.tsx';
import { Mistaken, readAll } from '../kit/form-values.ts';
import { Trouble } from '../kit/parts.tsx';
import { useForm } from '../kit/use-form.ts';
import { commandTitle, Life, StateBadge } from './command-parts.tsx';
import { type FormField, formFieldsOf, initialValues, paramsOf, type Values } from './form-model.ts';
import { SchemaFields } from './schema-fields.tsx';

const ASK_AGAIN_MS = 600;

/** What the fields of an order hold, and how they are read. */
export interface OrderFields {
  type: CommandType | undefined;
  values: Values;
  pick(name: string): void;
  change(values: Values): void;
  /** For `readAll`. */
  readers: { name(): string; params(): Record<string, unknown> };
  /** JSON pointers of its fields. */
  pointers: string[];
}

/** A command of the catalog with its parameters. */
export function useOrder(): OrderFields {
  const [name, setName] = useState(catalog.value.commands[0]?.name ?? '');
  const type = commandOf(name);
  const fields = formFieldsOf(type?.schema.params);
  const [values, setValues] = useState<Values>(() => initialValues(fields));
  return {
    type,
    values,
    change: setValues,
    pick(next) {
      setName(next);
      setValues(initialValues(formFieldsOf(commandOf(next)?.schema.params)));
    },
    pointers: ['/name', ...fields.map((field) => `/params/${field.name}`)],
    readers: { name: () => nameOf(type), params: () => readParams(fields, values) },
  };
}

function nameOf(type: CommandType | undefined): string {
  if (!type) throw new Error('is needed');
  return type.name;
}

/** Throws `Mistaken`. */
function readParams(fields: FormField[], values: Values): Record<string, unknown> {
  const { params, mistakes } = paramsOf(fields, values);
  const found = Object.entries(mistakes).map(([name, message]) => ({ path: `/${name}`, message }));
  if (found.length > 0) throw new Mistaken(found);
  return params;
}

/** The part of a form that makes an order; `mistakeAt` tells what is wrong with it. */
export function OrderInputs({
  order,
  mistakeAt,
}: {
  order: OrderFields;
  mistakeAt(pointer: string): string | undefined;
}) {
  const { type, values } = order;
  return (
    <>
      <PickField
        label="Command"
        value={type?.name ?? ''}
        options={catalog.value.commands.map(({ name, title }) => [name, title])}
        onPick={order.pick}
        hint={type?.description}
        mistake={mistakeAt('/name')}
      />
      <SchemaFields
        fields={formFieldsOf(type?.schema.params)}
        values={values}
        onChange={order.change}
        mistakeOf={(name) => mistakeAt(`/params/${name}`)}
      />
    </>
  );
}

/** Whether the person means it, where the schema asks. */
export async function meant(type: CommandType | undefined, to: string): Promise<boolean> {
  if (!type?.confirm) return true;
  return confirmed({ title: `${type.title}: ${to}`, text: type.confirm, yes: type.title, danger: !type.idempotent });
}

/** Sends to one device, and shows the life of what was sent. */
export function SendForm({ device, isOnline }: { device: string; isOnline: boolean }) {
  const order = useOrder();
  const [sent, setSent] = useState<Command>();
  const form = useForm(order.pointers, async () => {
    const body = readAll(order.readers);
    if (!(await meant(order.type, device))) return;
    setSent(await post<Command>(path`/v1/devices/${device}/commands`, body, { idempotencyKey: crypto.randomUUID() }));
  });
  useFollowing(sent, setSent);
  return (
    <form class="fields" onSubmit={form.submit} noValidate>
      <OrderInputs order={order} mistakeAt={form.mistakeAt} />
      {!isOnline && <p class="notice">The device is offline: it gets the command when it connects, within an hour.</p>}
      {form.error && <Trouble error={form.error} />}
      <footer>
        <button type="submit" class="primary" disabled={form.busy} aria-busy={form.busy}>
          Send
        </button>
      </footer>
      {sent && (
        <div class="sent" role="status">
          <h3>
            {commandTitle(sent.name)} <StateBadge state={sent.state} />
          </h3>
          <Life command={sent} />
          {sent.error && <p class="notice bad">{sent.error.message}</p>}
          {sent.value !== undefined && <pre class="block">{JSON.stringify(sent.value, null, 2)}</pre>}
        </div>
      )}
    </form>
  );
}

/** Keeps one command up to date. */
function useFollowing(command: Command | undefined, onChange: (command: Command) => void): void {
  useLive({ commands: command !== undefined }, (news) => {
    const own = commandsIn(news).findLast((one) => one.command.id === command?.id);
    if (own && own.command.updatedAt >= command!.updatedAt) onChange(own.command);
  });
  const id = command?.id;
  // What happened between the answer and the first news is asked for once.
  useEffect(() => {
    if (id === undefined) return;
    const ended = new AbortController();
    const later = setTimeout(() => {
      get<Command>(path`/v1/commands/${id}`, { signal: ended.signal }).then(onChange, () => {});
    }, ASK_AGAIN_MS);
    return () => {
      clearTimeout(later);
      ended.abort();
    };
  }, [id, onChange]);
}
