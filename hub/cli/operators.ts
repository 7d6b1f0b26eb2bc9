/** The verbs of operators, and of the tokens of devices after their first. */
import { type Command, Option } from 'commander';
import { spanText } from '../kit/span.ts';
import { type Operator, ROLES } from '../operators/operators.ts';
import { durationOf } from './arguments.ts';
import { type AddVerb, pathOf, type Session } from './session.ts';
import { table, time } from './tables.ts';

/** What the hub answers where it makes a token. */
export interface NewToken {
  token: string;
  /** Unix milliseconds; absent: never. */
  expiresAt?: number;
}

const NEXT_LIFE = 'it dies after so long, or never; without it as long as the one before was made for';

/** Adds `hub operators …`. */
export function registerOperators(program: Command, verb: AddVerb): void {
  const operators = program.command('operators').description('Who may ask the hub, and what.');
  const add = verb(
    operators,
    'add <name>',
    'Adds an operator and prints its token, once.',
    addOperator,
    [
      'hub operators add vera --role viewer',
      'hub operators add ci --role operator --expires 30d --json | jq -r .token',
    ],
    'admin',
  );
  add.addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory());
  add.option('--expires <duration>', 'the token dies after so long; never without it', durationOf);
  add.option('--json', 'exactly {"id","token"}');
  verb(operators, 'ls', 'All operators.', listOperators, ['hub operators ls'], 'admin').option('--json', 'as JSON');
  verb(
    operators,
    'rm <name>',
    'Removes an operator and its token; the last admin stays.',
    removeOperator,
    ['hub operators rm vera'],
    'admin',
  );
  verb(
    operators,
    'rotate <name>',
    'Prints another token, once; the one before dies at once.',
    rotateOperator,
    ['hub operators rotate vera', 'hub operators rotate vera --expires 90d'],
    'admin',
  )
    .option('--expires <duration>', NEXT_LIFE, lifeOf)
    .option('--json', 'exactly {"id","token"}');
}

/** Adds `rotate` to the verbs of devices. */
export function registerRotation(devices: Command, verb: AddVerb): void {
  verb(
    devices,
    'rotate <device>',
    'Prints its next token, once, and sends it to the device if it is connected.',
    rotateDevice,
    ['hub devices rotate meter-7', 'hub devices rotate meter-7 --expires 90d --overlap 1d --json | jq -r .token'],
    'operator',
  )
    .option('--expires <duration>', NEXT_LIFE, lifeOf)
    .option('--overlap <duration>', 'the present token dies after so long at the latest (7d)', durationOf)
    .option('--json', 'exactly {"id","token"}');
}

async function addOperator(session: Session, name = '') {
  const { client, options } = session;
  const body = { name, role: options.role, ...bodyOf(options) };
  const made = await client.json<NewToken>('POST', '/v1/operators', body);
  showToken(
    session,
    name,
    made,
    `This is the token of ${name}, shown only now: use it as HUB_TOKEN, or as Bearer token.`,
  );
}

async function listOperators({ client, options, color, print }: Session) {
  const { operators } = await client.json<{ operators: Operator[] }>('GET', '/v1/operators');
  if (options.json) {
    print(JSON.stringify(operators, undefined, 2));
    return;
  }
  const rows = operators.map(({ name, role, createdAt, expiresAt }) => [
    name,
    role,
    time(createdAt),
    expiresAt === undefined ? 'never' : expiresAt <= Date.now() ? color.red('expired') : time(expiresAt),
  ]);
  print(table(['OPERATOR', 'ROLE', 'ADDED', 'EXPIRES'], rows, color));
}

async function removeOperator({ client, hint }: Session, name = '') {
  await client.json('DELETE', pathOf`/v1/operators/${name}`);
  hint(`Removed ${name}.`);
}

async function rotateOperator(session: Session, name = '') {
  const path = pathOf`/v1/operators/${name}/tokens`;
  const made = await session.client.json<NewToken>('POST', path, bodyOf(session.options));
  showToken(session, name, made, `This is the next token of ${name}, shown only now; the one before is worth nothing.`);
}

async function rotateDevice(session: Session, id = '') {
  const path = pathOf`/v1/devices/${id}/tokens`;
  const made = await session.client.json<NewToken & { pushed: boolean }>('POST', path, bodyOf(session.options));
  const how = made.pushed ? 'It was sent to the device.' : 'The device is not connected: put it there.';
  showToken(session, id, made, `This is the next token of ${id}, shown only now. ${how}`);
}

const lifeOf = (text: string) => (text === 'never' ? text : durationOf(text));

function bodyOf({ expires, overlap }: Session['options']) {
  return {
    ...(expires !== undefined && { expiresInMs: expires === 'never' ? null : expires }),
    ...(overlap !== undefined && { overlapMs: overlap }),
  };
}

/** The token alone, or exactly its id and the token as JSON; and beside it what to do with it, and until when. */
export function showToken({ options, print, hint }: Session, id: string, made: NewToken, sentence: string): void {
  const { token, expiresAt } = made;
  if (options.json) {
    print(JSON.stringify({ id, token }));
    return;
  }
  print(token);
  hint(sentence);
  hint(
    expiresAt === undefined
      ? 'It never expires.'
      : `It expires ${time(expiresAt)}, in ${spanText(expiresAt - Date.now())}.`,
  );
}
