/** What the page says in words: numbers, times, states, places, and what needs attention. */
import { describe, expect, it } from 'vitest';
import { stepsOf } from '../../../dashboard/src/commands/steps.ts';
import { fits, sortingOf, sortText, tagsOf } from '../../../dashboard/src/devices/device-filter.ts';
import { LANGUAGES, snippetOf } from '../../../dashboard/src/devices/snippets.ts';
import { withSteps } from '../../../dashboard/src/hub/catalog.ts';
import { type Command, targetText, withChanges } from '../../../dashboard/src/hub/commands.ts';
import { type Device, endWords } from '../../../dashboard/src/hub/devices.ts';
import { together } from '../../../dashboard/src/hub/live.ts';
import { changesFor } from '../../../dashboard/src/hub/live.ws.ts';
import { concernsOf, type HubStatus, quarantineWords, sinkWords } from '../../../dashboard/src/hub/status.ts';
import { bytes, distance, fieldValue, measured, span, unitSign, utcSecond } from '../../../dashboard/src/kit/format.ts';
import { ofAllKinds } from '../../../dashboard/src/overview/kinds.ts';
import { type Alert, alertConcerns } from '../../../dashboard/src/pages/alert-words.ts';
import { linkTo, placeOf } from '../../../dashboard/src/router.ts';

describe('numbers', () => {
  it.each([
    [21.456, '21.46'],
    [0.12345, '0.123'],
    [1006.4, '1,006.4'],
    [12345.6, '12,346'],
    [0, '0'],
    [1e-7, '1.00e-7'],
  ])('%s is written %s', (value, text) => expect(measured(value)).toBe(text));

  it('have the sign of their unit', () => {
    expect(fieldValue(21.5, { unit: 'Cel' })).toBe('21.5 °C');
    expect(fieldValue(0.98, { unit: '1' })).toBe('0.98');
    expect(fieldValue(true)).toBe('yes');
    expect(unitSign('kg.m/s')).toBe('kg·m/s');
  });

  it('that say where something is are told to the metre', () =>
    expect(fieldValue(47.651234, { unit: 'deg' })).toBe('47.65123 °'));

  it('have the digits of the step that the schema gives', () => {
    const schema = { properties: { energy: { multipleOf: 0.001 }, power: {} } };
    const fields = ['energy', 'power'].map((name) => ({ name, title: name, type: 'number' as const, unit: 'W' }));
    const [energy, power] = withSteps({ name: 's', title: 'S', description: '', fields, schema }).fields;
    expect(fieldValue(54321.125, energy)).toBe('54,321.125 W');
    expect(fieldValue(54321.125, power)).toBe('54,321 W');
    expect(fieldValue(22.5, { step: 5 })).toBe('22.5');
  });

  it('of bytes and spans are short', () => {
    expect([0, 999, 1_536, 4_294_967_296].map(bytes)).toEqual(['0 B', '999 B', '1.5 kB', '4.3 GB']);
    expect([0, 850, 2_000, 4_200, 61_000, 7_500_000, 90_000_000].map(span)).toEqual([
      '0 ms',
      '850 ms',
      '2 s',
      '4.2 s',
      '1 min 1 s',
      '2 h 5 min',
      '1 d 1 h',
    ]);
    expect(distance(0, 200_000)).toBe('3 min ago');
    expect(distance(7_200_000, 0)).toBe('in 2 h');
    expect(utcSecond(Date.UTC(2026, 1, 3, 4, 5, 6, 789))).toBe('2026-02-03 04:05:06 UTC');
  });
});

describe('a place', () => {
  it('comes back from its address, whatever is in it', () => {
    const address = linkTo(['devices', 'a/b ?#%', 'commands'], { tag: 'floor=1&2', empty: '' });
    const { parts, query } = placeOf(address);
    expect(parts).toEqual(['devices', 'a/b ?#%', 'commands']);
    expect([...query]).toEqual([['tag', 'floor=1&2']]);
  });

  it('that is no valid text is shown as it is', () =>
    expect(placeOf('#/devices/%E0%A4').parts).toEqual(['devices', '%E0%A4']));
});

