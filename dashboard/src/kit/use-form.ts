/** A form that is sent to the hub: busy while it is under way; a mistake stands at its field, and over the form only when no field is to blame. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { placed } from './form-values.ts';

export interface Form {
  busy: boolean;
  /** What is wrong as a whole: what no field tells. */
  error: Error | undefined;
  /** What is wrong with the member at this JSON pointer, which is one of the fields. */
  mistakeAt(pointer: string): string | undefined;
  submit(event: Event): void;
}

/**
 * `send` reads the fields (`readAll`) and asks the hub; when it rejects, the form stays as it is. `fields`: JSON pointers of
 * the members for which there is a field that shows `mistakeAt`.
 */
export function useForm(fields: readonly string[], send: () => Promise<unknown>): Form {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const { at, rest } = placed(error, fields);
  const element = useRef<Element>(undefined);
  // Who cannot see where it is red is taken there.
  useEffect(() => element.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus(), [error]);
  const run = async () => {
    setBusy(true);
    setError(undefined);
    await send().catch(setError);
    setBusy(false);
  };
  return {
    busy,
    error: rest,
    mistakeAt: (pointer) => at.get(pointer),
    submit(event) {
      event.preventDefault();
      element.current = event.currentTarget as Element;
      if (!busy) void run();
    },
  };
}
