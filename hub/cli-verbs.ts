/** What each verb of the CLI does: asks the operator API and shows the answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HubStatus } from './api/status.ts';
import { EXIT, type ServerEvent, type Session, type Verb } from './cli-session.ts';
import * as show from './cli-tables.ts';
import type { SessionRecord } from './devices/presence.ts';
import { backoffMs } from './kit/backoff.ts';
import { UserError } from './kit/errors.ts';
import type { QuarantinedReading } from './telemetry/quarantine.ts';

/** Devices asked for at a time. */
const PAGE = 500;
const WATCH_MS = 1_000;
/** The options of a query that are the API's own parameters. */
const ASKED = new Set(['stream', 'from', 'to', 'fields', 'every', 'fn', 'order', 'limit']);

export async function addDevice({ client, options, tags, print, hint }: Session, id = '') {
  const { description, expectedInterval, expires } = options;
  const body = {
    ...{ id, tags },
    ...(expires !== undefined && { expiresInMs: expires }),
    ...(description !== undefined && { description }),
    ...(expectedInterval !== undefined && { expectedIntervalMs: expectedInterval }),
  };
  const { token } = await client.json<{ token: string }>('POST', '/v1/devices', body);
  if (options.json) {
    print(JSON.stringify({ id, token }));
    return;
  }
  print(token);
  hint(`This is the token of ${id}, shown only now: put it into the device as Authorization: Bearer <token>.`);
}

export async function listDevices({ client, options, tags, color, print, hint }: Session) {
  const asked = filterOf(options, tags);
  const devices: show.ShownDevice[] = [];
  let cursor: string | undefined = '';
  while (cursor !== undefined) {
    const path: string = `/v1/devices?${new URLSearchParams({ ...asked, limit: String(PAGE), cursor })}`;
    const page: { devices: show.ShownDevice[]; next?: string } = await client.json('GET', path);
    devices.push(...page.devices);
    cursor = page.next;
  }
  if (options.json) print(JSON.stringify(devices, undefined, 2));
  else if (devices.length > 0) print(show.deviceTable(devices, Date.now(), color));
  else if (Object.keys(asked).length > 0) hint('There is no such device.');
  else hint('There are no devices yet: hub devices add ID');
}

/** What `ls` asks of the API beside the page. */
function filterOf({ presence }: Session['options'], tags: Session['tags']): Record<string, string> {
  const pairs = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  return { ...(presence && { presence: String(presence) }), ...(pairs.length > 0 && { tag: pairs.join(',') }) };
}

export async function listSessions({ client, options, color, print, hint }: Session, id = '') {
  const { sessions } = await client.json<{ sessions: SessionRecord[] }>('GET', pathOf`/v1/devices/${id}/sessions`);
  if (options.json) print(JSON.stringify(sessions, undefined, 2));
  else if (sessions.length === 0) hint(`${id} has never been connected.`);
  else print(show.sessionTable(sessions, Date.now(), color));
}

export async function showDevice({ client, options, color, print }: Session, id = '') {
  const device = await client.json<show.ShownDevice>('GET', pathOf`/v1/devices/${id}`);
  print(options.json ? JSON.stringify(device, undefined, 2) : show.deviceSheet(device, Date.now(), color));
}

export async function setDevice({ client, options, tags, color, print }: Session, id = '') {
  const { description, expectedInterval } = options;
  const body = {
    ...(Object.keys(tags).length > 0 && { tags }),
    ...(description !== undefined && { description }),
    ...(expectedInterval !== undefined && {
      expectedIntervalMs: expectedInterval === 'learn' ? null : expectedInterval,
    }),
  };
  if (Object.keys(body).length === 0) throw new UserError('Say what to change: hub devices set --help', EXIT.usage);
  const device = await client.json<show.ShownDevice>('PATCH', pathOf`/v1/devices/${id}`, body);
  print(options.json ? JSON.stringify(device, undefined, 2) : show.deviceSheet(device, Date.now(), color));
}

export async function removeDevice({ client, hint }: Session, id = '') {
  await client.json('DELETE', pathOf`/v1/devices/${id}`);
  hint(`Removed ${id}.`);
}

export function enable(enabled: boolean): Verb {
  return async ({ client, hint }, id = '') => {
    await client.json('PATCH', pathOf`/v1/devices/${id}`, { enabled });
    hint(`${id} is ${enabled ? 'enabled' : 'disabled'}.`);
  };
}

