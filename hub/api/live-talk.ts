/** The conversation of one WebSocket of `/v1/live`: subscriptions come and go, each tells its snapshot and then its changes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from '../commands/command.ts';
import { type RefusalCode, RefusedError } from '../kit/errors.ts';
import type { Live, LiveBatch, LiveFilter } from '../telemetry/live.ts';
import {
  demandKnown,
  filterOf,
  type Known,
  type LiveFrame,
  type LiveRequest,
  readLiveFrame,
  UnknownNames,
} from './live-request.ts';
import { type News, type SnapshotDeps, snapshotOf, type ToldPresence } from './live-snapshot.ts';
import type { Peer } from './route.ts';

export interface LiveTalkDeps extends SnapshotDeps, Pick<Known, 'catalog'> {
  live: Live;
}

const MAX_SUBSCRIPTIONS = 16;
/** Policy beyond it: whoever asks faster than it listens is disconnected. */
const MAX_WAITING = 64;

export class LiveTalk {
  readonly #peer: Peer;
  readonly #deps: LiveTalkDeps;
  /** How each subscription is ended, by the id that the reader gave it. */
  readonly #subscriptions = new Map<string, () => void>();
  readonly #waiting: string[] = [];
  #busy = false;

  constructor(peer: Peer, deps: LiveTalkDeps) {
    this.#peer = peer;
    this.#deps = deps;
    peer.signal.addEventListener('abort', () => this.#end());
  }

  /** Takes a frame; one is answered after the other. */
  receive(text: string): void {
    if (this.#waiting.length >= MAX_WAITING) return this.#peer.close('flood', 'read the answers before asking more');
    this.#waiting.push(text);
    if (!this.#busy) void this.#work();
  }

  /** Sends a sign of life. */
  alive(): void {
    this.#send({ type: 'alive' }).catch(() => {});
  }

  async #work(): Promise<void> {
    this.#busy = true;
    try {
      for (let text = this.#waiting.shift(); text !== undefined; text = this.#waiting.shift()) await this.#answer(text);
    } catch {
      // The reader is gone, and its signal has ended everything.
      this.#waiting.length = 0;
    }
    this.#busy = false;
  }

  async #answer(text: string): Promise<void> {
    let id = '';
    try {
      const frame = readLiveFrame(text, (own) => {
        id = own;
      });
      await this.#follow(frame);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const { code, detail } = error satisfies { code: RefusalCode; detail: string };
      const more = error instanceof UnknownNames ? { unknown: error.unknown } : {};
      await this.#send({ type: 'error', ...(id !== '' && { id }), code, detail, ...more });
    }
  }

  /** Resolves when the snapshot was taken by the reader. */
  async #follow(frame: LiveFrame): Promise<void> {
    this.#subscriptions.get(frame.id)?.();
    this.#subscriptions.delete(frame.id);
    if (frame.type === 'unsubscribe') return;
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS)
      throw new RefusedError('full', `One socket carries ${MAX_SUBSCRIPTIONS} subscriptions; end one of them first.`);
    const { id, request } = frame;
    demandKnown(request, this.#deps);
    const filter = filterOf(request, this.#deps.devices.get);
    const told = Promise.withResolvers<void>();
    told.promise.catch(() => {});
    // Both in one turn of the loop: nothing falls between what is known and what changes.
    const pieces = request.snapshot ? snapshotOf(filter, request.devices, this.#deps) : [];
    this.#subscriptions.set(id, this.#subscribe(id, filter, request, told.promise));
    try {
      if (!request.snapshot) await this.#send({ type: 'subscribed', id });
      for (const [index, piece] of pieces.entries())
        await this.#send({ type: 'snapshot', id, ...piece, more: index < pieces.length - 1 });
      told.resolve();
    } catch (error) {
      told.reject(error);
      throw error;
    }
  }

  #subscribe(id: string, filter: LiveFilter, { everyMs }: LiveRequest, told: Promise<void>): () => void {
    const ended = new AbortController();
    const end = this.#deps.live.subscribe(filter, async (batch) => {
      await told;
      if (ended.signal.aborted) return;
      await this.#send({ type: 'changes', id, ...newsOf(batch), merged: batch.merged });
      if (everyMs > 0) await sleep(everyMs, undefined, { signal: ended.signal });
    });
    return () => {
      ended.abort();
      end();
    };
  }

  #send(message: object): Promise<void> {
    return this.#peer.send(JSON.stringify(message));
  }

  #end(): void {
    for (const end of this.#subscriptions.values()) end();
    this.#subscriptions.clear();
    this.#waiting.length = 0;
  }
}

function newsOf({ events }: LiveBatch): News {
  const news: News = { readings: [], presence: [], commands: [] };
  for (const event of events) {
    if (!('kind' in event)) news.readings.push({ device: event.device, stream: event.stream, ...event.reading });
    else if (event.kind === 'presence') news.presence.push(event.data as ToldPresence);
    else news.commands.push(event.data as Command);
  }
  return news;
}
