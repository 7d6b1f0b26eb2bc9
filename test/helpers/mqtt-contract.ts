/** What a configuration says of MQTT, without a hub. */
import { contractOf, type MqttContract } from '../../hub/bridge/brokers.ts';
import { loadConfig } from '../../hub/config.ts';

/** Of a `hub.yaml` with this text; the defaults without one. Every file that it names holds a certificate. */
export function mqttContract(text = ''): MqttContract {
  const readFile = () => '-----BEGIN CERTIFICATE-----\n';
  return contractOf(loadConfig({ file: { name: 'hub.yaml', text }, env: {}, readFile }).mqtt);
}
