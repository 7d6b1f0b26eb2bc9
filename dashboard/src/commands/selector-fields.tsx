/** Whom an order for many is for: every device, those with tags, or those that are named. */
import { useState } from 'preact/hooks';
import { TextField } from '../kit/fields.tsx';
import { Choice } from '../kit/parts.tsx';
import { TARGET_FIELDS, type TargetKind, type TargetText } from './target.ts';

const MANY: [TargetKind, string][] = [
  ['tags', 'With tags'],
  ['devices', 'These devices'],
  ['all', 'Every device'],
];

export interface Target extends TargetText {
  set(kind: TargetKind, text: string): void;
}

/** What is written at first. */
export function useTarget(kind: TargetKind = 'tags', text = ''): Target {
  const [target, setTarget] = useState({ kind, text });
  return { ...target, set: (next, written) => setTarget({ kind: next, text: written }) };
}

interface TargetFieldsProps {
  target: Target;
  /** One device is a choice too. */
  single?: boolean;
  mistakeAt(pointer: string): string | undefined;
}

const LABELS: Record<Exclude<TargetKind, 'all'>, [label: string, placeholder: string]> = {
  one: ['Device', 'meter-7'],
  tags: ['Tags', 'floor=1, building=north'],
  devices: ['Devices', 'meter-7, meter-8'],
};

/** A choice and a field. */
export function TargetFields({ target, single = false, mistakeAt }: TargetFieldsProps) {
  const { kind, text, set } = target;
  const options: [TargetKind, string][] = single ? [['one', 'One device'], ...MANY] : MANY;
  return (
    <>
      <Choice label="For whom" options={options} value={kind} onPick={(next) => set(next, '')} />
      {kind !== 'all' && (
        <TextField
          label={LABELS[kind][0]}
          value={text}
          onText={(next) => set(kind, next)}
          mistake={TARGET_FIELDS.map(mistakeAt).find((mistake) => mistake !== undefined)}
          input={{ required: true, placeholder: LABELS[kind][1], spellcheck: false, autocomplete: 'off' }}
        />
      )}
    </>
  );
}
