/** A reading that a stream takes, for programs to start from. */
import type { Field, JsonSchema, Stream } from '../hub/catalog.ts';

/** Fields beside those that the schema asks for. */
const SOME = 2;
/** What looks right for a unit. */
const USUAL: Record<string, number> = { Cel: 21.5, hPa: 1_013, V: 230, Hz: 50 };
const ANY = 48;

/** The fields that must be there, or the first numbers; without a stream what the built-in one takes. */
export function sampleOf(stream: Stream | undefined): { stream: string; reading: Record<string, unknown> } {
  if (!stream) return { stream: 'environment', reading: { temperature: 21.5, humidity: ANY } };
  const { required = [], properties = {} } = stream.schema;
  const numbers = stream.fields.filter(({ type }) => type === 'number' || type === 'integer').slice(0, SOME);
  const asked = stream.fields.filter(({ name }) => required.includes(name));
  const fields = new Set([
    ...asked,
    ...(asked.length > 0 ? [] : numbers.length > 0 ? numbers : stream.fields.slice(0, 1)),
  ]);
  return {
    stream: stream.name,
    reading: Object.fromEntries(
      [...fields].map((field) => [field.name, exampleOf(field, properties[field.name] ?? {})]),
    ),
  };
}

function exampleOf({ type, unit }: Field, schema: JsonSchema): unknown {
  const told = schema.examples?.[0] ?? schema.default ?? schema.enum?.[0];
  if (told !== undefined) return told;
  if (type === 'boolean') return true;
  if (type === 'string') return 'text'.slice(0, schema.maxLength);
  const usual = USUAL[unit ?? ''] ?? ANY;
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  const within = usual >= minimum && usual <= maximum ? usual : Number.isFinite(minimum) ? minimum : maximum;
  if (type !== 'integer') return within;
  return within === maximum ? Math.floor(within) : Math.ceil(within);
}
