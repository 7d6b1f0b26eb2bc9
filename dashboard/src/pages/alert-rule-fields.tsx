/** The fields of a rule of alerts that depend on what it watches. */
import { catalog, streamOf } from '../hub/catalog.ts';
import { PickField, TextField } from '../kit/fields.tsx';
import { unitSign } from '../kit/format.ts';
import type { Texts } from './alert-rule.ts';
import type { RuleKind } from './alert-words.ts';

export interface RuleFieldsProps {
  texts: Texts;
  set(texts: Texts): void;
  mistakeAt(pointer: string): string | undefined;
}

const DECIMAL = { inputMode: 'decimal' } as const;

/** What is wrong, by the kind of the rule. */
export function KindFields(props: RuleFieldsProps) {
  const kind = props.texts.kind as RuleKind;
  if (kind === 'field') return <LimitFields {...props} />;
  if (kind === 'no-reading') return <QuietFields {...props} />;
  if (kind === 'quarantine') return <RefusedFields {...props} />;
  if (kind === 'lag') return <LagFields {...props} />;
  return null;
}

function QuietFields({ texts, set }: RuleFieldsProps) {
  const options: [string, string][] = [['', 'any'], ...streams()];
  const pick = (stream: string) => set({ stream });
  return <PickField label="Of the stream" value={texts.stream ?? ''} options={options} onPick={pick} />;
}

function RefusedFields({ texts, set, mistakeAt }: RuleFieldsProps) {
  return (
    <div class="field-row">
      <TextField
        label="More than"
        unit="readings"
        value={texts.readings ?? ''}
        onText={(readings) => set({ readings })}
        mistake={mistakeAt('/readings')}
        input={DECIMAL}
      />
      <TextField
        label="Within"
        unit="s"
        value={texts.window ?? ''}
        onText={(window) => set({ window })}
        mistake={mistakeAt('/windowMs')}
        input={DECIMAL}
      />
    </div>
  );
}

function LagFields({ texts, set, mistakeAt }: RuleFieldsProps) {
  return (
    <TextField
      label="More than"
      unit="s behind"
      value={texts.lag ?? ''}
      onText={(lag) => set({ lag })}
      mistake={mistakeAt('/lagMs')}
      input={DECIMAL}
    />
  );
}

const streams = () => catalog.value.streams.map(({ name, title }): [string, string] => [name, title]);

/** Fields with a number, by name and title. */
export function numbersOf(stream: string): [string, string][] {
  const fields = streamOf(stream)?.fields ?? [];
  return fields.filter(({ type }) => type === 'number' || type === 'integer').map(({ name, title }) => [name, title]);
}

const SIDES: [string, string][] = [
  ['above', 'above'],
  ['below', 'below'],
];

function LimitFields({ texts, set, mistakeAt }: RuleFieldsProps) {
  const { stream = '', field = '', side = 'above', limit = '', clear = '' } = texts;
  const unit = unitSign(streamOf(stream)?.fields.find(({ name }) => name === field)?.unit);
  const pickStream = (next: string) => set({ stream: next, field: numbersOf(next)[0]?.[0] ?? '' });
  return (
    <>
      <div class="field-row">
        <PickField label="Stream" value={stream} options={streams()} onPick={pickStream} />
        <PickField label="Field" value={field} options={numbersOf(stream)} onPick={(next) => set({ field: next })} />
      </div>
      <div class="field-row">
        <PickField label="Is" value={side} options={SIDES} onPick={(next) => set({ side: next })} />
        <TextField
          label="Limit"
          unit={unit}
          value={limit}
          onText={(next) => set({ limit: next })}
          mistake={mistakeAt(`/${side}`)}
          input={DECIMAL}
        />
        <TextField
          label="Over at"
          unit={unit}
          value={clear}
          onText={(next) => set({ clear: next })}
          mistake={mistakeAt('/clear')}
          input={DECIMAL}
        />
      </div>
    </>
  );
}
