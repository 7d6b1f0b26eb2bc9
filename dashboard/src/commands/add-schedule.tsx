/** The form of a new schedule. */
import { useState } from 'preact/hooks';
import { post } from '../hub/client.http.ts';
import { targetText } from '../hub/commands.ts';
import { Dialog, FormEnd } from '../kit/dialog.tsx';
import { PickField, TextField } from '../kit/fields.tsx';
import { readAll, taskNameFrom } from '../kit/form-values.ts';
import { useForm } from '../kit/use-form.ts';
import { TargetFields, useTarget } from './selector-fields.tsx';
import { meant, OrderInputs, useOrder } from './send-form.tsx';
import { TARGET_FIELDS, targetOf } from './target.ts';

const MISSED: [string, string][] = [
  ['skip', 'are left out'],
  ['once', 'are made up for once'],
  ['all', 'are all made up for'],
];

const FIELDS = ['/id', '/cron', '/timeZone'];

/** Its times are in the viewer's own zone unless another is written. */
export function AddSchedule({ onClose, onAdded }: { onClose(): void; onAdded(): void }) {
  const order = useOrder();
  const target = useTarget('one');
  const [id, setId] = useState('');
  const [cron, setCron] = useState('0 3 * * *');
  const [timeZone, setTimeZone] = useState(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const [missed, setMissed] = useState('skip');
  const form = useForm([...FIELDS, ...TARGET_FIELDS, ...order.pointers], async () => {
    const { target: to, ...what } = readAll({
      id: () => taskNameFrom(id),
      target: () => targetOf(target),
      ...order.readers,
    });
    if (!(await meant(order.type, targetText(to)))) return;
    await post('/v1/schedules', { ...what, ...to, cron, timeZone, missed });
    onAdded();
    onClose();
  });
  return (
    <Dialog title="Add a schedule" onClose={onClose}>
      <form class="fields" onSubmit={form.submit} noValidate>
        <TextField
          label="Name"
          value={id}
          onText={setId}
          mistake={form.mistakeAt('/id')}
          input={{ placeholder: 'nightly-reboot', autocomplete: 'off' }}
        />
        <div class="field-row">
          <TextField
            label="When"
            value={cron}
            onText={setCron}
            hint="Cron: minute, hour, day, month, weekday; or @daily."
            mistake={form.mistakeAt('/cron')}
            input={{ spellcheck: false }}
          />
          <TextField label="Time zone" value={timeZone} onText={setTimeZone} mistake={form.mistakeAt('/timeZone')} />
        </div>
        <TargetFields target={target} single mistakeAt={form.mistakeAt} />
        <OrderInputs order={order} mistakeAt={form.mistakeAt} />
        <PickField label="Times that come while the hub is down" value={missed} options={MISSED} onPick={setMissed} />
        <FormEnd form={form} yes="Add" onCancel={onClose} />
      </form>
    </Dialog>
  );
}
