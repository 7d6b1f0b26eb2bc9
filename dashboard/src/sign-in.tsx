/** The door: an operator token opens a session; where to find one is said beside it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { signedOutBecause, signIn } from './hub/session.ts';
import { Icon } from './kit/icons.tsx';
import { Logo } from './logo.tsx';

/** A form with one field. */
export function SignIn() {
  const [token, setToken] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setWrong('');
    await signIn({ token: token.trim() }).catch((error: Error) => setWrong(error.message));
    setBusy(false);
  };
  const reason = wrong || signedOutBecause.value;
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <Logo />
        <h1>Sign in to Telemetry Hub</h1>
        {reason && (
          <p class="notice bad" role="alert">
            <Icon name="warning" />
            <span>{reason}</span>
          </p>
        )}
        <label>
          <span>Operator token</span>
          <input
            ref={field}
            type="password"
            name="token"
            autocomplete="current-password"
            spellcheck={false}
            placeholder="tho_…"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={busy} aria-busy={busy}>
          Sign in
        </button>
        <p class="hint">
          On the hub’s machine, <code>hub dashboard</code> prints a link that signs you in once; the token of the first
          admin is in <code>admin.token</code> of the data folder.
        </p>
      </form>
    </main>
  );
}