const STATUS: HubStatus = {
  ...{ version: '1', node: 'n', startedAt: 0, uptimeMs: 1, ready: true, reasons: [] },
  devices: { known: 2, online: 2, silent: 0, offline: 0 },
  readings: { accepted: 1, rejected: 0, perSecond: 1 },
  frames: { received: 1, duplicate: 0, skipped: 0 },
  journal: { bytes: 1, limitBytes: 10, segments: 1, first: 0, next: 1, failing: false, damage: [] },
  sinks: [{ name: 'store', state: 'waiting', written: 1, refused: 0, lagFrames: 0, lagMs: 0 }],
  quarantine: { readings: 0, dropped: 0 },
  audit: { failing: false, waiting: 0, lost: 0 },
};

describe('what needs attention', () => {
  it('is nothing when all is well: a sink that waits has written everything', () => {
    expect(concernsOf(STATUS)).toEqual([]);
    expect(sinkWords(STATUS.sinks[0]!)).toBe('up to date');
  });

  it('begins with the gravest', () => {
    const sink = { ...STATUS.sinks[0]!, state: 'stalled', lagFrames: 40, lagMs: 90_000, lastError: 'wrong password' };
    const concerns = concernsOf({
      ...STATUS,
      sinks: [sink],
      devices: { ...STATUS.devices, silent: 3 },
      reasons: ['the journal cannot be written'],
    });
    expect(concerns.map(({ grave }) => grave)).toEqual([true, true, false]);
    expect(concerns[1]!.text).toBe(
      '40 frames wait in the journal, the oldest for 1 min 30 s; nothing is lost. It said: wrong password',
    );
    expect(concerns[2]).toMatchObject({ title: '3 devices silent', at: '#/devices?presence=silent' });
  });
});

it('what found no room in the quarantine was not kept, and nothing that was kept made room', () => {
  expect(quarantineWords({ readings: 3, dropped: 0 })).toBe('3 kept');
  expect(quarantineWords({ readings: 100_000, dropped: 2 })).toBe(
    '100,000 kept; 2 more found no room and were not kept, and the device was told',
  );
  const [concern] = concernsOf({ ...STATUS, quarantine: { readings: 3, dropped: 2 } });
  expect(concern!.text).toBe('They were refused; each has its reason. 2 more found no room.');
});

it('the end of a session is told with its reason and its detail apart', () => {
  const session = { id: 's', address: '::1', connectedAt: 0 };
  const flood = { reason: 'flood', detail: 'flow frames were ignored', closeCode: 4003 };
  expect(endWords({ ...session, endedAt: 1, ...flood })).toBe('flood: flow frames were ignored (4003)');
  expect(endWords({ ...session, endedAt: 1, reason: 'lost' })).toBe('lost');
  expect(endWords(session)).toBe('connected now');
});

it('a rule that fires for many devices is one matter', () => {
  const alert = (id: string, rule: string): Alert => ({
    ...{ id, rule, kind: 'offline', severity: 'warning', state: 'firing', since: 0 },
    ...{ device: id, summary: `${id}: offline` },
  });
  const concerns = alertConcerns([alert('a', 'gone'), alert('b', 'gone'), alert('c', 'other')]);
  expect(concerns.map(({ title, at }) => [title, at])).toEqual([
    ['“gone” fires 2 times', '#/alerts'],
    ['c: offline', '#/devices/c'],
  ]);
});

const device = (id: string, more: Partial<Device> = {}): Device => ({
  ...{ id, enabled: true, tags: {}, description: '', createdAt: 0, tokens: [], online: true },
  presence: { state: 'online', since: 0, reason: 'connected' },
  ...more,
});

