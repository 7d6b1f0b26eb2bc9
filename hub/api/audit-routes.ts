/** The route of the audit log: who changed what. */
import type { Audit } from '../audit/audit.ts';
import type { AuditWords } from './audit-words.ts';
import { BY_NUMBER, cutPage, pageOf, paging } from './page.ts';
import { object, query, type Route, type Schema } from './route.ts';

export interface AuditRouteDeps {
  audit: Pick<Audit, 'list'>;
}

const TEXT: Schema = { type: 'string', maxLength: 128 };
const ENTRY: Schema = object(
  {
    id: { type: 'integer', examples: [4711] },
    at: { type: 'number', description: 'Unix milliseconds.', examples: [1760000000000] },
    actor: {
      type: 'string',
      description: '`operator:<name>`, `schedule:<id>`, `device:<id>`, `hub`, or `unknown` without a good token.',
      examples: ['operator:admin'],
    },
    action: { type: 'string', examples: ['POST /v1/devices/:id/commands'] },
    words: {
      type: 'string',
      description: 'The action for people; absent of what has no name.',
      examples: ['sent a command'],
    },
    target: { type: 'string', description: 'The id of what was changed, or empty.', examples: ['meter-7'] },
    result: { type: 'string', description: '`ok`, or the word of the refusal.', examples: ['ok'] },
    from: { type: 'string', description: 'Client address.', examples: ['127.0.0.1'] },
    detail: { type: 'string', examples: ['name=reboot'] },
  },
  ['words', 'from', 'detail'],
);

/** Looking takes an operator: the log tells who works when. */
export function auditRoutes({ audit }: AuditRouteDeps, wordsOf: AuditWords): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/audit',
      role: 'operator',
      tag: 'audit',
      summary: 'Who changed what, when, from where and with what result; newest first.',
      query: query({
        target: { ...TEXT, description: 'Only about this id.', examples: ['meter-7'] },
        actor: { ...TEXT, description: 'Only by this actor, or by the operator of this name.', examples: ['admin'] },
        ...paging(BY_NUMBER),
      }),
      answers: {
        200: { description: 'A page; `next` is absent on the last.', schema: pageOf('entries', ENTRY) },
      },
      async handle({ query: { target, actor, limit, cursor } }) {
        const most = Number(limit);
        // One more than asked for tells whether there is a next page.
        const found = await audit.list({
          limit: most + 1,
          ...(target !== undefined && { target: String(target) }),
          ...(actor !== undefined && { actor: String(actor) }),
          ...(cursor !== undefined && { before: Number(cursor) }),
        });
        const { items, next } = cutPage(found, most, ({ id }) => id);
        const entries = items.map((entry) => ({ ...entry, ...told(wordsOf(entry)) }));
        return { body: { entries, ...next } };
      },
    },
  ];
}

const told = (words: string | undefined) => (words === undefined ? {} : { words });
