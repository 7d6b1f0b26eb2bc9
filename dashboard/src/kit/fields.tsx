/** Fields of forms: a label, an input, a hint, and what is wrong with it, all tied together for screen readers. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface Common {
  label: string;
  hint?: string | undefined;
  mistake?: string | undefined;
}

type Described = { id: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean };

function useDescription({ hint, mistake }: Common): Described {
  const id = useId();
  const about = [hint && `${id}-hint`, mistake && `${id}-mistake`].filter(Boolean).join(' ');
  return { id, ...(about && { 'aria-describedby': about }), ...(mistake && { 'aria-invalid': true }) };
}

function Around({
  id,
  label,
  hint,
  mistake,
  children,
  check,
}: Common & { id: string; check?: boolean; children: ComponentChildren }) {
  const name = <label for={id}>{label}</label>;
  return (
    <div class={check ? 'field check' : 'field'}>
      {check ? [children, name] : [name, children]}
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {mistake && (
        <span class="mistake" id={`${id}-mistake`}>
          {mistake}
        </span>
      )}
    </div>
  );
}

/** What else an input may be told. */
interface InputAttributes {
  required?: boolean;
  maxLength?: number;
  autocomplete?: 'off';
  spellcheck?: false;
  placeholder?: string;
  inputMode?: 'decimal' | 'numeric';
}

interface TextProps extends Common {
  value: string;
  onText(value: string): void;
  unit?: string | undefined;
  input?: InputAttributes;
}

/** One line of text or a number; `input` goes to the element as it is. */
export function TextField({ value, onText, unit, input = {}, ...common }: TextProps) {
  const described = useDescription(common);
  return (
    <Around id={described.id} {...common}>
      <span class="with-unit">
        <input {...input} {...described} value={value} onInput={(event) => onText(event.currentTarget.value)} />
        {unit && <span class="soft">{unit}</span>}
      </span>
    </Around>
  );
}

/** Many lines. */
export function TextArea({ value, onText, ...common }: Common & { value: string; onText(value: string): void }) {
  const described = useDescription(common);
  return (
    <Around id={described.id} {...common}>
      <textarea
        {...described}
        spellcheck={false}
        value={value}
        onInput={(event) => onText(event.currentTarget.value)}
      />
    </Around>
  );
}

interface PickProps extends Common {
  value: string;
  options: [value: string, title: string][];
  onPick(value: string): void;
}

/** One of a list. */
export function PickField({ value, options, onPick, ...common }: PickProps) {
  const described = useDescription(common);
  return (
    <Around id={described.id} {...common}>
      <select {...described} value={value} onChange={(event) => onPick(event.currentTarget.value)}>
        {options.map(([name, title]) => (
          <option key={name} value={name}>
            {title}
          </option>
        ))}
      </select>
    </Around>
  );
}

/** Yes or no. */
export function CheckField({ value, onCheck, ...common }: Common & { value: boolean; onCheck(value: boolean): void }) {
  const described = useDescription(common);
  return (
    <Around id={described.id} check {...common}>
      <input
        {...described}
        type="checkbox"
        checked={value}
        onChange={(event) => onCheck(event.currentTarget.checked)}
      />
    </Around>
  );
}

/** The search of a page; `/` goes to it. */
export function SearchField({ label, value, onText }: { label: string; value: string; onText(value: string): void }) {
  return (
    <span class="search">
      <svg class="icon" viewBox="0 0 24 24" width="16" height="16" aria-hidden="true" focusable="false">
        <path d="M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5" />
      </svg>
      <input
        type="search"
        aria-label={label}
        placeholder={`${label}  ( / )`}
        autocomplete="off"
        spellcheck={false}
        value={value}
        onInput={(event) => onText(event.currentTarget.value)}
      />
    </span>
  );
}
