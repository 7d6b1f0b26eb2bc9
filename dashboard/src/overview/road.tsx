/** How many devices are there, how much they send, and how it goes on its road from them to the store. */
import { Sparkline } from '../charts/sparkline.tsx';
import { type HubStatus, type SinkStatus, sinkWords, takesReadings } from '../hub/status.ts';
import { bytes, count, measured, shortCount, things } from '../kit/format.ts';
import { Badge, Card } from '../kit/parts.tsx';
import { linkTo } from '../router.ts';

/** Readings per second at a moment. */
export interface Beat {
  ts: number;
  value: number;
}

const STATES = [
  ['online', 'good'],
  ['silent', 'warn'],
  ['offline', 'calm'],
] as const;

/** Online, silent and offline, as a bar and in numbers that lead to them. */
export function Presence({ devices }: { devices: HubStatus['devices'] }) {
  const share = (number: number) => ({ width: `${(number / Math.max(1, devices.known)) * 100}%` });
  return (
    <Card title="Devices" actions={<span class="soft">{things(devices.known, 'device')}</span>}>
      <div class="presence">
        {STATES.map(([state, tone]) => (
          <a key={state} href={linkTo(['devices'], { presence: state })}>
            <strong>{shortCount(devices[state])}</strong>
            <Badge tone={tone}>{state}</Badge>
          </a>
        ))}
      </div>
      <div class="bar" aria-hidden="true">
        {STATES.map(([state, tone]) => (
          <span key={state} class={tone} style={share(devices[state])} />
        ))}
      </div>
    </Card>
  );
}

/** Readings per second, now and in the last minutes. */
export function Throughput({ status, beats, spanMs }: { status: HubStatus; beats: Beat[]; spanMs: number }) {
  const { accepted, perSecond } = status.readings;
  return (
    <Card title="Readings" actions={<span class="soft">{count(accepted)} since the start</span>}>
      <div class="throughput">
        <p>
          <strong>{measured(Math.round(perSecond * 10) / 10)}</strong> <span class="soft">each second</span>
        </p>
        <Sparkline
          points={beats}
          to={beats.at(-1)?.ts ?? 0}
          spanMs={spanMs}
          label="Readings each second in the last minutes"
          filled
        />
      </div>
    </Card>
  );
}

/** Devices, journal, sinks: each with its state in plain words. */
export function Road({ status }: { status: HubStatus }) {
  const { journal, sinks, devices, readings } = status;
  return (
    <section class="road" aria-label="The road of readings">
      <Stop title="Gateway" state={things(devices.online + devices.silent, 'connection')} tone="good">
        {readings.rejected > 0 ? `${things(readings.rejected, 'reading')} refused since the start` : 'nothing refused'}
      </Stop>
      <Stop title="Journal" {...journalState(journal)}>
        {bytes(journal.bytes)} on disk
        {journal.space && `, ${Math.round(journal.space.usedPercent)} % of its room`}
      </Stop>
      <div class="sinks">
        {sinks.map((sink) => (
          <Stop key={sink.name} title={sink.name} state={sinkWords(sink)} tone={sinkTone(sink)}>
            {count(sink.written)} written
            {sink.refused > 0 && `, ${count(sink.refused)} refused`}
          </Stop>
        ))}
      </div>
    </section>
  );
}

type Tone = 'good' | 'warn' | 'bad';

function journalState({ failing, space }: HubStatus['journal']): { state: string; tone: Tone } {
  if (failing) return { state: 'cannot be written', tone: 'bad' };
  if (space && space.alarm > 0) return { state: `${space.alarm} % alarm`, tone: 'warn' };
  return { state: 'durable', tone: 'good' };
}

const LAGGING_MS = 10_000;

function sinkTone(sink: SinkStatus): Tone {
  if (!takesReadings(sink)) return 'bad';
  return sink.lagMs > LAGGING_MS ? 'warn' : 'good';
}

interface StopProps {
  title: string;
  state: string;
  tone: Tone;
  children: preact.ComponentChildren;
}

function Stop({ title, state, tone, children }: StopProps) {
  return (
    <div class="stop">
      <h2>{title}</h2>
      <Badge tone={tone}>{state}</Badge>
      <small>{children}</small>
    </div>
  );
}
