/** The form of a new rule of alerts: what is watched decides which fields it has. */
import { useState } from 'preact/hooks';
import { TargetFields, useTarget } from '../commands/selector-fields.tsx';
import { targetOf } from '../commands/target.ts';
import { catalog, streamOf } from '../hub/catalog.ts';
import { post } from '../hub/client.http.ts';
import { Dialog } from '../kit/dialog.tsx';
import { PickField, TextField } from '../kit/fields.tsx';
import { unitSign } from '../kit/format.ts';
import { Trouble } from '../kit/parts.tsx';
import { useForm } from '../kit/use-form.ts';
import { ruleFrom, type Texts } from './alert-rule.ts';
import { KIND_TITLES, RULE_KINDS, type RuleKind, SEVERITIES } from './alert-words.ts';

const FIRST: Texts = {
  kind: 'field',
  side: 'above',
  severity: 'warning',
  for: '60',
  readings: '100',
  window: '300',
  lag: '60',
};

interface FormProps {
  texts: Texts;
  set(texts: Texts): void;
  mistakeAt(pointer: string): string | undefined;
}

const isAboutDevices = (kind: string | undefined) => kind !== 'quarantine' && kind !== 'lag';

/** It watches from the moment it was added. */
export function AddRule({ onClose, onAdded }: { onClose(): void; onAdded(): void }) {
  const stream = catalog.value.streams[0]?.name ?? '';
  const [texts, setTexts] = useState<Texts>({ ...FIRST, stream, field: numbersOf(stream)[0]?.[0] ?? '' });
  const target = useTarget('all');
  const set = (more: Texts) => setTexts((before) => ({ ...before, ...more }));
  const form = useForm(async () => {
    const whom = isAboutDevices(texts.kind) && target.kind !== 'all' ? targetOf(target) : {};
    await post('/v1/alerts/rules', { id: (texts.id ?? '').trim(), ...ruleFrom(texts), ...whom });
    onAdded();
    onClose();
  });
  const { mistakeAt } = form;
  return (
    <Dialog title="Add a rule" onClose={onClose}>
      <form class="fields" onSubmit={form.submit} noValidate>
        <TextField
          label="Name"
          value={texts.id ?? ''}
          onText={(id) => set({ id })}
          mistake={mistakeAt('/id')}
          input={{ placeholder: 'too-warm', autocomplete: 'off' }}
        />
        <PickField
          label="What is wrong"
          value={texts.kind!}
          options={RULE_KINDS.map((kind) => [kind, KIND_TITLES[kind]])}
          onPick={(kind) => set({ kind })}
        />
        <KindFields texts={texts} set={set} mistakeAt={mistakeAt} />
        <div class="field-row">
          {texts.kind !== 'quarantine' && (
            <TextField
              label="For at least"
              unit="s"
              value={texts.for ?? ''}
              onText={(text) => set({ for: text })}
              mistake={mistakeAt('/forMs')}
              input={{ inputMode: 'decimal' }}
            />
          )}
          <TextField
            label="Over when right for (optional)"
            unit="s"
            value={texts.clearFor ?? ''}
            onText={(clearFor) => set({ clearFor })}
            mistake={mistakeAt('/clearForMs')}
            input={{ inputMode: 'decimal' }}
          />
        </div>
        {isAboutDevices(texts.kind) && <TargetFields target={target} mistake={mistakeAt('/selector')} />}
        <PickField
          label="Severity"
          value={texts.severity!}
          options={SEVERITIES.map((severity) => [severity, severity])}
          onPick={(severity) => set({ severity })}
        />
        {form.error && <Trouble error={form.error} />}
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={form.busy}>
            Add
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function KindFields(props: FormProps) {
  const { texts, set, mistakeAt } = props;
  const kind = texts.kind as RuleKind;
  const decimal = { inputMode: 'decimal' } as const;
  if (kind === 'field') return <LimitFields {...props} />;
  if (kind === 'no-reading') {
    return (
      <PickField
        label="Of the stream"
        value={texts.stream ?? ''}
        options={[['', 'any'], ...streams()]}
        onPick={(stream) => set({ stream })}
      />
    );
  }
  if (kind === 'quarantine') {
    return (
      <div class="field-row">
        <TextField
          label="More than"
          unit="readings"
          value={texts.readings ?? ''}
          onText={(readings) => set({ readings })}
          mistake={mistakeAt('/readings')}
          input={decimal}
        />
        <TextField
          label="Within"
          unit="s"
          value={texts.window ?? ''}
          onText={(window) => set({ window })}
          mistake={mistakeAt('/windowMs')}
          input={decimal}
        />
      </div>
    );
  }
  if (kind === 'lag') {
    return (
      <TextField
        label="More than"
        unit="s behind"
        value={texts.lag ?? ''}
        onText={(lag) => set({ lag })}
        mistake={mistakeAt('/lagMs')}
        input={decimal}
      />
    );
  }
  return null;
}

const streams = () => catalog.value.streams.map(({ name, title }): [string, string] => [name, title]);

/** Fields with a number, by name and title. */
function numbersOf(stream: string): [string, string][] {
  const fields = streamOf(stream)?.fields ?? [];
  return fields.filter(({ type }) => type === 'number' || type === 'integer').map(({ name, title }) => [name, title]);
}

function LimitFields({ texts, set, mistakeAt }: FormProps) {
  const { stream = '', field = '', side = 'above', limit = '', clear = '' } = texts;
  const unit = unitSign(streamOf(stream)?.fields.find(({ name }) => name === field)?.unit);
  const decimal = { inputMode: 'decimal' } as const;
  const pickStream = (next: string) => set({ stream: next, field: numbersOf(next)[0]?.[0] ?? '' });
  return (
    <>
      <div class="field-row">
        <PickField label="Stream" value={stream} options={streams()} onPick={pickStream} />
        <PickField label="Field" value={field} options={numbersOf(stream)} onPick={(next) => set({ field: next })} />
      </div>
      <div class="field-row">
        <PickField
          label="Is"
          value={side}
          options={[
            ['above', 'above'],
            ['below', 'below'],
          ]}
          onPick={(next) => set({ side: next })}
        />
        <TextField
          label="Limit"
          unit={unit}
          value={limit}
          onText={(next) => set({ limit: next })}
          mistake={mistakeAt(`/${side}`)}
          input={decimal}
        />
        <TextField
          label="Over at (optional)"
          unit={unit}
          value={clear}
          onText={(next) => set({ clear: next })}
          mistake={mistakeAt('/clear')}
          input={decimal}
        />
      </div>
    </>
  );
}
