/** Short news at the edge of the page, spoken by screen readers, gone after a while. */
import { signal } from '@preact/signals';
import { Icon } from './icons.tsx';

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 6_000;
/** More would hide the page; the oldest goes. */
const MAX_SHOWN = 4;
const toasts = signal<Toast[]>([]);
let lastId = 0;

/** Says what happened, or what went wrong. */
export function say(text: string, { bad = false } = {}): void {
  lastId += 1;
  const toast = { id: lastId, text, bad };
  toasts.value = [...toasts.value, toast].slice(-MAX_SHOWN);
  setTimeout(() => dismiss(toast.id), SHOWN_MS);
}

/** Says why something failed. */
export const complain = (error: unknown) => say(error instanceof Error ? error.message : String(error), { bad: true });

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/** Where they appear. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, bad }) => (
        <div key={id} class={bad ? 'toast bad' : 'toast'}>
          <Icon name={bad ? 'warning' : 'check'} />
          <span>{text}</span>
          <button type="button" class="bare" aria-label="Dismiss" onClick={() => dismiss(id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </div>
  );
}
