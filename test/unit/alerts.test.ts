/** Rules, what they see and decide, and that an alert and its notice are stored together or not at all. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Alert, Notice } from '../../hub/alerts/alert.ts';
import { type Alerts, createAlerts } from '../../hub/alerts/alerts.ts';
import { Growth } from '../../hub/alerts/growth.ts';
import { type Rule, type RuleDetails, ruleOf, verdictOf } from '../../hub/alerts/rule.ts';
import { createRules, MAX_RULES, type Rules } from '../../hub/alerts/rules.ts';
import { openBackplane } from '../../hub/backplane/backplane.sqlite.ts';
import type { Backplane } from '../../hub/backplane/backplane.ts';
import { createDevices, type Devices } from '../../hub/devices/devices.ts';
import type { Presence } from '../../hub/devices/presence.ts';
import { Unavailable } from '../../hub/kit/errors.ts';
import { loadCatalog } from '../../schemas/index.ts';

const START = Date.UTC(2026, 5, 1, 12);
const CONTEXT = { streams: loadCatalog().streams, sinks: ['store'], channels: ['on-call'] };
const HOT: RuleDetails = { kind: 'field', stream: 'environment', field: 'temperature', above: 30, clear: 28 };

let backplane: Backplane;
let devices: Devices;
let rules: Rules;
let alerts: Alerts;
let clock: number;
let told: Notice[];
let presence: Map<string, Presence>;
let lagMs: number;
let trouble: Error | undefined;

function start(): void {
  rules = createRules({ configured: [], table: backplane.table('alert-rules'), context: CONTEXT });
  const table = backplane.table<Alert>('alerts');
  const fails = () => {
    if (trouble) throw trouble;
  };
  alerts = createAlerts({
    ...{
      rules,
      devices,
      table: { ...table, values: table.values, set: async (key, alert) => fails() ?? table.set(key, alert) },
    },
    presenceOf: (id) => presence.get(id),
    sinks: () => [{ name: 'store', lagMs }],
    refusedBySinks: () => 0,
    async tell(notice) {
      fails();
      told.push(notice);
    },
    now: () => clock,
  });
}

beforeEach(async () => {
  backplane = openBackplane(':memory:');
  devices = createDevices(backplane.table('devices'), { seen: backplane.table('seen') });
  await devices.add('a', { tags: { floor: '1' } });
  await devices.add('b');
  clock = START;
  told = [];
  presence = new Map();
  lagMs = 0;
  trouble = undefined;
  start();
});

/** A frame of `environment` with these temperatures. */
function say(device: string, ...temperatures: number[]): void {
  const readings = temperatures.map((temperature) => ({ ts: clock, temperature }));
  alerts.observe([{ device, epoch: 'e', seq: 1, stream: 'environment', receivedAt: clock, readings }]);
}

async function pass(ms: number): Promise<void> {
  clock += ms;
  await alerts.sweep();
}

const states = () => alerts.list({ limit: 100 }).map(({ device = 'hub', state }) => `${device} ${state}`);
const news = () => told.splice(0).map(({ device = 'hub', state }) => `${device} ${state}`);
const present = (state: Presence['state']): Presence => ({ state, since: clock, reason: 'connected' });

