/** Small parts that every page is made of: badges, cards, notices, buttons that wait, copying. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Resource } from '../hub/resource.ts';
import { Icon, type IconName } from './icons.tsx';
import { complain, say } from './toast.tsx';

/** What a state means for a person; each has a colour and a shape. */
export type Tone = 'good' | 'warn' | 'bad' | 'calm' | 'busy';

/** A state in a word, with a shape beside its colour. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

interface CardProps {
  title?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}

/** A part of a page with a heading of its own. */
export function Card({ title, actions, children, class: more = '' }: CardProps) {
  return (
    <section class={`card ${more}`}>
      {(title || actions) && (
        <header>
          {title && <h2>{title}</h2>}
          {actions && <div class="actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

/** What is shown where there is nothing: what would be here, and how to get it. */
export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={32} />
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  );
}

/** An error in the page, with a way to try again. */
export function Trouble({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <Icon name="warning" />
      <span>{error.message}</span>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** While something is loaded for the first time. */
export function Waiting() {
  return (
    <div class="waiting" role="status">
      <span class="visually-hidden">Loading…</span>
    </div>
  );
}

interface LoadedProps<T> {
  resource: Pick<Resource<T>, 'data' | 'error' | 'reload'>;
  children(data: T): ComponentChildren;
}

/** What the hub said, once it said something: nobody is told that there is nothing while nobody knows. */
export function Loaded<T>({ resource: { data, error, reload }, children }: LoadedProps<T>) {
  return (
    <>
      {error && <Trouble error={error} onRetry={reload} />}
      {data === undefined ? !error && <Waiting /> : children(data)}
    </>
  );
}

interface ActProps {
  act(): Promise<unknown>;
  children: ComponentChildren;
  kind?: 'primary' | 'danger' | 'bare' | '';
  label?: string;
  disabled?: boolean;
}

/** A button that does something at the hub: it waits for the end, and says what went wrong. */
export function Act({ act, children, kind = '', label, disabled = false }: ActProps) {
  const [busy, setBusy] = useState(false);
  const press = async () => {
    setBusy(true);
    await act().catch(complain);
    setBusy(false);
  };
  const named = label === undefined ? {} : { 'aria-label': label, title: label };
  return (
    <button type="button" class={kind} disabled={busy || disabled} aria-busy={busy} onClick={press} {...named}>
      {children}
    </button>
  );
}

/** A text to take away, with a button that copies it. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => say('Copied.'),
      () => say('The browser does not allow copying here; select the text instead.', { bad: true }),
    );
  return (
    <div class="copyable">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" aria-label={`Copy ${label}`} title={`Copy ${label}`} onClick={copy}>
        <Icon name="copy" />
      </button>
    </div>
  );
}

/** Names and values, one pair a line. */
export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Under the table of a card: what went wrong last, by the name of whom it went wrong for. */
export function Said({ lines }: { lines: (readonly [name: string, text: string | undefined])[] }) {
  const said = lines.filter(([, text]) => text);
  if (said.length === 0) return null;
  return (
    <div class="said">
      {said.map(([name, text]) => (
        <span key={name}>
          <strong>{name}</strong>: {text}
        </span>
      ))}
    </div>
  );
}

/** Choices beside each other, one of them taken. */
export function Choice<T extends string>(props: {
  label: string;
  options: [T, string][];
  value: T;
  onPick(value: T): void;
}) {
  const { label, options, value, onPick } = props;
  return (
    <fieldset class="choice">
      <legend class="visually-hidden">{label}</legend>
      {options.map(([name, title]) => (
        <button key={name} type="button" aria-pressed={name === value} onClick={() => onPick(name)}>
          {title}
        </button>
      ))}
    </fieldset>
  );
}
