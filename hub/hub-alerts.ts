/** Builds the alerts: rules, channels, the queue between them, and who tells them what happens. */
import { readFileSync } from 'node:fs';
import type { Alert } from './alerts/alert.ts';
import { type Alerts, createAlerts } from './alerts/alerts.ts';
import { type Channel, NeverTaken } from './alerts/channel.ts';
import { createDeliveries, type Deliveries, type DeliveryRow } from './alerts/deliveries.ts';
import { createMqttChannel, type Publish } from './alerts/mqtt-channel.ts';
import type { RuleDetails } from './alerts/rule.ts';
import { createRules, type Rules } from './alerts/rules.ts';
import { createWebhook } from './alerts/webhook.http.ts';
import { RefusedByBroker } from './bridge/link/link-port.ts';
import type { Config } from './config.ts';
import { mqttChannel } from './config-catalog.ts';
import type { HubStart } from './hub.ts';
import type { Records } from './hub-records.ts';
import type { Road } from './hub-road.ts';
import type { Storage } from './hub-storage.ts';
import type { Job } from './jobs.cron.ts';
import { EXIT_CONFIG, RefusedError, UserError } from './kit/errors.ts';
import { alertMetrics } from './metrics/alert-metrics.ts';

export interface AlertParts {
  rules: Rules;
  alerts: Alerts;
  deliveries: Deliveries;
  /** What is to be done by the clock. */
  jobs: Job[];
}

const WEBHOOK_TIMEOUT_MS = 10_000;
/** `publishers`: one for each broker that the hub is connected to, by its name. Throws `UserError` for what cannot be used. */
export function openAlerts(
  start: HubStart,
  storage: Storage,
  records: Records,
  road: Road,
  publishers: ReadonlyMap<string, Publish>,
): AlertParts {
  const { config, log, stack } = start;
  const { backplane, devices, presence } = records;
  const channels = openChannels(config, publishers);
  const sinks = road.reporter.sinks().map(({ name }) => name);
  const context = { streams: storage.catalog.streams, sinks, channels: channels.map(({ name }) => name) };
  const table = backplane.table<RuleDetails>('alert-rules');
  const deviceExists = (id: string) => devices.get(id) !== undefined;
  const rules = asUserError(() =>
    createRules({ configured: config.alerts.rules, table, context, deviceExists }, (rule, reason) =>
      log.error({ rule, reason }, 'a rule of alerts is left out: change it or remove it'),
    ),
  );
  const deliveries = createDeliveries({ channels, table: backplane.table<DeliveryRow>('alert-notices'), log });
  stack.push('alert notices', () => deliveries.close());
  const alerts = createAlerts({
    ...{ rules, devices, table: backplane.table<Alert>('alerts'), tell: deliveries.tell },
    presenceOf: presence.of,
    sinks: road.reporter.sinks,
    refusedBySinks: () => road.reporter.sinks().reduce((sum, { refused }) => sum + refused, 0),
  });
  storage.journal.onCommit(alerts.observe);
  road.metrics.add(alertMetrics({ counts: alerts.counts, channels: deliveries.status }));
  const jobs = [
    { name: 'watch for alerts', at: '* * * * * *', run: () => alerts.sweep() },
    { name: 'forget old alerts', at: '37 * * * *', run: () => alerts.prune() },
  ];
  return { rules, alerts, deliveries, jobs };
}

function openChannels(config: Config, publishers: ReadonlyMap<string, Publish>): Channel[] {
  const { webhooks, mqttTopic } = config.alerts;
  const channels = webhooks.map(openWebhook);
  if (mqttTopic === undefined) return channels;
  const open = ([broker, publish]: [string, Publish]) =>
    createMqttChannel(mqttChannel(broker), mqttTopic, noticesOver(publish));
  return [...channels, ...[...publishers].map(open)];
}

/** A notice that a broker refuses is not tried again for a day. */
function noticesOver(publish: Publish): Publish {
  return async (topic, payload) => {
    try {
      await publish(topic, payload);
    } catch (error) {
      throw error instanceof RefusedByBroker ? new NeverTaken(error.message, { cause: error }) : error;
    }
  };
}

function openWebhook({
  name,
  url,
  urlFile,
  tokenFile,
  timeoutMs = WEBHOOK_TIMEOUT_MS,
}: Config['alerts']['webhooks'][number]): Channel {
  if ((url === undefined) === (urlFile === undefined))
    throw new UserError(`alerts.webhooks: "${name}" needs either url or urlFile.`, EXIT_CONFIG);
  const address = url ?? secretIn(urlFile!, `alerts.webhooks: urlFile of "${name}"`);
  if (!URL.canParse(address) || !/^https?:/.test(address))
    throw new UserError(
      `alerts.webhooks: the address of "${name}" is none such as https://example.org/hook.`,
      EXIT_CONFIG,
    );
  const token = tokenFile === undefined ? undefined : secretIn(tokenFile, `alerts.webhooks: tokenFile of "${name}"`);
  return createWebhook({ name, url: address, timeoutMs, ...(token !== undefined && { token }) });
}

function secretIn(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UserError(`${what} cannot be read: ${(error as Error).message}`, EXIT_CONFIG);
  }
}

/** A rule of the configuration that cannot be is a mistake of a person. */
function asUserError<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof RefusedError) throw new UserError(`alerts.rules: ${error.detail}`, EXIT_CONFIG);
    throw error;
  }
}
