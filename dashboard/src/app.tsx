/** The page as a whole: who is signed in decides between the sign-in and the rooms behind it. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { loadCatalog } from './hub/catalog.ts';
import { HubAway } from './hub/client.http.ts';
import { loadGateway } from './hub/gateway.ts';
import { join, leave } from './hub/live.ts';
import { openSocket } from './hub/live.ws.ts';
import { findSession, isStillSignedIn, session, signedOutBecause } from './hub/session.ts';
import { Keepsakes, Questions } from './kit/dialog.tsx';
import { Trouble, Waiting } from './kit/parts.tsx';
import './kit/theme.ts';
import { Toasts } from './kit/toast.tsx';
import { goTo, place } from './router.ts';
import { Shell } from './shell.tsx';
import { SignIn } from './sign-in.tsx';

const RETRY_MS = 2_000;
const trouble = signal<Error | undefined>(undefined);

/** The code of a one-time sign-in link, `#/sign-in?link=…`; it leaves the address at once, so nobody bookmarks it. */
function takeLink(): string | undefined {
  const link = place.value.query.get('link') ?? undefined;
  if (link !== undefined) goTo('#/', { replace: true });
  return link;
}

async function begin(link: string | undefined): Promise<void> {
  try {
    await findSession(link);
    trouble.value = undefined;
  } catch (error) {
    if (error instanceof HubAway) {
      trouble.value = error;
      setTimeout(() => begin(link), RETRY_MS);
      return;
    }
    signedOutBecause.value = (error as Error).message;
    await begin(undefined);
  }
}

/** The whole page. */
export function App() {
  useEffect(() => {
    void begin(takeLink());
  }, []);
  return (
    <>
      {session.value === undefined ? <Start /> : session.value === null ? <SignIn /> : <Inside />}
      <Keepsakes />
      <Questions />
      <Toasts />
    </>
  );
}

function Start() {
  return <main class="start">{trouble.value ? <Trouble error={trouble.value} /> : <Waiting />}</main>;
}

/** Everything behind the sign-in; the connection for live news lasts as long as it is shown. */
function Inside() {
  const [error, setError] = useState<Error>();
  const [ready, setReady] = useState(false);
  const load = () => {
    setError(undefined);
    Promise.all([loadCatalog(), loadGateway()]).then(
      () => setReady(true),
      (reason: Error) => setError(reason),
    );
  };
  useEffect(() => {
    load();
    join(openSocket, isStillSignedIn);
    return leave;
  }, []);
  if (ready) return <Shell />;
  return <main class="start">{error ? <Trouble error={error} onRetry={load} /> : <Waiting />}</main>;
}
