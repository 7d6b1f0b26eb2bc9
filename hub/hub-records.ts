/** Builds what the hub knows: devices and their presence, operators, the audit log, commands, groups and schedules. */
import { join } from 'node:path';
import type { Catalog } from '../schemas/index.ts';
import { createSqliteAudit } from './audit/audit.sqlite.ts';
import type { Audit } from './audit/audit.ts';
import { openBackplane } from './backplane/backplane.sqlite.ts';
import type { Backplane } from './backplane/backplane.ts';
import type { Command } from './commands/command.ts';
import { type Commands, createCommands } from './commands/commands.ts';
import { createGroups, type Groups } from './commands/groups.ts';
import { createSchedules, type Schedules } from './commands/schedules.ts';
import { createDevices, type DeviceRow, type Devices } from './devices/devices.ts';
import { createPresence, type PresenceBook } from './devices/presence.ts';
import type { HubStart } from './hub.ts';
import { readCron } from './jobs.cron.ts';
import { ensureAdmin } from './operators/admin-token.file.ts';
import { type BrowserSessions, createBrowserSessions } from './operators/browser-sessions.ts';
import { createOperators, type OperatorRow, type Operators } from './operators/operators.ts';

export interface Records {
  backplane: Backplane;
  devices: Devices;
  presence: PresenceBook;
  operators: Operators;
  browserSessions: BrowserSessions;
  audit: Audit;
  commands: Commands;
  groups: Groups;
  schedules: Schedules;
}

export async function openRecords(start: HubStart, types: Catalog['commands']): Promise<Records> {
  const { dataDir, stack } = start;
  const backplane = openBackplane(join(dataDir, 'hub.db'));
  stack.push('backplane', () => backplane.close());
  const devices = createDevices(backplane.table<DeviceRow>('devices'), { seen: backplane.table('seen') });
  stack.push('devices', () => devices.close());
  const presence = createPresence({
    presence: backplane.table('presence'),
    sessions: backplane.table('sessions'),
    expectedIntervalMs: (id) => devices.get(id)?.expectedIntervalMs,
  });
  stack.push('presence', () => presence.close());
  const operators = createOperators(backplane.table<OperatorRow>('operators'));
  const browserSessions = createBrowserSessions({ operators, table: backplane.table('browser-sessions') });
  const madeAdmin = await ensureAdmin(operators, join(dataDir, 'admin.token'));
  const audit = await openAudit(start);
  if (madeAdmin) await audit.record(ADMIN_MADE);
  const told = { backplane, devices, presence, operators, browserSessions, audit };
  return { ...told, ...openCommands(start, backplane, types, devices, audit) };
}

const ADMIN_MADE = {
  actor: 'hub',
  action: 'operator.token',
  target: 'admin',
  result: 'ok',
  detail: 'its token is in admin.token',
} as const;

async function openAudit({ dataDir, log, stack }: HubStart): Promise<Audit> {
  const audit = await createSqliteAudit({
    file: join(dataDir, 'audit.db'),
    onTrouble: (error, lost) =>
      log.error({ err: error, lost }, 'the audit log could not be written; it is tried again'),
  });
  stack.push('audit', () => audit.close());
  return audit;
}

function openCommands(
  { log, stack }: HubStart,
  backplane: Backplane,
  types: Catalog['commands'],
  devices: Devices,
  audit: Audit,
): Pick<Records, 'commands' | 'groups' | 'schedules'> {
  const commands = createCommands({
    table: backplane.table<Command>('commands'),
    types,
    deviceSince: (id) => devices.get(id)?.createdAt,
    audit: audit.record,
    onError: (error) => log.error({ err: error }, 'a change of a command could not be stored; it is tried again'),
  });
  stack.push('commands', async () => commands.close());
  const groups = createGroups({
    table: backplane.table('groups'),
    members: backplane.table('group-members'),
    commands,
    devices,
    onTrouble: (error) => log.error({ err: error }, 'a group command could not go on; it is tried again'),
  });
  stack.push('groups', () => groups.close());
  const schedules = createSchedules({
    table: backplane.table('schedules'),
    runs: backplane.table('runs'),
    commands,
    groups,
    deviceExists: (id) => devices.get(id) !== undefined,
    audit: audit.record,
    readCron,
  });
  return { commands, groups, schedules };
}
