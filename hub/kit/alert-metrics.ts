/** The metrics of alerts and of the channels that tell of them. */
import { Counter, Gauge, type Registry } from 'prom-client';

export interface AlertSources {
  /** Alerts by their state, now. */
  counts(): Readonly<Record<string, number>>;
  /** Each channel with its notices; those that were delivered and given up since the start. */
  channels(): readonly { name: string; waiting: number; delivered: number; dropped: number }[];
}

/** Read when somebody asks. */
export function addAlertMetrics(registry: Registry, { counts, channels }: AlertSources) {
  new Gauge({
    name: 'hub_alerts',
    help: 'Alerts by state: pending, firing or resolved.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(counts())) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'hub_alert_notices_waiting',
    help: 'Notices of alerts that a channel has not taken yet.',
    labelNames: ['channel'],
    registers: [registry],
    collect() {
      for (const { name, waiting } of channels()) this.set({ channel: name }, waiting);
    },
  });
  new Counter({
    name: 'hub_alert_notices_total',
    help: 'Notices of alerts by what became of them.',
    labelNames: ['channel', 'outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name: channel, delivered, dropped } of channels()) {
        this.inc({ channel, outcome: 'delivered' }, delivered);
        this.inc({ channel, outcome: 'dropped' }, dropped);
      }
    },
  });
}
