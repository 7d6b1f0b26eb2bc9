/** What docs/ gives to Prometheus and Grafana fits what a hub with InfluxDB really has. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { parse } from 'yaml';
import { COMMAND_STATES } from '../../hub/commands/command.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { type Influxd, startInfluxd } from '../helpers/influxd.ts';
import { connectRaw } from '../helpers/raw-device.ts';

const docs = (name: string) => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8');

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string };
}
const rules = parse(docs('prometheus-alerts.yml')).groups.flatMap((group: { rules: Rule[] }) => group.rules) as Rule[];

interface Panel {
  title: string;
  targets?: { query: string }[];
}
const dashboard = JSON.parse(docs('grafana-dashboard.json')) as {
  panels: Panel[];
  templating: { list: { name: string; type: string; query: string }[] };
};
const questions = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ query }) => ({ title, query })));

let influxd: Influxd;
let hub: TestHub;
let metrics: string;

const READINGS = {
  environment: { temperature: 21, humidity: 40, pressure: 1010, co2: 500, light: 10, battery: 3.1 },
  power: { power: 5, voltage: 230, energy: 7 },
  machine: { load: 50, rpm: 1200, vibration: 0.5, state: 'running' },
};

beforeAll(async () => {
  influxd = await startInfluxd();
  hub = await startTestHub({
    HUB_STORE__KIND: 'influx',
    HUB_STORE__URL: influxd.url,
    HUB_STORE__ROLLUPS: '[{"every":"1s"},{"every":"1m"}]',
  });
  const device = await connectRaw(hub, { token: await hub.addDevice('a') });
  let seq = 0;
  for (const [stream, reading] of Object.entries(READINGS)) {
    device.say({ type: 'telemetry', seq: ++seq, stream, readings: [reading] });
    await device.next();
  }
  const stranger = new WebSocket(hub.gateway, 'telemetry-hub.v1', {
    ca: hub.ca,
    headers: { authorization: 'Bearer no' },
  });
  await new Promise((resolve) => stranger.on('error', resolve));
  const authorization = `Bearer ${hub.adminToken}`;
  metrics = await (await fetch(`${hub.api}/metrics`, { headers: { authorization } })).text();
});
afterAll(async () => {
  await hub?.dispose();
  await influxd?.remove();
});

describe('the alert rules for Prometheus', () => {
  const samples = () => metrics.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  /** The names that a rule uses: the metric, or one of those that a histogram becomes. */
  const used = rules.flatMap(({ alert, expr }) =>
    [...expr.matchAll(/\b(hub_[a-z_]+)(?:\{([^}]*)\})?/g)].map(([, name = '', labels = '']) => ({
      alert,
      name,
      labels,
    })),
  );

  it('are all about metrics that the hub has', () => {
    const known = new Set([...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
    const strange = used.filter(({ name }) => !known.has(name.replace(/_(bucket|sum|count)$/, '')) && !known.has(name));
    expect(strange).toEqual([]);
    expect(used.length).toBeGreaterThan(15);
  });

  it('ask for labels and values that these metrics have', () => {
    const values = new Map<string, Set<string>>([['state of hub_commands_total', new Set(COMMAND_STATES)]]);
    for (const sample of samples()) {
      const [, name, labels = ''] = /^([a-z_]+)(?:\{([^}]*)\})?/.exec(sample)!;
      for (const [, label, value] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
        const key = `${label} of ${name}`;
        values.set(key, (values.get(key) ?? new Set()).add(value!));
      }
    }
    for (const { alert, name, labels } of used) {
      for (const [, label, value] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
        expect([...(values.get(`${label} of ${name}`) ?? [])], alert).toContain(value);
      }
    }
  });

  it('have each a name of their own, a severity and a sentence', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { labels, annotations, expr } of rules) {
      expect(['warning', 'critical']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\.$/);
      expect(expr.match(/\(/g)?.length).toBe(expr.match(/\)/g)?.length);
    }
  });
});

describe('the dashboard for Grafana', () => {
  /** As Grafana fills in its variables. */
  const filledIn = (query: string) =>
    query
      .replaceAll('$timeFilter', 'time > now() - 1h')
      .replaceAll('$__interval', '10s')
      .replaceAll('$policy', 'hub')
      .replaceAll('$rollup', 'hub_1s')
      .replaceAll('$device', '(a)');

  it('has questions', () => {
    expect(questions.length).toBeGreaterThan(10);
  });

  it.each(questions)('$title shows what the hub wrote', async ({ query }) => {
    const answer = async () => (await influxd.query(filledIn(query), 'telemetry'))[0]?.values[0]?.[1];
    await expect.poll(answer, { interval: 250 }).toBeDefined();
  });

  it('finds the devices', async () => {
    const { query } = dashboard.templating.list.find(({ name }) => name === 'device')!;
    expect((await influxd.query(query, 'telemetry'))[0]?.values).toContainEqual(['device', 'a']);
  });
});