describe('a rule', () => {
  const refusalOf = (details: RuleDetails, id = 'r') => {
    try {
      return ruleOf(id, details, 'api', CONTEXT);
    } catch (error) {
      return error;
    }
  };

  it.each<[string, string, RuleDetails]>([
    ['/field', 'is missing: the kind field needs it', { kind: 'field', stream: 'environment' }],
    ['/lagMs', 'is nothing that the kind field has', { ...HOT, lagMs: 5 }],
    ['/below', 'and above exclude each other', { ...HOT, below: 3 }],
    ['/above', 'is missing, or below', { kind: 'field', stream: 'environment', field: 'temperature' }],
    ['/clear', 'must not be above the limit', { ...HOT, clear: 31 }],
    [
      '/clear',
      'must not be below the limit',
      { kind: 'field', stream: 'environment', field: 'temperature', below: 3, clear: 2 },
    ],
    ['/stream', 'is "weather", but the streams are environment', { ...HOT, stream: 'weather' }],
    ['/field', 'is "heat", but the fields of environment are temperature', { ...HOT, field: 'heat' }],
    ['/field', 'is "occupied", which holds no number but a boolean', { ...HOT, field: 'occupied' }],
    ['/sink', 'is "mqtt", but the sinks are', { kind: 'lag', lagMs: 1, sink: 'mqtt' }],
    ['/deliver', 'is "pager", but the channels are', { kind: 'offline', deliver: ['pager'] }],
    ['/forMs', 'must be more than 0', { kind: 'no-reading', forMs: 0 }],
    ['/forMs', 'is missing: the kind no-reading needs it', { kind: 'no-reading' }],
  ])('is refused with the member that is wrong: %s %s', (member, words, details) => {
    const detail = expect.stringContaining(`The rule "r": ${member.slice(1)} ${words}`);
    expect(refusalOf(details)).toMatchObject({
      code: 'invalid',
      member,
      fault: expect.stringContaining(words),
      detail,
    });
  });

  it('has a name that fits everywhere', () => {
    expect(refusalOf({ kind: 'offline' }, 'a b')).toMatchObject({
      member: '/id',
      fault: expect.stringContaining('letters'),
    });
  });

  it('finds a value between the limit and its way back neither wrong nor right', () => {
    const hot = ruleOf('r', HOT, 'api', CONTEXT);
    expect([30.1, 30, 28.1, 28].map((value) => verdictOf(hot, value))).toEqual(['bad', 'between', 'between', 'good']);
    const cold = { kind: 'field', below: 3, clear: 5 } as Rule;
    expect([2.9, 3, 4.9, 5].map((value) => verdictOf(cold, value))).toEqual(['bad', 'between', 'between', 'good']);
  });

  it('is stored, changed, removed, and refused twice or beyond the bound', async () => {
    await rules.add('hot', HOT);
    await expect(rules.add('hot', HOT)).rejects.toMatchObject({ code: 'exists' });
    expect(await rules.change('hot', { clear: null, forMs: 5 })).toMatchObject({ above: 30, forMs: 5 });
    expect(rules.get('hot')).not.toHaveProperty('clear');
    for (let i = 1; i < MAX_RULES; i += 1) await rules.add(`r${i}`, HOT);
    await expect(rules.add('more', HOT)).rejects.toMatchObject({ code: 'too-many-rules' });
    await rules.remove('hot');
    await expect(rules.remove('hot')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('that names a device that is not there is refused; one whose device has gone may be changed', async () => {
    const deviceExists = (id: string) => devices.get(id) !== undefined;
    const some = createRules({ configured: [], table: backplane.table('some'), context: CONTEXT, deviceExists });
    const missing = { code: 'not-found', member: '/selector/devices', message: 'There is no device "nobody".' };
    await expect(some.add('x', { kind: 'offline', selector: { devices: ['a', 'nobody'] } })).rejects.toMatchObject(
      missing,
    );
    await some.add('x', { kind: 'offline', selector: { devices: ['a'] } });
    await expect(some.change('x', { selector: { devices: ['nobody'] } })).rejects.toMatchObject(missing);
    await devices.remove('a');
    expect(await some.change('x', { enabled: false })).toMatchObject({ enabled: false });
  });

  it('of the configuration is changed there and nowhere else', async () => {
    const configured = [{ id: 'hot', ...HOT }];
    const fixed = createRules({ configured, table: backplane.table('others'), context: CONTEXT });
    await expect(fixed.change('hot', { forMs: 1 })).rejects.toMatchObject({ code: 'configured' });
    await expect(fixed.remove('hot')).rejects.toMatchObject({ code: 'configured' });
    await expect(fixed.add('hot', HOT)).rejects.toMatchObject({ code: 'exists' });
  });

  it('that no longer fits is left out and stays stored', async () => {
    await rules.add('hot', HOT);
    const unfit: string[] = [];
    const context = { ...CONTEXT, streams: new Map() };
    const later = createRules({ configured: [], table: backplane.table('alert-rules'), context }, (id) =>
      unfit.push(id),
    );
    expect([unfit, later.list()]).toEqual([['hot'], []]);
    await later.remove('hot');
  });
});

describe('an alert of a field', () => {
  it('is pending, fires when it lasted, and is resolved with hysteresis', async () => {
    await rules.add('hot', { ...HOT, forMs: 10_000, clearForMs: 5_000 });
    say('a', 31);
    await pass(1_000);
    expect([states(), news()]).toEqual([['a pending'], []]);
    const pending = 'a: environment.temperature is 31, above 30; fires when that lasts 10 s';
    expect(alerts.list({ limit: 1 })[0]).toMatchObject({ summary: pending });
    await pass(9_000);
    expect(news()).toEqual(['a firing']);
    expect(alerts.list({ limit: 1 })[0]).toMatchObject({
      since: START,
      firedAt: START + 10_000,
      value: 31,
      summary: 'a: environment.temperature is 31, above 30 for 10 s',
    });
    say('a', 29);
    await pass(60_000);
    expect(states()).toEqual(['a firing']);
    say('a', 27);
    await pass(4_000);
    expect(states()).toEqual(['a firing']);
    await pass(1_000);
    expect([states(), news()]).toEqual([['a resolved'], ['a resolved']]);
  });

  it('is forgotten when it did not last', async () => {
    await rules.add('hot', { ...HOT, forMs: 10_000 });
    say('a', 31);
    await pass(1_000);
    say('a', 29);
    await pass(60_000);
    expect([states(), news()]).toEqual([[], []]);
  });

  it('fires for a peak that was over before anybody looked, when it need not last', async () => {
    await rules.add('hot', HOT);
    say('a', 20, 35, 20);
    await pass(1_000);
    expect(told[0]).toMatchObject({ state: 'firing', value: 35 });
    await pass(1_000);
    expect(states()).toEqual(['a resolved']);
  });

  it('is a new one when it comes again', async () => {
    await rules.add('hot', HOT);
    for (const temperature of [31, 20, 31]) {
      say('a', temperature);
      await pass(1_000);
    }
    expect(new Set(told.map(({ id }) => id)).size).toBe(2);
    expect(new Set(told.map(({ notice }) => notice)).size).toBe(3);
  });

  it('is of the devices that the rule selects, and of no other', async () => {
    await rules.add('hot', { ...HOT, selector: { tags: { floor: '1' } } });
    say('a', 31);
    say('b', 31);
    await pass(1_000);
    expect(states()).toEqual(['a firing']);
    await devices.update('b', { tags: { floor: '1' } });
    say('b', 31);
    await pass(1_000);
    expect(states().sort()).toEqual(['a firing', 'b firing']);
  });

  it('survives a restart, also while it is pending', async () => {
    await rules.add('hot', { ...HOT, forMs: 10_000 });
    say('a', 31);
    await pass(4_000);
    start();
    await pass(6_000);
    expect(news()).toEqual(['a firing']);
    start();
    await pass(60_000);
    expect(states()).toEqual(['a firing']);
    say('a', 20);
    await pass(1_000);
    expect(news()).toEqual(['a resolved']);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['its rule is removed', () => rules.remove('hot')],
    ['its rule is disabled', () => rules.change('hot', { enabled: false })],
    ['its device is removed', () => devices.remove('a')],
    ['its device is disabled', () => devices.setEnabled('a', false)],
  ])('is resolved when %s', async (_, happen) => {
    await rules.add('hot', HOT);
    say('a', 31);
    await pass(1_000);
    await happen();
    await pass(1_000);
    expect([states(), news()]).toEqual([['a resolved'], ['a firing', 'a resolved']]);
  });

  it('fires a second later when it could not be stored', async () => {
    await rules.add('hot', HOT);
    say('a', 31);
    trouble = new Unavailable('the disk is full');
    await expect(pass(1_000)).rejects.toThrow('the disk is full');
    expect([states(), news()]).toEqual([[], []]);
    trouble = undefined;
    await pass(1_000);
    expect([states(), news()]).toEqual([['a firing'], ['a firing']]);
  });
});

describe('an alert of presence', () => {
  it('fires for a device that is away, and not for one that never came', async () => {
    await rules.add('gone', { kind: 'offline', forMs: 5_000 });
    presence.set('a', present('offline'));
    await pass(4_000);
    expect(states()).toEqual(['a pending']);
    await pass(1_000);
    expect(news()).toEqual(['a firing']);
    presence.set('a', present('online'));
    await pass(1_000);
    expect(news()).toEqual(['a resolved']);
  });

  it('fires for a device without a reading, counted from its coming, and not for one that never came', async () => {
    await rules.add('quiet', { kind: 'no-reading', stream: 'environment', forMs: 5_000 });
    await pass(60_000);
    presence.set('a', present('online'));
    await pass(4_000);
    expect(states()).toEqual([]);
    await pass(1_000);
    expect(news()).toEqual(['a firing']);
    say('a', 20);
    await pass(1_000);
    expect(news()).toEqual(['a resolved']);
    await pass(4_000);
    expect(news()).toEqual(['a firing']);
  });

  it('goes on firing over a restart until a reading comes', async () => {
    await rules.add('quiet', { kind: 'no-reading', forMs: 5_000 });
    presence.set('a', present('offline'));
    await pass(5_000);
    start();
    await pass(1_000);
    expect([states(), news()]).toEqual([['a firing'], ['a firing']]);
  });
});

describe('a flood of alerts', () => {
  it('is stored a thousand at a time, and ends at its bound', async () => {
    await rules.add('gone', { kind: 'offline' });
    await rules.add('lost', { kind: 'offline' });
    const ids = Array.from({ length: 5_100 }, (_, index) => `m${index}`);
    await Promise.all(ids.map((id) => devices.add(id)));
    for (const id of ids) presence.set(id, present('offline'));
    await pass(1_000);
    expect(alerts.counts().firing).toBe(1_000);
    for (let second = 0; second < 11; second += 1) await pass(1_000);
    expect(alerts.counts().firing).toBe(10_000);
    expect(alerts.isFull).toBe(true);
    for (const id of ids) presence.set(id, present('online'));
    for (let second = 0; second < 20; second += 1) await pass(1_000);
    expect([alerts.counts(), alerts.isFull]).toEqual([{ pending: 0, firing: 0, resolved: 10_000 }, false]);
  });
});

describe('an alert of the hub', () => {
  it('fires while a sink lags', async () => {
    await rules.add('late', { kind: 'lag', lagMs: 10_000 });
    lagMs = 10_001;
    await pass(1_000);
    expect(told[0]).toMatchObject({
      sink: 'store',
      value: 10_001,
      summary: expect.stringContaining('store: 10 s behind'),
    });
    lagMs = 3;
    await pass(1_000);
    expect(news()).toEqual(['hub firing', 'hub resolved']);
  });

  it('fires while too many readings are refused within the window', async () => {
    await rules.add('refusals', { kind: 'quarantine', readings: 2, windowMs: 60_000 });
    // Also what is refused before it is looked at for the first time.
    const rejected = [1, 2, 3].map((index) => ({ index, path: '', code: 'type', message: '', reading: 1 }));
    alerts.observe([{ device: 'a', epoch: 'e', seq: 1, stream: 'power', receivedAt: clock, readings: [], rejected }]);
    await pass(1_000);
    expect(told[0]).toMatchObject({ state: 'firing', value: 3 });
    await pass(120_000);
    await pass(1_000);
    expect(news()).toEqual(['hub firing', 'hub resolved']);
  });
});

describe('growth', () => {
  it('counts what was added within the window, with few samples and over a clock that is put back', () => {
    const growth = new Growth(60_000);
    expect([growth.add(0, 5), growth.add(30_000, 9), growth.add(60_000, 10)]).toEqual([0, 4, 5]);
    expect(growth.add(91_000, 10)).toBe(1);
    expect(growth.add(10, 12)).toBe(0);
  });
});

describe('the list of alerts', () => {
  it('is filtered, paged and counted, and forgets what was resolved a week ago', async () => {
    await rules.add('hot', HOT);
    say('a', 31);
    await pass(1_000);
    say('b', 31);
    say('a', 20);
    await pass(1_000);
    expect(alerts.list({ limit: 1 }).map(({ device }) => device)).toEqual(['b']);
    expect(alerts.list({ limit: 9, state: 'resolved' }).map(({ device }) => device)).toEqual(['a']);
    expect(alerts.list({ limit: 9, rule: 'cold' })).toEqual([]);
    expect(alerts.counts()).toEqual({ pending: 0, firing: 1, resolved: 1 });
    expect(alerts.isFull).toBe(false);
    clock += 8 * 86_400_000;
    expect(await alerts.prune()).toBe(1);
    expect(states()).toEqual(['b firing']);
  });
});
