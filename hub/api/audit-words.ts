/** The actions of the audit log in words for people: `rotated the token` for `POST /v1/devices/:id/tokens`. */
import type { AuditEvent } from '../audit/audit.ts';
import type { Route } from './route.ts';

/** What is recorded by others than the routes; written as the deed of a route is. */
const DEEDS: Record<string, string> = {
  'command.progress': "tell/told how another's command went",
  'command.result': "answer/answered another's command",
  'command.send': 'send/sent a command',
  'device.connect': 'connect/connected',
  'device.register': 'add/added the device',
  'mqtt.connect': 'sign/signed in to the broker',
  'mqtt.publish': 'publish/published to the topic',
  'operator.token': 'make/made the first token',
  'schedule.run': 'run/ran the schedule',
};

export type AuditWords = (event: Pick<AuditEvent, 'action' | 'result'>) => string | undefined;

/** What was done, or tried; undefined for what has no name: a route of a hub before this one, or none at all. */
export function createAuditWords(routes: readonly Route[]): AuditWords {
  const deeds = new Map(Object.entries(DEEDS));
  for (const { method, path, deed } of routes) deeds.set(`${method} ${path}`, deed ?? 'look/looked');
  return ({ action, result }) => {
    const deed = deeds.get(action);
    if (deed === undefined) return undefined;
    const [, infinitive, past, rest] = /^(\w+)\/(\w+)(.*)$/.exec(deed)!;
    return result === 'ok' ? past! + rest! : `tried to ${infinitive}${rest}`;
  };
}
