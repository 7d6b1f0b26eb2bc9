/** A form that is sent to the hub: busy while it is under way, and what the hub refuses stands at the field it is about. */
import { useState } from 'preact/hooks';
import { HubRefusal } from '../hub/client.http.ts';

export interface Form {
  busy: boolean;
  /** What is wrong as a whole. */
  error: Error | undefined;
  /** What is wrong with the member at this JSON pointer. */
  mistakeAt(pointer: string): string | undefined;
  submit(event: Event): void;
}

/** `send` rejects when the hub refuses; the form stays as it is then. */
export function useForm(send: () => Promise<unknown>): Form {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const mistakes = error instanceof HubRefusal ? error.mistakes : [];
  const run = async () => {
    setBusy(true);
    setError(undefined);
    await send().catch(setError);
    setBusy(false);
  };
  return {
    busy,
    error,
    mistakeAt: (pointer) => mistakes.find(({ path }) => path === pointer)?.message,
    submit(event) {
      event.preventDefault();
      if (!busy) void run();
    },
  };
}