describe('devices', () => {
  it('are found by words of id, description and tags, by presence and by tag', () => {
    const one = device('meter-7', { tags: { floor: '1' }, description: 'Cellar' });
    const all = { text: '', presence: '', tag: '' } as const;
    expect(fits(one, { ...all, text: 'CELL meter' })).toBe(true);
    expect(fits(one, { ...all, text: 'floor=1', tag: 'floor=1', presence: 'online' })).toBe(true);
    expect(fits(one, { ...all, presence: 'silent' })).toBe(false);
    expect(fits({ ...one, enabled: false }, { ...all, presence: 'disabled' })).toBe(true);
    expect(fits(one, { ...all, tag: 'floor=2' })).toBe(false);
  });

  it('are sorted as the address says, by the id when it says nothing that there is', () => {
    const columns = [{ name: 'id' }, { name: 'since' }];
    const sortings = ['since', '-since', '-id', ''].map((text) => sortingOf(text, columns));
    expect(sortings.map(sortText)).toEqual(['since', '-since', '-id', '']);
    for (const text of [null, 'mood', '-', '--id'])
      expect(sortingOf(text, columns)).toEqual({ column: 'id', down: false });
  });

  it('show their tags, the commonest first', () => {
    const devices = [
      device('a', { tags: { x: '1' } }),
      device('b', { tags: { x: '2' } }),
      device('c', { tags: { x: '2' } }),
    ];
    expect(tagsOf(devices)).toEqual(['x=2', 'x=1']);
  });

  it('of every kind are among a few', () => {
    const many = [
      ...Array.from({ length: 50 }, (_, index) => device(`meter-${index}`)),
      device('van-1'),
      device('pump-1'),
    ];
    expect(ofAllKinds(many, 4).map(({ id }) => id)).toEqual(['meter-0', 'meter-1', 'pump-1', 'van-1']);
    expect(ofAllKinds([device('a-1')], 4)).toHaveLength(1);
  });

  it.each(LANGUAGES)('get a program in %s with address and token in it', (language) => {
    const text = snippetOf(language, {
      url: 'wss://hub.example:8443/v1/device',
      token: 'thd_x',
      trust: {},
      stream: 'power',
      reading: { power: 1 },
    });
    for (const part of ['hub.example', '8443', '/v1/device', 'thd_x', 'power', 'telemetry-hub.v1'])
      expect(text).toContain(part);
  });
});

const COMMAND: Command = {
  ...{
    id: 'c1',
    device: 'a',
    name: 'identify',
    params: {},
    state: 'sent',
    createdAt: 1_000,
    updatedAt: 1_200,
    expiresAt: 9_000,
  },
  ...{ timeoutMs: 500, deadlineAt: 1_700, attempt: 1, actor: 'operator:admin' },
};

describe('a command', () => {
  it('shows what is behind it and what is to come', () => {
    expect(stepsOf(COMMAND).map(({ title, at, reached }) => [title, at, reached])).toEqual([
      ['queued', 1_000, true],
      ['sent', 1_200, true],
      ['accepted', undefined, false],
      ['done', undefined, false],
    ]);
  });

  it('that was never sent was not sent', () => {
    const { deadlineAt: _, ...queued } = COMMAND;
    const steps = stepsOf({ ...queued, state: 'expired', attempt: 0, finishedAt: 9_000 });
    expect(steps.map(({ title }) => title)).toEqual(['queued', 'expired']);
  });

  it('changes in its place; older news change nothing, new ones come first', () => {
    const newer = { ...COMMAND, state: 'succeeded' as const, updatedAt: 1_300 };
    const other = { ...COMMAND, id: 'c2' };
    const news = new Map([
      ['c1', newer],
      ['c2', other],
    ]);
    expect(withChanges([COMMAND], news, () => true)).toEqual([other, newer]);
    expect(withChanges([newer], new Map([['c1', COMMAND]]), () => false)).toEqual([newer]);
  });

  it('says for whom it is', () => {
    expect(targetText({ device: 'a' })).toBe('a');
    expect(targetText({ selector: { tags: {} } })).toBe('every device');
    expect(targetText({ selector: { tags: { floor: '1' }, devices: ['a', 'b', 'c', 'd'] } })).toBe(
      'floor=1 among a, b, c and 1 more',
    );
  });
});

describe('live news', () => {
  it('that several parts of a page want are asked for together', () => {
    expect(together([{ readings: ['b'] }, { readings: ['a', 'b'] }, { presence: true }])).toEqual({
      ...{ readings: ['a', 'b'], presence: true, commands: false },
    });
  });

  it('are subscribed to when they are first wanted, and no longer when nobody wants them', () => {
    const subscribed = new Map<string, string>();
    const want = { readings: ['a'], presence: false, commands: true };
    expect(changesFor(subscribed, want).map((frame) => JSON.parse(frame).id)).toEqual(['readings', 'commands']);
    expect(changesFor(subscribed, want)).toEqual([]);
    const last = changesFor(subscribed, { readings: ['b'], presence: false, commands: false }).map((frame) =>
      JSON.parse(frame),
    );
    expect(last).toMatchObject([
      { type: 'subscribe', devices: ['b'] },
      { type: 'unsubscribe', id: 'commands' },
    ]);
  });
});
