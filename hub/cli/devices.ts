/** The verbs of devices: who may connect, who is there, and what is known of each. */
import { type Command, Option } from 'commander';
import { PRESENCE_STATES, type SessionRecord } from '../devices/presence.ts';
import { UserError } from '../kit/errors.ts';
import { durationOf, pairOf } from './arguments.ts';
import { type NewToken, registerRotation, showToken } from './operators.ts';
import { type AddVerb, EXIT, pathOf, type Session, type Verb } from './session.ts';
import * as show from './tables.ts';

/** Devices asked for at a time. */
const PAGE = 500;

/** Adds `hub devices …`. */
export function registerDevices(program: Command, verb: AddVerb): void {
  const devices = program.command('devices').description('Who may connect.');
  registerAdding(devices, verb);
  registerRotation(devices, verb);
  registerLooking(devices, verb);
  registerSetting(devices, verb);
  const change = (usage: string, description: string, run: Verb, example: string) =>
    verb(devices, usage, description, run, [example], 'operator');
  change('rm <device>', 'Removes a device; its readings stay.', removeDevice, 'hub devices rm meter-7');
  change('enable <device>', 'Lets a device connect again.', enable(true), 'hub devices enable meter-7');
  change('disable <device>', 'Closes its connection and keeps it out.', enable(false), 'hub devices disable meter-7');
  change('revoke <device>', 'Takes its tokens and closes its connection.', revoke, 'hub devices revoke meter-7');
}

function registerAdding(devices: Command, verb: AddVerb) {
  verb(
    devices,
    'add <id>',
    'Adds a device and prints its token, once.',
    addDevice,
    [
      'hub devices add meter-7 --tag building=north --description "Main meter"',
      'hub devices add meter-7 --json | jq -r .token',
    ],
    'operator',
  )
    .option('--tag <name=value>', 'may be repeated', pairOf)
    .option('--description <text>', 'for people')
    .option('--expected-interval <duration>', 'silent without a reading for so long; learnt without it', durationOf)
    .option('--expires <duration>', 'the token dies after so long; never without it', durationOf)
    .option('--json', 'exactly {"id","token"}');
}

function registerLooking(devices: Command, verb: AddVerb) {
  verb(devices, 'ls', 'All devices, or those that are asked for.', listDevices, [
    'hub devices ls',
    'hub devices ls --presence silent --tag building=north',
    'hub devices ls --json | jq -r .[].id',
  ])
    .addOption(new Option('--presence <state>', 'only those in this state').choices(PRESENCE_STATES))
    .option('--tag <name=value>', 'only those with this tag; may be repeated', pairOf)
    .option('--json', 'as JSON');
  const sessions = 'Its last connections, and how each ended.';
  verb(devices, 'sessions <device>', sessions, listSessions, ['hub devices sessions meter-7']).option(
    '--json',
    'as JSON',
  );
  const one = 'One device and its last readings.';
  verb(devices, 'show <device>', one, showDevice, ['hub devices show meter-7']).option('--json', 'as JSON');
}

function registerSetting(devices: Command, verb: AddVerb) {
  verb(
    devices,
    'set <device>',
    'Changes what is known of a device.',
    setDevice,
    [
      'hub devices set meter-7 --description "Main meter" --tag building=north --tag floor=1',
      'hub devices set meter-7 --expected-interval 5m',
      'hub devices set meter-7 --expected-interval learn',
    ],
    'operator',
  )
    .option('--tag <name=value>', 'REPLACES all its tags; repeat it for each tag it shall have', pairOf)
    .option('--description <text>', 'for people')
    .option('--expected-interval <duration>', 'silent without a reading for so long, or learn', (text) =>
      text === 'learn' ? text : durationOf(text),
    )
    .option('--json', 'as JSON');
}

async function addDevice(session: Session, id = '') {
  const { client, options, tags } = session;
  const { description, expectedInterval, expires } = options;
  const body = {
    ...{ id, tags },
    ...(expires !== undefined && { expiresInMs: expires }),
    ...(description !== undefined && { description }),
    ...(expectedInterval !== undefined && { expectedIntervalMs: expectedInterval }),
  };
  const made = await client.json<NewToken>('POST', '/v1/devices', body);
  const use = 'put it into the device as Authorization: Bearer <token>';
  showToken(session, id, made, `This is the token of ${id}, shown only now: ${use}.`);
}

async function listDevices({ client, options, tags, color, print, hint }: Session) {
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

async function listSessions({ client, options, color, print, hint }: Session, id = '') {
  const { sessions } = await client.json<{ sessions: SessionRecord[] }>('GET', pathOf`/v1/devices/${id}/sessions`);
  if (options.json) print(JSON.stringify(sessions, undefined, 2));
  else if (sessions.length === 0) hint(`${id} has never been connected.`);
  else print(show.sessionTable(sessions, Date.now(), color));
}

async function showDevice({ client, options, color, print }: Session, id = '') {
  const device = await client.json<show.ShownDevice>('GET', pathOf`/v1/devices/${id}`);
  print(options.json ? JSON.stringify(device, undefined, 2) : show.deviceSheet(device, Date.now(), color));
}

async function setDevice({ client, options, tags, color, print }: Session, id = '') {
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

async function removeDevice({ client, hint }: Session, id = '') {
  await client.json('DELETE', pathOf`/v1/devices/${id}`);
  hint(`Removed ${id}.`);
}

function enable(enabled: boolean): Verb {
  return async ({ client, hint }, id = '') => {
    await client.json('PATCH', pathOf`/v1/devices/${id}`, { enabled });
    hint(`${id} is ${enabled ? 'enabled' : 'disabled'}.`);
  };
}

async function revoke({ client, hint }: Session, id = '') {
  await client.json('DELETE', pathOf`/v1/devices/${id}/tokens`);
  hint(`${id} has no token any more.`);
}
