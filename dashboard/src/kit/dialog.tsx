/** Dialogs: the browser's own modal, the end of a form in one, what is shown only once, and the question before something final. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from './icons.tsx';
import { Copyable, Trouble } from './parts.tsx';
import type { Form } from './use-form.ts';

interface DialogProps {
  title: string;
  /** Without it nothing closes it but what is inside. */
  onClose?: (() => void) | undefined;
  children: ComponentChildren;
  wide?: boolean;
}

/** Modal; Escape, the cross and a press beside it close it unless it must stay, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children, wide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  const onPress = (event: MouseEvent) => event.target === element.current && onClose?.();
  // A browser lets Escape pass the second time whatever a page says.
  const onClosed = onClose ?? (() => element.current?.showModal());
  const onCancel = (event: Event) => onClose === undefined && event.preventDefault();
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard closes it by Escape
    <dialog
      ref={element}
      class={wide ? 'wide' : ''}
      aria-labelledby={id}
      onCancel={onCancel}
      onClose={onClosed}
      onClick={onPress}
    >
      <div class="dialog-inside">
        <header>
          <h2 id={id}>{title}</h2>
          {onClose && (
            <button type="button" class="bare" aria-label="Close" onClick={onClose}>
              <Icon name="close" />
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** The end of a form: what is wrong with it as a whole, and the way out beside the way on; `yes` is the word on the button that sends. */
export function FormEnd({
  form,
  yes,
  onCancel,
}: {
  form: Pick<Form, 'error' | 'busy'>;
  yes: string;
  onCancel(): void;
}) {
  return (
    <>
      {form.error && <Trouble error={form.error} />}
      <footer>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" class="primary" disabled={form.busy}>
          {yes}
        </button>
      </footer>
    </>
  );
}

interface Keepsake {
  title: string;
  token: string;
  /** What else is said of it. */
  more?: ComponentChildren;
  wide?: boolean;
  /** Another way on than staying. */
  goOn?: { title: string; address: string };
}

const keepsake = signal<Keepsake | undefined>(undefined);

/** Shows a token that nobody can show again, until the person says that it is kept. */
export function showUntilKept(next: Keepsake): void {
  keepsake.value = next;
}

/** Where tokens appear: outside of all pages, so that neither going elsewhere nor the end of the session takes one away. */
export function Keepsakes() {
  const shown = keepsake.value;
  useEffect(() => {
    if (!shown) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [shown]);
  if (!shown) return null;
  const { title, token, more, wide = false, goOn } = shown;
  const close = () => {
    keepsake.value = undefined;
  };
  return (
    <Dialog title={title} wide={wide}>
      <p>
        <strong>This token is shown only now</strong>: the hub keeps no copy of it.
      </p>
      <Copyable text={token} label="the token" />
      {more}
      <footer>
        {goOn && (
          <a class="button" href={goOn.address} onClick={close}>
            {goOn.title}
          </a>
        )}
        <button type="button" class="primary" onClick={close}>
          I have kept the token
        </button>
      </footer>
    </Dialog>
  );
}

interface Question {
  title: string;
  text: string;
  /** The word on the button that does it. */
  yes: string;
  danger?: boolean;
}

const asked = signal<(Question & { answer(yes: boolean): void }) | undefined>(undefined);

/** Asks; true when the person said yes. */
export function confirmed(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      answer(yes) {
        asked.value = undefined;
        resolve(yes);
      },
    };
  });
}

/** Where questions appear. */
export function Questions() {
  useEffect(() => {
    // Who goes elsewhere has not said yes.
    const leave = () => asked.value?.answer(false);
    addEventListener('hashchange', leave);
    return () => removeEventListener('hashchange', leave);
  }, []);
  const question = asked.value;
  if (!question) return null;
  const { title, text, yes, danger = false, answer } = question;
  return (
    <Dialog title={title} onClose={() => answer(false)}>
      <p class="pre-line">{text}</p>
      <footer>
        <button type="button" onClick={() => answer(false)}>
          Cancel
        </button>
        <button type="button" class={danger ? 'danger' : 'primary'} onClick={() => answer(true)}>
          {yes}
        </button>
      </footer>
    </Dialog>
  );
}
