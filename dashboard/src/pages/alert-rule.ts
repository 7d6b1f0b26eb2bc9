/** Makes a rule of alerts out of what a person wrote. */

/** What the fields of the form hold. */
export type Texts = Record<string, string>;

/** Seconds in the form, milliseconds in the API. */
const ms = (seconds: string | undefined) => Number(seconds) * 1_000;

/** What the API takes. */
export function ruleFrom(texts: Texts): Record<string, unknown> {
  const { kind = 'field', stream, field, side = 'above', limit, clear, severity } = texts;
  const common = {
    kind,
    severity,
    ...(texts.for && { forMs: ms(texts.for) }),
    ...(texts.clearFor && { clearForMs: ms(texts.clearFor) }),
  };
  if (kind === 'field')
    return { ...common, stream, field, [side]: Number(limit), ...(clear && { clear: Number(clear) }) };
  if (kind === 'quarantine')
    return { ...common, forMs: 0, readings: Number(texts.readings), windowMs: ms(texts.window) };
  if (kind === 'lag') return { ...common, lagMs: ms(texts.lag) };
  return { ...common, ...(kind === 'no-reading' && stream && { stream }) };
}
