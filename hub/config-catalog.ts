/** What can be said of the configuration only with the schemas at hand: rules of the bridge and of alerts, the payload. */
import type { Catalog } from '../schemas/index.ts';
import { faultsOfConfigured } from './alerts/rules.ts';
import { brokerNames } from './bridge/brokers.ts';
import { faultOfPayload, fieldNamesOf } from './bridge/payload.ts';
import { compileRules } from './bridge/rules/rules.ts';
import type { Config } from './config.ts';
import type { Mistake } from './config-doors.ts';

/** Every mistake in a configuration that has no other. */
export function checkWithCatalog(config: Config, { streams }: Pick<Catalog, 'streams'>): Mistake[] {
  const { mqtt } = config;
  const fault = faultOfPayload(mqtt.payload, fieldNamesOf(streams));
  return [
    ...compileRules(mqtt.rules, { streams, brokers: brokerNames(mqtt) }).mistakes,
    ...(fault ? [{ path: '/mqtt/payload', message: fault }] : []),
    ...checkAlerts(config, streams),
  ];
}

/** A broker that is away holds up no other: each has a channel of its own. */
export const mqttChannel = (broker: string): string => `mqtt-${broker}`;

function checkAlerts({ alerts, mqtt }: Config, streams: Catalog['streams']): Mistake[] {
  const { webhooks, mqttTopic, rules } = alerts;
  const brokers = mqttTopic === undefined ? [] : brokerNames(mqtt).map(mqttChannel);
  const names = [...brokers, ...webhooks.map(({ name }) => name)];
  const mistakes = faultsOfConfigured(rules, { streams, channels: names }).map(({ index, member, fault }) => ({
    path: `/alerts/rules/${index}${member}`,
    message: fault,
  }));
  if (mqttTopic !== undefined && brokers.length === 0)
    mistakes.push({ path: '/alerts/mqttTopic', message: 'needs a connection to an MQTT broker, and there is none' });
  for (const [index, { name }] of webhooks.entries())
    if (names.indexOf(name) < brokers.length + index)
      mistakes.push({ path: `/alerts/webhooks/${index}/name`, message: `is "${name}", as that of another channel` });
  return mistakes;
}
