/** Paths into a payload, such as `$.ENERGY.Power`, `$['no motion']` or `$.values[0]`; `$` is the payload itself. Pure. */

/** Undefined when there is nothing at that place. Follows own properties only. */
export type JsonPath = (payload: unknown) => unknown;

const STEP = /\.([^.[\]'"\s{}]+)|\['([^']*)'\]|\[(\d{1,6})\]/y;

/** Undefined when the text is no path. */
export function compilePath(text: string): JsonPath | undefined {
  if (!text.startsWith('$')) return undefined;
  const steps: string[] = [];
  STEP.lastIndex = 1;
  while (STEP.lastIndex < text.length) {
    const [, name, quoted, index] = STEP.exec(text) ?? [];
    const step = name ?? quoted ?? index;
    if (step === undefined) return undefined;
    steps.push(step);
  }
  return (payload) => steps.reduce(child, payload);
}

function child(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}
