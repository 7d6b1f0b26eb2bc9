/** Tells a broker how commands end: each on its result topic, and to whoever asked for an answer. At least once. */
import type { Row, Table } from '../backplane/backplane.ts';
import { type Command, hasEnded, isFinal } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { Unavailable } from '../kit/errors.ts';
import type { BrokerLink, Message } from './link/link-port.ts';
import { HUBS_PROPERTY } from './origin.ts';
import { createToldMark } from './told-mark.ts';

/** Where an answer is wanted, as MQTT 5 says it. */
export interface ReplyTo {
  topic: string;
  /** Base64. */
  correlation?: string;
}

/** An answer that is still owed, by the id of its command. */
export interface OwedReply extends ReplyTo {
  broker: string;
}

/** A command that never came to be. */
export interface Rejection {
  device: string;
  name: string;
  error: { code: string; message: string };
  reply?: ReplyTo;
  /** The names cannot stand in a topic, so that only who asked can be told. */
  isUnnamed?: boolean;
}

export interface CommandResultsDeps {
  link: Pick<BrokerLink, 'name' | 'isConnected' | 'publish'>;
  commands: Pick<Commands, 'get' | 'list' | 'onChange'>;
  replies: Table<OwedReply>;
  /** By broker: ends of commands up to this moment (Unix milliseconds) were told. */
  told: Table<number>;
  resultTopic(device: string, command: string): string;
  hubId: string;
  /** False: only those who asked are told. */
  tellsAll: boolean;
  log: { warn(fields: object, message: string): void };
  now?: () => number;
  /** Between two attempts while the broker is away. */
  retryMs?: number;
}

export interface CommandResults {
  /** An answer can be promised. */
  readonly hasRoom: boolean;
  /** Durable when it resolves. Asked for in the turn in which the command is sent, it shares its transaction. */
  owe(command: string, reply: ReplyTo): Promise<unknown>;
  /** The command never came to be after all. */
  forgive(command: string): Promise<unknown>;
  /** Says at once, and as often as the connection breaks, that there will be no such command. Not kept over a restart. */
  reject(rejection: Rejection): void;
  status(): { waiting: number; published: number; dropped: number };
  /** Publishes nothing more; what was not told is told after the next start. Idempotent. */
  close(): Promise<void>;
}

/** Answers that may be owed, of all brokers. Policy: the next command that wants one is refused. */
const MAX_OWED = 10_000;
/** Ended commands remembered here; those beyond it are found again in the table of commands. */
const MAX_QUEUED = 10_000;
/** Policy: the oldest is left out. */
const MAX_REJECTIONS = 1_000;
const BATCH = 50;
const PAGE = 1_000;

