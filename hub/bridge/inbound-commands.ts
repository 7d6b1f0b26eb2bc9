/** Commands from a broker: a topic for each device and command, the same road as an operator's request. */
import { hash, randomBytes } from 'node:crypto';
import type { Command } from '../commands/command.ts';
import { type CommandRequest, TTL_MS } from '../commands/command-request.ts';
import type { Commands } from '../commands/commands.ts';
import { DEVICE_ID } from '../devices/device-details.ts';
import { RefusedError } from '../kit/errors.ts';
import type { CommandResults, ReplyTo } from './command-results.ts';
import type { Incoming } from './link/link-port.ts';
import { faultOfTopic } from './link/topic-name.ts';
import { actorOf } from './sender.ts';

export interface InboundCommandsDeps {
  /** Name of the broker. */
  broker: string;
  commands: Pick<Commands, 'send' | 'list'>;
  results: Pick<CommandResults, 'hasRoom' | 'owe' | 'forgive' | 'reject'>;
  /** Device and command of a topic; undefined when it is none for commands. */
  parseTopic(topic: string): { device: string; command: string } | undefined;
  /** Whether the hub itself publishes there or listens there: no place for an answer. */
  isOwnTopic(topic: string): boolean;
  audit(event: AuditedCommand): Promise<void>;
  now?: () => number;
}

/** A line of the audit log. */
export interface AuditedCommand {
  actor: string;
  action: 'command.send';
  target: string;
  /** `ok`, or the word of the refusal. */
  result: string;
  from: string;
  detail: string;
}

export interface InboundCommands {
  /**
   * Resolves when the command is durable, or when it was refused and its refusal is on its way. Throws `Unavailable` when
   * neither could be done.
   */
  receive(message: Incoming): Promise<void>;
  /** Since the hub started. `repeated`: deliveries of a message that had made its command already. */
  readonly counts: Readonly<{ received: number; sent: number; repeated: number; refused: number }>;
  /** Why the last one was refused. */
  readonly lastRefusal: string | undefined;
}

const COMMAND_NAME = /^[a-z][A-Za-z0-9_-]{0,63}$/;
/** Params have 4 KiB at most; what is much longer is not even read. */
const MAX_PAYLOAD_BYTES = 65_536;
const MAX_RESPONSE_TOPIC = 1_024;
const MAX_CORRELATION_BYTES = 1_024;
/** A message that comes again after so long is another one. */
const REMEMBERED_MS = 7 * 86_400_000;
/** More than a device can have: 200 that ended, 200 that did not. */
const ALL_OF_DEVICE = 500;

