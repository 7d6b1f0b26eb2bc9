/** The MQTT bridge: each broker with its lag, each rule with what it let in. */
import { get } from '../hub/client.http.ts';
import { useResource } from '../hub/resource.ts';
import { count, span, things } from '../kit/format.ts';
import { Badge, Card, Empty, Facts, Trouble, Waiting } from '../kit/parts.tsx';
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

interface Bridge {
  hub: string;
  brokers: Broker[];
  rules: Rule[];
  commands: {
    broker: string;
    received: number;
    sent: number;
    repeated: number;
    refused: number;
    told: number;
    waiting: number;
  }[];
  embedded?: { clients: number; retained: number; refusedSignIns: number; refusedPublishes: number };
}

const ASK_MS = 2_000;

/** Only on hubs that have a bridge. */
export function BridgePage() {
  const { data, error, reload } = useResource('bridge', (signal) => get<Bridge>('/v1/bridge', { signal }), ASK_MS);
  if (!data) return error ? <Trouble error={error} onRetry={reload} /> : <Waiting />;
  const { hub, brokers, rules, commands, embedded } = data;
  return (
    <>
      <div class="page-head">
        <h1>Bridge</h1>
        <span class="soft">
          on brokers this hub is <code>{hub}</code>
        </span>
      </div>
      <Card title="Brokers">
        <Table label="Brokers" columns={BROKERS} rows={brokers} keyOf={({ name }) => name} empty={<NoBrokers />} />
      </Card>
      {rules.length > 0 && (
        <Card title="Readings from brokers">
          <Table
            label="Rules"
            columns={RULES}
            rows={rules}
            keyOf={({ broker, name }) => `${broker} ${name}`}
            empty=""
          />
        </Card>
      )}
      {commands.length > 0 && (
        <Card title="Commands from brokers">
          <Table
            label="Commands from brokers"
            columns={COMMANDS}
            rows={commands}
            keyOf={({ broker }) => broker}
            empty=""
          />
        </Card>
      )}
      {embedded && (
        <Card title="The hub’s own broker">
          <Facts
            facts={[
              ['Clients', count(embedded.clients)],
              ['Retained messages', count(embedded.retained)],
              [
                'Refused',
                `${things(embedded.refusedSignIns, 'sign-in')}, ${things(embedded.refusedPublishes, 'message')}`,
              ],
            ]}
          />
        </Card>
      )}
    </>
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
    cell: ({ state, lastError }) => (
      <span title={lastError}>
        <Badge tone={state === 'connected' ? 'good' : 'bad'}>{state}</Badge>
      </span>
    ),
  },
  { name: 'since', title: 'Since', width: '110px', cell: ({ since }) => <Ago at={since} /> },
  {
    name: 'lag',
    title: 'Lag',
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
    cell: ({ refused, lastRefusal }) => <span title={lastRefusal}>{count(refused)}</span>,
  },
];

const COMMANDS: Column<Bridge['commands'][number]>[] = [
  { name: 'broker', title: 'Broker', cell: ({ broker }) => broker },
  { name: 'received', title: 'Received', align: 'end', cell: ({ received }) => count(received) },
  { name: 'sent', title: 'Sent', align: 'end', cell: ({ sent }) => count(sent) },
  { name: 'repeated', title: 'Repeated', align: 'end', lesser: true, cell: ({ repeated }) => count(repeated) },
  { name: 'refused', title: 'Refused', align: 'end', cell: ({ refused }) => count(refused) },
  {
    name: 'told',
    title: 'Results told',
    align: 'end',
    lesser: true,
    cell: ({ told, waiting }) => `${count(told)}, ${count(waiting)} wait`,
  },
];
