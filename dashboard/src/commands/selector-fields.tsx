/** Whom an order for many is for: every device, those with tags, or those that are named. */
import { useState } from 'preact/hooks';
import { tagsFromText } from '../devices/tag-text.ts';
import type { Selector } from '../hub/commands.ts';
import { TextField } from '../kit/fields.tsx';
import { Choice } from '../kit/parts.tsx';

type Kind = 'tags' | 'devices' | 'all' | 'one';

const MANY: [Kind, string][] = [
  ['tags', 'With tags'],
  ['devices', 'These devices'],
  ['all', 'Every device'],
];

export interface Target {
  kind: Kind;
  text: string;
  set(kind: Kind, text: string): void;
}

export function useTarget(kind: Kind = 'tags'): Target {
  const [target, setTarget] = useState({ kind, text: '' });
  return { ...target, set: (next, text) => setTarget({ kind: next, text }) };
}

/** What the API takes: `device` for one, `selector` for many. */
export function targetOf({ kind, text }: Target): { device: string } | { selector: Selector } {
  if (kind === 'one') return { device: text.trim() };
  if (kind === 'all') return { selector: { tags: {} } };
  if (kind === 'tags') return { selector: { tags: tagsFromText(text) } };
  return { selector: { devices: text.split(/[\s,]+/).filter(Boolean) } };
}

interface TargetFieldsProps {
  target: Target;
  /** One device is a choice too. */
  single?: boolean;
  mistake: string | undefined;
}

const LABELS: Record<Exclude<Kind, 'all'>, [label: string, placeholder: string]> = {
  one: ['Device', 'meter-7'],
  tags: ['Tags', 'floor=1, building=north'],
  devices: ['Devices', 'meter-7, meter-8'],
};

/** A choice and a field. */
export function TargetFields({ target, single = false, mistake }: TargetFieldsProps) {
  const { kind, text, set } = target;
  const options: [Kind, string][] = single ? [['one', 'One device'], ...MANY] : MANY;
  return (
    <>
      <Choice label="For whom" options={options} value={kind} onPick={(next) => set(next, '')} />
      {kind !== 'all' && (
        <TextField
          label={LABELS[kind][0]}
          value={text}
          onText={(next) => set(kind, next)}
          mistake={mistake}
          input={{ required: true, placeholder: LABELS[kind][1], spellcheck: false, autocomplete: 'off' }}
        />
      )}
    </>
  );
}
