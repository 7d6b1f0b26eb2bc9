/** A form made from the JSON Schema of a command's parameters: its fields, and the parameters that the person filled in. */
import type { JsonSchema } from '../hub/catalog.ts';
import { numberFrom } from '../kit/form-values.ts';
import { unitSign } from '../kit/format.ts';

export interface FormField {
  name: string;
  title: string;
  kind: 'number' | 'boolean' | 'choice' | 'text' | 'json';
  required: boolean;
  unit: string;
  hint: string;
  options: string[];
  schema: JsonSchema;
}

/** What the person wrote, by field; everything is text but yes and no. */
export type Values = Record<string, string | boolean>;

/** The fields of the parameters, in the order of the schema. */
export function formFieldsOf(schema: JsonSchema | undefined): FormField[] {
  return Object.entries(schema?.properties ?? {}).map(([name, field]) => ({
    name,
    title: field.title ?? name,
    kind: kindOf(field),
    required: schema?.required?.includes(name) ?? false,
    unit: unitSign(field.unit),
    hint: hintOf(field),
    options: (field.enum ?? []).map(String),
    schema: field,
  }));
}

function kindOf({ enum: options, type }: JsonSchema): FormField['kind'] {
  if (options) return 'choice';
  if (type === 'number' || type === 'integer') return 'number';
  if (type === 'boolean') return 'boolean';
  return type === 'string' ? 'text' : 'json';
}

function hintOf(field: JsonSchema): string {
  const { minimum, maximum, description, type } = field;
  const whole = type === 'integer' ? 'a whole number' : '';
  const bounds =
    minimum !== undefined && maximum !== undefined
      ? `${minimum} to ${maximum}`
      : minimum !== undefined
        ? `at least ${minimum}`
        : maximum !== undefined
          ? `at most ${maximum}`
          : '';
  const limits = [whole, bounds].filter(Boolean).join(', ');
  const json = kindOf(field) === 'json' ? 'JSON' : '';
  return [description, limits || json].filter(Boolean).join('; ');
}

/** How the form begins: defaults, and an example where only JSON will do. */
export function initialValues(fields: FormField[]): Values {
  return Object.fromEntries(fields.map((field) => [field.name, initialOf(field)]));
}

function initialOf({ kind, required, options, schema }: FormField): string | boolean {
  const { default: fallback, examples = [] } = schema;
  if (kind === 'boolean') return fallback === true;
  if (kind === 'json') return (fallback ?? examples[0]) ? JSON.stringify(fallback ?? examples[0], null, 2) : '';
  if (kind === 'choice' && required && fallback === undefined) return options[0] ?? '';
  return fallback === undefined ? '' : String(fallback);
}

/** The parameters, or what is wrong with them by field. What was left empty and is not required is left out. */
export function paramsOf(
  fields: FormField[],
  values: Values,
): { params: Record<string, unknown>; mistakes: Record<string, string> } {
  const params: Record<string, unknown> = {};
  const mistakes: Record<string, string> = {};
  for (const field of fields) {
    const value = values[field.name] ?? '';
    if (value === '') {
      if (field.required) mistakes[field.name] = 'is needed';
      continue;
    }
    const read = readValue(field, value);
    if ('mistake' in read) mistakes[field.name] = read.mistake;
    else params[field.name] = read.value;
  }
  return { params, mistakes };
}

type Read = { value: unknown } | { mistake: string };

function readValue({ kind, schema, options }: FormField, written: string | boolean): Read {
  if (typeof written === 'boolean') return { value: written };
  if (kind === 'number') return readNumber(schema, written);
  // The schema's own value: an enumeration may hold numbers.
  if (kind === 'choice') return { value: schema.enum?.[options.indexOf(written)] ?? written };
  if (kind === 'text') return { value: written };
  try {
    return { value: JSON.parse(written) };
  } catch {
    return { mistake: 'is no JSON' };
  }
}

function readNumber({ type, minimum, maximum, unit }: JsonSchema, written: string): Read {
  try {
    const bounds = { least: minimum, most: maximum, whole: type === 'integer', unit: unitSign(unit) };
    return { value: numberFrom(written, bounds) };
  } catch (error) {
    return { mistake: (error as Error).message };
  }
}