export async function revoke({ client, hint }: Session, id = '') {
  await client.json('DELETE', pathOf`/v1/devices/${id}/tokens`);
  hint(`${id} has no token any more.`);
}

export async function runQuery({ client, options, color, print, hint }: Session, device = '', stream = '') {
  const asked = Object.entries({ ...options, stream }).filter(
    ([name, value]) => ASKED.has(name) && value !== undefined,
  );
  const parameters = new URLSearchParams(asked.map(([name, value]): [string, string] => [name, String(value)]));
  const path = `${pathOf`/v1/devices/${device}/telemetry`}?${parameters}`;
  if (options.csv) {
    print((await client.text(path, 'text/csv')).trimEnd());
    return;
  }
  const answer = await client.json<{ rows: Record<string, unknown>[] }>('GET', path);
  if (options.json) print(JSON.stringify(answer, undefined, 2));
  else if (answer.rows.length === 0)
    hint(`No readings of ${device} in ${stream} between ${options.from} and ${options.to}.`);
  else print(show.rowTable(answer.rows, color));
}

export async function runTail(session: Session, device?: string) {
  const { options, stopped, hint } = session;
  const filter = { ...(device !== undefined && { device }), ...(options.stream && { stream: String(options.stream) }) };
  const path = `/v1/live?${new URLSearchParams(filter)}`;
  let { client } = session;
  let heard = false;
  for (let attempt = 0; !stopped.aborted; attempt += 1) {
    try {
      for await (const event of client.events(path)) {
        attempt = 0;
        heard = true;
        printEvent(event, session);
      }
      hint('The hub ended the stream. Connecting again.');
    } catch (error) {
      if (stopped.aborted) return;
      const unreachable = error instanceof UserError && error.exitCode === EXIT.unreachable;
      // What the hub refuses now it refuses again; and a first attempt that finds nobody shall say so.
      if (!unreachable || (attempt === 0 && !heard)) throw error;
      hint(`${error.message} Connecting again.`);
    }
    await pause(100 + backoffMs(attempt, 500, 10_000), stopped);
    client = await session.reconnect().catch(() => client);
  }
}

function printEvent({ event, data }: ServerEvent, { options, color, print, hint }: Session) {
  if (event === 'merged') hint(`${JSON.parse(data).count} readings were left out: this terminal is slow.`);
  if (event !== 'reading') return;
  if (options.json) {
    print(data);
    return;
  }
  const { device, stream, ...reading } = JSON.parse(data);
  print(`${color.cyan(device)} ${color.dim(stream)} ${show.readingText(reading)}`);
}

export async function runStatus(session: Session) {
  const { options, color, stopped, print, reprint } = session;
  const text = (status: HubStatus) => {
    return options.json ? JSON.stringify(status, undefined, options.watch ? 0 : 2) : show.statusSheet(status, color);
  };
  let { client } = session;
  if (!options.watch) {
    print(text(await client.json('GET', '/v1/status')));
    return;
  }
  while (!stopped.aborted) {
    const line = await client.json<HubStatus>('GET', '/v1/status').then(text, (error) => messageOf(error, stopped));
    if (stopped.aborted) return;
    if (options.json) print(line);
    else reprint(line);
    await pause(WATCH_MS, stopped);
    client = await session.reconnect().catch(() => client);
  }
}

/** A watcher outlives a restart of the hub: being unreachable is what it shows meanwhile. */
function messageOf(error: unknown, stopped: AbortSignal): string {
  if (stopped.aborted) return '';
  if (error instanceof UserError && error.exitCode === EXIT.unreachable) return error.message;
  throw error;
}

export async function listQuarantine({ client, options, color, print, hint }: Session) {
  const { device, limit } = options;
  const parameters = new URLSearchParams({ limit: String(limit), ...(device && { device: String(device) }) });
  const { readings } = await client.json<{ readings: QuarantinedReading[] }>('GET', `/v1/quarantine?${parameters}`);
  if (options.json) print(JSON.stringify(readings, undefined, 2));
  else if (readings.length === 0) hint('Nothing was refused.');
  else print(show.quarantineTable(readings, color));
}

/** Ctrl-C ends it early. */
async function pause(ms: number, stopped: AbortSignal) {
  await sleep(ms, undefined, { signal: stopped }).catch(() => {});
}

/** A path with its values escaped. */
function pathOf(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return String.raw({ raw: parts }, ...values.map(encodeURIComponent));
}
