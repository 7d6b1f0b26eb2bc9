/** Dialogs: the browser's own modal, the end of a form in one, and the question before something that cannot be undone. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from './icons.tsx';
import { Trouble } from './parts.tsx';
import type { Form } from './use-form.ts';

interface DialogProps {
  title: string;
  onClose(): void;
  children: ComponentChildren;
  wide?: boolean;
}

/** Modal; Escape, the cross and a press beside it close it, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children, wide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  const onPress = (event: MouseEvent) => event.target === element.current && onClose();
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard closes it by Escape
    <dialog ref={element} class={wide ? 'wide' : ''} aria-labelledby={id} onClose={onClose} onClick={onPress}>
      <div class="dialog-inside">
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="bare" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
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
