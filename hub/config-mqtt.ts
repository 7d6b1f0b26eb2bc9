/** What a schema cannot say of the section `mqtt`: addresses, secrets, certificates, templates and rules. */
import { EMBEDDED, nameOf } from './bridge/brokers.ts';
import { faultOfPayload } from './bridge/payload.ts';
import { compileRules } from './bridge/rules/rules.ts';
import { faultOfPrefix, faultsOfTopics } from './bridge/topics.ts';
import type { Config, ConfigSource } from './config.ts';
import type { Mistake } from './config-doors.ts';
import { checkPair, checkPems, readOr } from './config-files.ts';
import { isLoopback } from './kit/network.ts';

type Mqtt = Config['mqtt'];
type Broker = Mqtt['brokers'][number];
type ReadFile = ConfigSource['readFile'];

const NOT_FOR_HOME_ASSISTANT =
  'must be empty with homeAssistant.enabled, which looks for the fields where they are without it';

/** Every mistake in a section that fits its schema; reads the passwords into it on the way. */
export function checkMqtt(mqtt: Mqtt, readFile: ReadFile, env: ConfigSource['env']): Mistake[] {
  const brokers = mqtt.brokers.flatMap((broker, at) => {
    const place = `/mqtt/brokers/${at}`;
    return [
      ...checkAddress(broker, place),
      ...readPassword(broker, place, readFile, env),
      ...checkFiles(broker, place, readFile),
    ];
  });
  const addressed = mqtt.brokers.filter(({ url }) => URL.canParse(url));
  return [
    ...brokers,
    ...checkNames(addressed, mqtt.embedded),
    ...checkTopics(mqtt),
    ...checkListener(mqtt, readFile),
    ...checkRules(mqtt),
  ];
}

/** The address is not repeated in the message: it may hold a password. */
function checkAddress({ url }: Broker, place: string): Mistake[] {
  const path = `${place}/url`;
  if (!URL.canParse(url) || !new URL(url).hostname)
    return [{ path, message: 'is no address such as mqtt://127.0.0.1:1883' }];
  const { username, password } = new URL(url);
  if (username || password) return [{ path, message: 'must not hold credentials: use username and passwordFile' }];
  if (!/[?#]/.test(url)) return [];
  return [{ path, message: 'must not hold a query (?) or a fragment (#): it is shown and logged as it is' }];
}

function readPassword(broker: Broker, place: string, readFile: ReadFile, env: ConfigSource['env']): Mistake[] {
  const { password, passwordFile, passwordEnv, username } = broker;
  const given = Object.entries({ password, passwordFile, passwordEnv }).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    return [{ path: `${place}/${given[1]![0]}`, message: `and ${given[0]![0]} exclude each other` }];
  }
  if (given.length > 0 && username === undefined) {
    return [{ path: place, message: 'has a password and no username' }];
  }
  if (passwordEnv !== undefined) {
    broker.password = env[passwordEnv] ?? '';
    if (!broker.password) return [{ path: `${place}/passwordEnv`, message: `names ${passwordEnv}, which is not set` }];
  }
  if (passwordFile === undefined) return [];
  const text = readOr(passwordFile, `${place}/passwordFile`, readFile);
  if (typeof text !== 'string') return [text];
  broker.password = text.trimEnd();
  return broker.password ? [] : [{ path: `${place}/passwordFile`, message: 'is empty' }];
}

function checkFiles(broker: Broker, place: string, readFile: ReadFile): Mistake[] {
  const keys = (['caFile', 'certFile', 'keyFile'] as const).filter((key) => broker[key] !== undefined);
  const message = 'is of no use without TLS: the url begins with mqtts:// or wss://';
  const files = /^(mqtts|wss):/.test(broker.url)
    ? checkPems(broker, keys, place, readFile)
    : keys.map((key) => ({ path: `${place}/${key}`, message }));
  return [...checkPair(broker, place), ...files];
}

/** A name is a cursor in the journal, so it is of one broker only; two connections with one client id end each other. */
function checkNames(brokers: readonly Broker[], embedded: boolean): Mistake[] {
  const names = brokers.map(nameOf);
  const clients = brokers.map(({ url, clientId = '' }) => `${nameOf({ url })} ${clientId}`);
  return brokers.flatMap((_, at) => {
    const path = `/mqtt/brokers/${at}`;
    const name = names[at]!;
    if (embedded && name === EMBEDDED)
      return [{ path, message: `is called ${name}, as the hub's own: give it another name` }];
    if (names.indexOf(name) < at) return [{ path, message: `is called ${name}, as one before: give it another name` }];
    if (clients.indexOf(clients[at]!) < at)
      return [{ path, message: 'is the same broker as one before: give it another clientId' }];
    return [];
  });
}

const SLASH = 'must not end with a slash: one follows it in each topic';

function checkTopics({ prefix, topics, payload, homeAssistant }: Mqtt): Mistake[] {
  const faults = faultsOfTopics(prefix, topics).map(({ key, message }) => ({ path: `/mqtt/topics/${key}`, message }));
  const fault = faultOfPayload(payload);
  const prefixFault = homeAssistant.prefix.endsWith('/') ? SLASH : faultOfPrefix(homeAssistant.prefix);
  return [
    ...(prefix.endsWith('/') ? [{ path: '/mqtt/prefix', message: SLASH }] : []),
    ...faults,
    ...(fault ? [{ path: '/mqtt/payload', message: fault }] : []),
    ...(payload && homeAssistant.enabled ? [{ path: '/mqtt/payload', message: NOT_FOR_HOME_ASSISTANT }] : []),
    ...(prefixFault ? [{ path: '/mqtt/homeAssistant/prefix', message: prefixFault }] : []),
  ];
}

function checkListener({ embedded, listener }: Mqtt, readFile: ReadFile): Mistake[] {
  const { host, certFile } = listener;
  const path = '/mqtt/listener';
  const files = [...checkPair(listener, path), ...checkPems(listener, ['certFile', 'keyFile'], path, readFile)];
  if (!embedded || files.length > 0 || certFile !== undefined || isLoopback(host)) return files;
  return [{ path: `${path}/host`, message: `must be a loopback address without certFile and keyFile; it is ${host}` }];
}

/** Without the schemas; `compileRules` is asked again with them when they are loaded. */
function checkRules({ rules, brokers, embedded }: Mqtt): Mistake[] {
  const names = brokers.filter(({ url }) => URL.canParse(url)).map(nameOf);
  return compileRules(rules, { brokers: embedded ? [...names, EMBEDDED] : names }).mistakes;
}