export function createInboundCommands(deps: InboundCommandsDeps): InboundCommands {
  const { broker, commands, results, parseTopic, isOwnTopic, audit, now = Date.now } = deps;
  const counts = { received: 0, sent: 0, repeated: 0, refused: 0 };
  let lastRefusal: string | undefined;
  /** Being stored, by fingerprint. At most as many as messages are in hand. */
  const storing = new Map<string, Promise<Command>>();

  /** The command that an earlier delivery of this message made. */
  async function earlierOf(device: string, fingerprint: string): Promise<Command | undefined> {
    const underWay = await storing.get(fingerprint)?.catch(() => undefined);
    if (underWay) return underWay;
    const since = now() - REMEMBERED_MS;
    const { commands: known } = commands.list({ device, limit: ALL_OF_DEVICE });
    return known.find(({ id, createdAt }) => id.startsWith(`mqtt-${fingerprint}-`) && createdAt > since);
  }

  async function send(request: CommandRequest & { id: string }, reply: ReplyTo | undefined): Promise<Command> {
    const sent = commands.send(request);
    if (!reply) return sent;
    try {
      // In one turn, so in one transaction: there is no command without its answer.
      const [command] = await Promise.all([sent, results.owe(request.id, reply)]);
      return command;
    } catch (error) {
      await results.forgive(request.id);
      throw error;
    }
  }

  async function take(message: Incoming, request: CommandRequest, reply: ReplyTo | undefined): Promise<void> {
    const fingerprint = fingerprintOf(broker, message);
    if (message.dup && (await earlierOf(request.device, fingerprint))) {
      counts.repeated += 1;
      return;
    }
    const id = `mqtt-${fingerprint}-${randomBytes(8).toString('hex')}`;
    const work = send({ ...request, id }, reply);
    storing.set(fingerprint, work);
    try {
      await work;
    } finally {
      if (storing.get(fingerprint) === work) storing.delete(fingerprint);
    }
    counts.sent += 1;
    await audit({ ...lineOf(request), result: 'ok', detail: `${request.name} ${id}` });
  }

  const lineOf = ({ actor, device }: Pick<CommandRequest, 'actor' | 'device'>) => {
    return { actor, action: 'command.send', target: device, from: broker } as const;
  };

  async function refuse(
    request: Pick<CommandRequest, 'actor' | 'device' | 'name'>,
    reply: ReplyTo | undefined,
    { code, detail }: RefusedError,
  ) {
    const { device, name } = request;
    counts.refused += 1;
    lastRefusal = `${device.slice(0, 80)} ${name.slice(0, 80)}: ${detail}`;
    const isUnnamed = !DEVICE_ID.test(device) || !COMMAND_NAME.test(name);
    results.reject({
      device: device.slice(0, 80),
      name: name.slice(0, 80),
      error: { code, message: detail },
      isUnnamed,
      ...(reply && { reply }),
    });
    await audit({ ...lineOf(request), target: device.slice(0, 80), result: code, detail: name.slice(0, 80) });
  }

  /** Where the answer goes; `fault` says why it cannot go there. */
  function replyOf({ properties }: Incoming): { reply?: ReplyTo; fault?: string } {
    const { responseTopic: topic, correlationData } = properties;
    if (topic === undefined) return {};
    const fault = topic.length > MAX_RESPONSE_TOPIC ? 'is too long' : faultOfTopic(topic);
    if (fault) return { fault: `The response topic ${fault}.` };
    if (topic.startsWith('$')) return { fault: "The response topic is one of the broker's own." };
    if (isOwnTopic(topic)) return { fault: "The response topic is one of the hub's own." };
    if (!correlationData) return { reply: { topic } };
    if (correlationData.length > MAX_CORRELATION_BYTES)
      return { fault: `The correlation data has more than ${MAX_CORRELATION_BYTES} bytes.` };
    return { reply: { topic, correlation: correlationData.toString('base64') } };
  }

  return {
    counts,
    get lastRefusal() {
      return lastRefusal;
    },
    async receive(message) {
      counts.received += 1;
      const names = parseTopic(message.topic);
      if (!names) {
        counts.refused += 1;
        return;
      }
      const { reply, fault } = replyOf(message);
      const request = { device: names.device, name: names.command, actor: actorOf(broker, message), ...ttlOf(message) };
      try {
        if (message.retain) throw new RefusedError('invalid', RETAINED);
        if (fault) throw new RefusedError('invalid', fault);
        if (reply && !results.hasRoom)
          throw new RefusedError('unavailable', 'Too many answers wait for their brokers.');
        await take(message, { ...request, params: paramsOf(message.payload) }, reply);
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        await refuse(request, reply, error);
      }
    },
  };
}

const RETAINED = 'A retained command would run again at each connection; publish it without the retain flag.';

function paramsOf(payload: Buffer): Record<string, unknown> {
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw new RefusedError('invalid', 'The payload is longer than any params may be.');
  const text = payload.toString().trim();
  if (text === '') return {};
  let params: unknown;
  try {
    params = JSON.parse(text);
  } catch {
    throw new RefusedError(
      'invalid',
      'The payload is not JSON; it is the params of the command, such as {"seconds": 5}.',
    );
  }
  if (typeof params !== 'object' || params === null || Array.isArray(params))
    throw new RefusedError(
      'invalid',
      'The payload is no JSON object; it is the params of the command, such as {"seconds": 5}.',
    );
  return params as Record<string, unknown>;
}

/** The broker drops what has expired on its way; what is left of the time is how long the device may be away. */
function ttlOf({ properties: { messageExpiryInterval: seconds } }: Incoming): { ttlMs?: number } {
  if (seconds === undefined) return {};
  return { ttlMs: Math.min(seconds * 1_000, TTL_MS.max) };
}

/** The same for each delivery of a message. */
function fingerprintOf(broker: string, { topic, payload, properties }: Incoming): string {
  const { responseTopic = '', correlationData } = properties;
  const parts = [broker, topic, payload.toString('base64'), responseTopic, correlationData?.toString('base64') ?? ''];
  return hash('sha256', JSON.stringify(parts), 'base64url').slice(0, 22);
}
