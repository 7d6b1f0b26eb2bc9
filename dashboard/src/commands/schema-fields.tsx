/** The fields of a command's parameters, whatever its schema says. */
import { CheckField, PickField, TextArea, TextField } from '../kit/fields.tsx';
import type { FormField, Values } from './form-model.ts';

interface SchemaFieldsProps {
  fields: FormField[];
  values: Values;
  onChange(values: Values): void;
  mistakeOf(name: string): string | undefined;
}

/** One input for each. */
export function SchemaFields({ fields, values, onChange, mistakeOf }: SchemaFieldsProps) {
  if (fields.length === 0) return <p class="soft">It takes no parameters.</p>;
  return fields.map((field) => (
    <SchemaField
      key={field.name}
      field={field}
      value={values[field.name] ?? ''}
      mistake={mistakeOf(field.name)}
      onValue={(value) => onChange({ ...values, [field.name]: value })}
    />
  ));
}

interface SchemaFieldProps {
  field: FormField;
  value: string | boolean;
  mistake: string | undefined;
  onValue(value: string | boolean): void;
}

function SchemaField({ field, value, mistake, onValue }: SchemaFieldProps) {
  const { title, kind, required, hint, options, unit } = field;
  const common = { label: required ? title : `${title} (optional)`, hint, mistake };
  if (kind === 'boolean') return <CheckField {...common} value={value === true} onCheck={onValue} />;
  if (kind === 'json') return <TextArea {...common} value={String(value)} onText={onValue} />;
  if (kind === 'choice') {
    const none: [string, string][] = required ? [] : [['', '–']];
    const named = options.map((option): [string, string] => [option, option]);
    return <PickField {...common} value={String(value)} options={[...none, ...named]} onPick={onValue} />;
  }
  const input = kind === 'number' ? ({ inputMode: 'decimal' } as const) : {};
  return (
    <TextField
      {...common}
      value={String(value)}
      onText={onValue}
      unit={unit}
      input={{ ...input, autocomplete: 'off' }}
    />
  );
}
