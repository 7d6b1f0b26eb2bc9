/** The MQTT bridge: each broker with its lag, each rule with what it let in. */
import { get } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { count, span, things } from '../kit/format.ts';
import { Badge, Card, Empty, Facts, Said, Trouble, Waiting } from '../kit/parts.tsx';
import { type Column, Table } from '../kit/table.tsx';
import { Ago } from '../kit/time.tsx';

interface Broker {
  name: string;
  state: string;
  since: number;
  version: number;
  inFlight: number;
  window: number;
  lagFrames: number;
  lagMs: number;
  published: number;
  received: number;
  refused: number;
  lastError?: string;
}

interface Rule {
  name: string;
  broker: string;
  stream: string;
  messages: number;
  readings: number;
  refused: number;
  lastRefusal?: string;
}

interface Orders {
  broker: string;
  received: number;
  sent: number;
  repeated: number;
  refused: number;
  told: number;
  waiting: number;
  lastRefusal?: string;
}

interface Bridge {
  hub: string;
  brokers: Broker[];
  rules: Rule[];
  commands: Orders[];
  embedded?: { clients: number; retained: number; refusedSignIns: number; refusedPublishes: number };
}

const ASK_MS = 2_000;

/** Of a hub without brokers it says how to name one. */
export function BridgePage() {
  const { data, error, reload } = useResource('bridge', (signal) => get<Bridge>('/v1/bridge', { signal }), ASK_MS);
  if (!data) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  const { hub, brokers, rules, commands, embedded } = data;
  return (
    <>
      <div class="page-head">
        <h1>Bridge</h1>
        <span class="soft">
          this hub’s name on brokers: <code>{hub}</code>
        </span>
      </div>
      <Card title="Brokers">
        <Table label="Brokers" columns={BROKERS} rows={brokers} keyOf={({ name }) => name} empty={<NoBrokers />} />
        <Said lines={brokers.map(({ name, lastError }) => [name, lastError])} />
      </Card>
      {rules.length > 0 && <Inbound rules={rules} />}
      {commands.length > 0 && <Commands commands={commands} />}
      {embedded && <Embedded {...embedded} />}
    </>
  );
}

function Inbound({ rules }: { rules: Rule[] }) {
  const keyOf = ({ broker, name }: Rule) => `${broker} ${name}`;
  return (
    <Card title="Readings from brokers">
      <Table label="Rules" columns={RULES} rows={rules} keyOf={keyOf} empty="" />
      <Said lines={rules.map(({ name, lastRefusal }) => [name, lastRefusal && `refused last: ${lastRefusal}`])} />
    </Card>
  );
}

function Commands({ commands }: { commands: Orders[] }) {
  const keyOf = ({ broker }: Orders) => broker;
  return (
    <Card title="Commands from brokers">
      <Table label="Commands from brokers" columns={COMMANDS} rows={commands} keyOf={keyOf} empty="" />
      <Said
        lines={commands.map(({ broker, lastRefusal }) => [broker, lastRefusal && `refused last: ${lastRefusal}`])}
      />
    </Card>
  );
}

function Embedded({ clients, retained, refusedSignIns, refusedPublishes }: NonNullable<Bridge['embedded']>) {
  return (
    <Card title="The hub’s own broker">
      <Facts
        facts={[
          ['Clients', count(clients)],
          ['Retained messages', count(retained)],
          ['Refused', `${things(refusedSignIns, 'sign-in')}, ${things(refusedPublishes, 'message')}`],
        ]}
      />
    </Card>
  );
}

function NoBrokers() {
  return (
    <Empty icon="bridge" title="No brokers">
      Name one in the configuration: <code>hub config docs</code> tells of <code>mqtt.brokers</code>.
    </Empty>
  );
}

const BROKERS: Column<Broker>[] = [
  { name: 'name', title: 'Broker', cell: ({ name }) => name },
  {
    name: 'state',
    title: 'State',
    width: '150px',
    cell: ({ state }) => <Badge tone={state === 'connected' ? 'good' : 'bad'}>{state}</Badge>,
  },
  { name: 'since', title: 'Since', width: '110px', cell: ({ since }) => <Ago at={since} /> },
  {
    name: 'lag',
    title: 'Lag',
    width: '22%',
    cell: ({ lagFrames, lagMs }) => (lagFrames === 0 ? 'none' : `${things(lagFrames, 'frame')}, ${span(lagMs)}`),
  },
  { name: 'window', title: 'Under way', lesser: true, cell: ({ inFlight, window }) => `${inFlight} of ${window}` },
  { name: 'published', title: 'Published', align: 'end', lesser: true, cell: ({ published }) => count(published) },
  { name: 'received', title: 'Received', align: 'end', lesser: true, cell: ({ received }) => count(received) },
  { name: 'refused', title: 'Refused', align: 'end', lesser: true, cell: ({ refused }) => count(refused) },
];

const RULES: Column<Rule>[] = [
  { name: 'name', title: 'Rule', cell: ({ name }) => name },
  { name: 'broker', title: 'Broker', cell: ({ broker }) => broker },
  { name: 'stream', title: 'Stream', lesser: true, cell: ({ stream }) => stream },
  { name: 'messages', title: 'Messages', align: 'end', cell: ({ messages }) => count(messages) },
  { name: 'readings', title: 'Readings', align: 'end', cell: ({ readings }) => count(readings) },
  {
    name: 'refused',
    title: 'Refused',
    align: 'end',
    lesser: true,
    cell: ({ refused }) => count(refused),
  },
];

const COMMANDS: Column<Orders>[] = [
  { name: 'broker', title: 'Broker', cell: ({ broker }) => broker },
  { name: 'received', title: 'Received', align: 'end', cell: ({ received }) => count(received) },
  { name: 'sent', title: 'Sent', align: 'end', cell: ({ sent }) => count(sent) },
  { name: 'repeated', title: 'Repeated', align: 'end', lesser: true, cell: ({ repeated }) => count(repeated) },
  { name: 'refused', title: 'Refused', align: 'end', cell: ({ refused }) => count(refused) },
  { name: 'told', title: 'Results told', align: 'end', lesser: true, cell: ({ told }) => count(told) },
  { name: 'waiting', title: 'Waiting', align: 'end', lesser: true, cell: ({ waiting }) => count(waiting) },
];
