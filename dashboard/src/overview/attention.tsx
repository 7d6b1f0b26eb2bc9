/** What needs somebody first, the gravest at the top; or that nothing does. */
import { hasRoute } from '../hub/catalog.ts';
import { get } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { type Concern, concernsOf, type HubStatus } from '../hub/status.ts';
import { Icon } from '../kit/icons.tsx';
import { type Alert, alertConcerns } from '../pages/alert-words.ts';

const ASK_MS = 5_000;
/** More would not be read. */
const MAX_SHOWN = 6;

/** From the status, and from alerts where the hub has them. */
export function Attention({ status }: { status: HubStatus }) {
  const alerts = useFiring();
  const concerns = [...alerts, ...concernsOf(status)].sort((a, b) => Number(b.grave) - Number(a.grave));
  if (concerns.length === 0) {
    return (
      <section class="attention calm" aria-label="What needs attention">
        <Icon name="check" size={22} />
        <strong>All is well</strong>
        <span class="soft">Every sink is up to date, no device is silent, nothing was refused.</span>
      </section>
    );
  }
  return (
    <section class="attention" aria-label="What needs attention">
      <ul>
        {concerns.slice(0, MAX_SHOWN).map((concern) => (
          <Line key={concern.title + concern.text} concern={concern} />
        ))}
      </ul>
      {concerns.length > MAX_SHOWN && <small>and {concerns.length - MAX_SHOWN} more</small>}
    </section>
  );
}

function Line({ concern: { grave, title, text, at } }: { concern: Concern }) {
  return (
    <li class={grave ? 'grave' : ''}>
      <Icon name="warning" />
      <span>
        <strong>{at ? <a href={at}>{title}</a> : title}</strong> <span class="soft">{text}</span>
      </span>
    </li>
  );
}

function useFiring(): Concern[] {
  const known = hasRoute('GET /v1/alerts');
  const load = async (signal: AbortSignal) => {
    return known ? (await get<{ alerts: Alert[] }>('/v1/alerts?state=firing&limit=1000', { signal })).alerts : [];
  };
  const { data = [] } = useResource(`alerts ${known}`, load, known ? ASK_MS : undefined);
  return alertConcerns(data);
}
