/** What hosts ask of devices over Sparkplug (DCMD): metrics in, commands out. */
import { createHash } from 'node:crypto';
import type { Catalog } from '../../../schemas/index.ts';
import type { Command } from '../../commands/command.ts';
import type { CommandRequest } from '../../commands/command-request.ts';
import type { Commands } from '../../commands/commands.ts';
import { RefusedError } from '../../kit/errors.ts';
import type { Incoming } from '../link/link-port.ts';
import { actorOf } from '../sender.ts';
import {
  type CommandMetric,
  type Metric,
  metricsOfCommand,
  type ReceivedMetric,
  type ReceivedPayload,
} from './sparkplug.ts';

/** One command that a message asks for. */
export interface Order {
  name: string;
  params: Record<string, unknown>;
}

type OrderMessage = Pick<Incoming, 'topic' | 'payload' | 'properties'>;

export interface EdgeCommands {
  /**
   * Durable when it resolves; the words of what was refused. Throws when the hub cannot keep it now. The same message
   * again is the same command.
   */
  take(device: string, payload: ReceivedPayload, message: OrderMessage): Promise<string[]>;
}

/** A message asks for no more commands than these. Policy: the rest is refused. */
const MAX_ORDERS = 16;

/** `broker` stands in the actor of the commands. */
export function createEdgeCommands(
  commands: Pick<Commands, 'send'>,
  types: Catalog['commands'],
  broker: string,
): EdgeCommands {
  const known = new Map([...types.values()].flatMap(metricsOfCommand).map((metric) => [metric.name, metric]));

  async function ask(request: CommandRequest): Promise<string | undefined> {
    try {
      await commands.send(request);
    } catch (error) {
      if (error instanceof RefusedError) return `${request.name}: ${error.detail}`;
      throw error;
    }
    return undefined;
  }

  return {
    async take(device, payload, message) {
      const { orders, mistakes } = ordersOf(payload.metrics, known);
      const answers = await Promise.all(
        orders.slice(0, MAX_ORDERS).map((order) => {
          const id = idOf(order, payload, message);
          return ask({ device, ...order, actor: actorOf(broker, message), ...(id !== undefined && { id }) });
        }),
      );
      if (orders.length > MAX_ORDERS) mistakes.push(`only the first ${MAX_ORDERS} commands of a message are taken`);
      return [...mistakes, ...answers.filter((answer) => answer !== undefined)];
    },
  };
}

/** Of a message with its time: delivered twice, it is one command. */
function idOf({ name }: Order, { timestamp }: ReceivedPayload, { topic, payload }: OrderMessage): string | undefined {
  if (timestamp === undefined) return undefined;
  const hash = createHash('sha256').update(`${topic}\n${name}\n`).update(payload).digest('hex');
  return `sp-${hash.slice(0, 40)}`;
}

/** Metrics of one command are its parameters together. Those that are none of a command are left out, and told. */
export function ordersOf(
  metrics: readonly ReceivedMetric[],
  known: ReadonlyMap<string, CommandMetric>,
): { orders: Order[]; mistakes: string[] } {
  const orders = new Map<string, Order>();
  const mistakes: string[] = [];
  for (const { name = '', value } of metrics) {
    const metric = known.get(name);
    const params = metric && paramsOf(metric, value);
    if (!metric) mistakes.push(`there is no metric "${name.slice(0, 80)}" that can be written`);
    else if (typeof params === 'string') mistakes.push(params);
    else if (params) {
      const order = orders.get(metric.command) ?? { name: metric.command, params: {} };
      orders.set(metric.command, { ...order, params: { ...order.params, ...params } });
    }
  }
  return { orders: [...orders.values()], mistakes };
}

/** The parameters that a metric sets; undefined when it asks for nothing, a text for a mistake. */
function paramsOf({ name, type, param }: CommandMetric, value: unknown): Order['params'] | string | undefined {
  if (param !== undefined) return { [param]: value };
  if (type === 'Boolean') return value === true ? {} : undefined;
  try {
    const params: unknown = JSON.parse(String(value));
    if (typeof params === 'object' && params !== null && !Array.isArray(params)) return params as Order['params'];
  } catch {
    // Told below.
  }
  return `${name}: the value must be a JSON object, as text`;
}

/** The metrics whose values a command has set, once it succeeded. */
export function echoOf({ name, state, params, finishedAt }: Command, types: Catalog['commands']): Metric[] {
  const type = types.get(name);
  if (state !== 'succeeded' || !type || finishedAt === undefined) return [];
  return metricsOfCommand(type).flatMap(({ name: metric, type, param }): Metric[] => {
    const value = param === undefined ? undefined : params[param];
    return value === undefined ? [] : [{ name: metric, type, value: value as Metric['value'], timestamp: finishedAt }];
  });
}