export function createCommandResults(deps: CommandResultsDeps): CommandResults {
  const { link, commands, replies, told, hubId, tellsAll, log, now = Date.now, retryMs = 500 } = deps;
  /** Ids of ended commands that were not told yet, in the order of their ends. */
  const queue = new Set<string>();
  let rejections: Rejection[] = [];
  const counts = { published: 0, dropped: 0 };
  const mark = createToldMark(told, link.name, now());
  let isMissingSome = false;
  let isRunning = false;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  function enqueue(id: string): void {
    if (queue.size >= MAX_QUEUED) isMissingSome = true;
    else queue.add(id);
  }

  /** Finds what ended since the mark, and answers that are owed for what has ended. */
  function scan(): void {
    isMissingSome = false;
    const ended = [...endedSince(commands, mark.at)].sort((a, b) => a.finishedAt! - b.finishedAt!);
    for (const { id } of ended) enqueue(id);
    for (const { key, value } of replies.values()) {
      const command = value.broker === link.name && commands.get(key);
      if (command && isFinal(command.state)) enqueue(key);
    }
  }

  function wake(afterMs = 0): void {
    if (isRunning || isClosed) return;
    clearTimeout(timer);
    timer = setTimeout(run, afterMs);
    timer.unref();
  }

  async function run(): Promise<void> {
    if (isRunning || isClosed) return;
    isRunning = true;
    try {
      while (link.isConnected && !isClosed && (await publishSome())) {}
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
    } finally {
      isRunning = false;
    }
    if (queue.size + rejections.length > 0) wake(retryMs);
  }

  /** False when there is nothing to publish. Throws `Unavailable`, having lost nothing. */
  async function publishSome(): Promise<boolean> {
    if (queue.size === 0 && isMissingSome) scan();
    const refused = rejections.slice(0, BATCH);
    const ids = [...queue].slice(0, BATCH);
    if (refused.length + ids.length === 0) return false;
    await allOf([...refused.map(tellRejection), ...ids.map(tellEnd)]);
    return true;
  }

  async function tellRejection(rejection: Rejection): Promise<void> {
    const { device, name, error, reply, isUnnamed = false } = rejection;
    await publish({ device, command: name, state: 'rejected', error }, reply, !isUnnamed);
    rejections = rejections.filter((other) => other !== rejection);
  }

  async function tellEnd(id: string): Promise<void> {
    const command = commands.get(id);
    if (command) {
      const reply = ownReply(replies.get(id));
      await publish(resultOf(command), reply, tellsAll);
      if (reply && isFinal(command.state)) await replies.delete(id);
      // What ended otherwise meanwhile is told again.
      if (commands.get(id)?.state !== command.state) return;
      mark.reached(command.finishedAt ?? 0);
    }
    queue.delete(id);
    if (queue.size === 0 && !isMissingSome) mark.settle();
  }

  const ownReply = (row: Row<OwedReply> | undefined) => (row?.value.broker === link.name ? row.value : undefined);

  async function publish(result: Result, reply: ReplyTo | undefined, toAll: boolean): Promise<void> {
    const payload = JSON.stringify(result);
    const properties = { contentType: 'application/json', userProperties: { [HUBS_PROPERTY]: hubId } };
    const messages: Message[] = [];
    if (toAll && tellsAll)
      messages.push({ topic: deps.resultTopic(result.device, result.command), payload, properties });
    if (reply) messages.push(answerOf(reply, payload, properties));
    await allOf(messages.map(publishOne));
  }

  /** What the broker forbids is left out: sent again, it would be forbidden again and hold up the rest. */
  async function publishOne(message: Message): Promise<void> {
    try {
      await link.publish(message);
      counts.published += 1;
    } catch (error) {
      if (error instanceof Unavailable && !(error.stalled && link.isConnected)) throw error;
      counts.dropped += 1;
      log.warn({ broker: link.name, topic: message.topic.slice(0, 200), err: error }, 'the broker refused a result');
    }
  }

  commands.onChange(({ id, state, updatedAt, finishedAt }) => {
    // A late sign of life changes an unknown command, but not its end.
    if (isClosed || !hasEnded(state) || updatedAt !== finishedAt) return;
    if (!tellsAll && !ownReply(replies.get(id))) return;
    enqueue(id);
    wake();
  });
  forgetLost(replies, commands, link.name);
  scan();
  wake(retryMs);

  return {
    get hasRoom() {
      return replies.size < MAX_OWED;
    },
    owe: (command, { topic, correlation }) =>
      replies.set(command, { broker: link.name, topic, ...(correlation !== undefined && { correlation }) }),
    forgive: (command) => replies.delete(command),
    reject(rejection) {
      if (rejections.length >= MAX_REJECTIONS) {
        rejections.shift();
        counts.dropped += 1;
      }
      rejections.push(rejection);
      wake();
    },
    status: () => ({ waiting: queue.size + rejections.length, ...counts }),
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await mark.close();
    },
  };
}

/** What is published of a command that ended. */
interface Result extends Partial<Pick<Command, 'id' | 'value' | 'error' | 'misfit'>> {
  state: Command['state'];
  device: string;
  command: string;
}

function resultOf({ id, state, device, name, value, error, misfit }: Command): Result {
  const answer = { ...(value !== undefined && { value }), ...(error && { error }), ...(misfit && { misfit }) };
  return { id, state, device, command: name, ...answer };
}

function answerOf(
  { topic, correlation }: ReplyTo,
  payload: string,
  properties: NonNullable<Message['properties']>,
): Message {
  if (correlation === undefined) return { topic, payload, properties };
  return { topic, payload, properties: { ...properties, correlationData: Buffer.from(correlation, 'base64') } };
}

function* endedSince(commands: Pick<Commands, 'list'>, since: number): Generator<Command> {
  let before: string | undefined;
  do {
    const page = commands.list({ limit: PAGE, ...(before !== undefined && { before }) });
    for (const command of page.commands) if (hasEnded(command.state) && command.finishedAt! > since) yield command;
    before = page.next;
  } while (before !== undefined);
}

/** Answers to commands that the hub has forgotten are owed to nobody. */
function forgetLost(replies: Table<OwedReply>, commands: Pick<Commands, 'get'>, broker: string): void {
  for (const { key, value } of [...replies.values()]) {
    if (value.broker === broker && !commands.get(key)) replies.delete(key).catch(() => {});
  }
}

/** Waits for all, also when one fails; then throws the first failure. */
async function allOf(work: Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
}
