/** Makes a small example of what a JSON Schema asks for; what a pattern or a format asks for it cannot guess. */
import type { Schema } from './route.ts';

/** What a number without an example of its own is, when its bounds allow it. */
const TYPICAL = 20;

/** An example given in the schema is preferred. The caller checks whether what comes fits. */
export function exampleOf(schema: Schema): unknown {
  const {
    examples,
    enum: values,
    properties,
    items,
  } = schema as {
    examples?: unknown[];
    enum?: unknown[];
    properties?: Record<string, Schema>;
    items?: Schema;
  };
  if (examples?.length) return examples[0];
  if ('default' in schema) return schema.default;
  if ('const' in schema) return schema.const;
  if (values?.length) return values[0];
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(Object.entries(properties ?? {}).map(([name, each]) => [name, exampleOf(each)]));
    case 'array':
      return items ? [exampleOf(items)] : [];
    case 'boolean':
      return true;
    case 'number':
    case 'integer':
      return numberWithin(schema as Record<string, number>);
    default:
      return 'text'.padEnd(Number(schema.minLength ?? 0), 't').slice(0, Number(schema.maxLength ?? 64));
  }
}

function numberWithin({ minimum, maximum, multipleOf = 0 }: Record<string, number>): number {
  const within = Math.max(minimum ?? -Infinity, Math.min(maximum ?? Infinity, TYPICAL));
  return multipleOf > 0 ? Math.ceil(within / multipleOf) * multipleOf : within;
}
