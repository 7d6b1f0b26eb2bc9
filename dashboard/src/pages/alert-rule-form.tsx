/** The form of a rule of alerts, a new one or one that is there: what is watched decides which fields it has. */
import { useState } from 'preact/hooks';
import { TargetFields, useTarget } from '../commands/selector-fields.tsx';
import { TARGET_FIELDS, targetOf } from '../commands/target.ts';
import { catalog } from '../hub/catalog.ts';
import { patch, path, post } from '../hub/client.http.ts';
import { targetText } from '../hub/commands.ts';
import { Dialog, FormEnd } from '../kit/dialog.tsx';
import { PickField, TextField } from '../kit/fields.tsx';
import { readAll, taskNameFrom } from '../kit/form-values.ts';
import { useForm } from '../kit/use-form.ts';
import { changeOf, isAboutDevices, RULE_FIELDS, ruleReaders, type Texts, targetIn, textsOf } from './alert-rule.ts';
import { KindFields, numbersOf, type RuleFieldsProps } from './alert-rule-fields.tsx';
import { KIND_TITLES, RULE_KINDS, type Rule, SEVERITIES } from './alert-words.ts';

const FIRST: Texts = {
  kind: 'field',
  side: 'above',
  severity: 'warning',
  for: '60',
  readings: '100',
  window: '300',
  lag: '60',
};

interface RuleFormProps {
  /** The one to change; a new one without it. */
  rule?: Rule;
  onClose(): void;
  onDone(): void;
}

/** A new rule watches from the moment it was added; alerts of a changed one go on. */
export function RuleForm({ rule, onClose, onDone }: RuleFormProps) {
  const { form, texts, set, target } = useRule(rule, () => {
    onDone();
    onClose();
  });
  const { mistakeAt } = form;
  return (
    <Dialog title={rule ? `Change ${rule.id}` : 'Add a rule'} onClose={onClose}>
      <form class="fields" onSubmit={form.submit} noValidate>
        {!rule && <NameField texts={texts} set={set} mistakeAt={mistakeAt} />}
        <PickField
          label="What is wrong"
          value={texts.kind!}
          options={RULE_KINDS.map((kind) => [kind, KIND_TITLES[kind]])}
          onPick={(kind) => set({ kind })}
        />
        <KindFields texts={texts} set={set} mistakeAt={mistakeAt} />
        <LastingFields texts={texts} set={set} mistakeAt={mistakeAt} />
        {isAboutDevices(texts.kind) && target && <TargetFields target={target} mistakeAt={mistakeAt} />}
        {isAboutDevices(texts.kind) && !target && <p class="soft">For {targetText(rule!)}, as before.</p>}
        <TellingFields texts={texts} set={set} mistakeAt={mistakeAt} />
        <FormEnd form={form} yes={rule ? 'Save' : 'Add'} onCancel={onClose} />
      </form>
    </Dialog>
  );
}

/** What was written so far, and how it is sent. `target` is absent where the form has no fields for it: tags and names at once. */
function useRule(rule: Rule | undefined, onDone: () => void) {
  const stream = catalog.value.streams[0]?.name ?? '';
  const [texts, setTexts] = useState<Texts>(() => ({
    ...FIRST,
    stream,
    field: numbersOf(stream)[0]?.[0] ?? '',
    ...(rule && textsOf(rule)),
  }));
  const before = targetIn(rule?.selector);
  const target = useTarget(before?.kind ?? 'all', before?.text);
  const form = useForm([...RULE_FIELDS, ...TARGET_FIELDS], async () => {
    const isForSome = isAboutDevices(texts.kind) && target.kind !== 'all';
    const { target: to, ...details } = readAll({
      ...(!rule && { id: () => taskNameFrom(texts.id ?? '') }),
      ...ruleReaders(texts),
      target: () => (!before ? { selector: rule!.selector } : isForSome ? targetOf(target) : {}),
    });
    const said = { ...details, ...(isAboutDevices(texts.kind) && to) };
    if (rule) await patch(path`/v1/alerts/rules/${rule.id}`, changeOf(rule, said));
    else await post('/v1/alerts/rules', said);
    onDone();
  });
  const set = (more: Texts) => setTexts((all) => ({ ...all, ...more }));
  return { form, texts, set, target: before && target };
}

function NameField({ texts, set, mistakeAt }: RuleFieldsProps) {
  return (
    <TextField
      label="Name"
      value={texts.id ?? ''}
      onText={(id) => set({ id })}
      mistake={mistakeAt('/id')}
      input={{ placeholder: 'too-warm', autocomplete: 'off' }}
    />
  );
}

/** How long it must be wrong, and right again. */
function LastingFields({ texts, set, mistakeAt }: RuleFieldsProps) {
  return (
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
        label="Right again for"
        unit="s"
        value={texts.clearFor ?? ''}
        onText={(clearFor) => set({ clearFor })}
        mistake={mistakeAt('/clearForMs')}
        input={{ inputMode: 'decimal' }}
      />
    </div>
  );
}

/** What whoever is told gets to know. */
function TellingFields({ texts, set, mistakeAt }: RuleFieldsProps) {
  return (
    <>
      <PickField
        label="Severity"
        value={texts.severity!}
        options={SEVERITIES.map((severity) => [severity, severity])}
        onPick={(severity) => set({ severity })}
      />
      <TextField
        label="What to do (optional)"
        value={texts.description ?? ''}
        onText={(description) => set({ description })}
        hint="Sent with each notice."
        mistake={mistakeAt('/description')}
      />
    </>
  );
}
