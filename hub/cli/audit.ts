/** The verb of the audit log: who changed what. */
import type { Command } from 'commander';
import type { AuditEntry } from '../audit/audit.ts';
import type { AddVerb, Session } from './session.ts';
import { type Colors, cell, table, time } from './tables.ts';

export function registerAudit(program: Command, verb: AddVerb): void {
  verb(
    program,
    'audit',
    'Who changed what, when, from where and with what result.',
    showAudit,
    [
      'hub audit --target meter-7',
      'hub audit --actor otto --limit 20',
      'hub audit --json | jq \'.[] | select(.result != "ok")\'',
    ],
    'operator',
  )
    .option('--target <id>', 'only about this device, command, schedule, operator …')
    .option('--actor <actor>', 'only by this operator, or schedule:ID, device:ID, unknown')
    .option('--limit <rows>', 'at most so many', '50')
    .option('--cursor <cursor>', 'go on where the list before ended')
    .option('--json', 'as JSON');
}

/** `words`: its action for people. */
type ToldEntry = AuditEntry & { words?: string };

async function showAudit({ client, options, color, print, hint }: Session) {
  const asked = ['target', 'actor', 'limit', 'cursor'].flatMap((name) => {
    return options[name] === undefined ? [] : [[name, String(options[name])] as [string, string]];
  });
  const page = await client.json<{ entries: ToldEntry[]; next?: string }>(
    'GET',
    `/v1/audit?${new URLSearchParams(asked)}`,
  );
  // Programs go by the action, which stays.
  if (options.json)
    print(
      JSON.stringify(
        page.entries.map(({ words: _, ...entry }) => entry),
        undefined,
        2,
      ),
    );
  else if (page.entries.length === 0) hint('There are no such entries.');
  else print(auditTable(page.entries, color));
  if (page.next !== undefined) hint(`There are older ones: --cursor ${page.next}`);
}

function auditTable(entries: ToldEntry[], color: Colors): string {
  const rows = entries.map(({ at, actor, action, words = action, target, result, from, detail }) => [
    time(at),
    cell(actor),
    words,
    cell(target),
    result === 'ok' ? color.green(result) : color.red(result),
    cell(from),
    cell(detail),
  ]);
  return table(['WHEN', 'WHO', 'WHAT', 'TARGET', 'RESULT', 'FROM', 'DETAIL'], rows, color);
}
