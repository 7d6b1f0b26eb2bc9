/** One group at work: gives its devices their commands, so many at a time, counts what becomes of them, and ends. */
import type { Row, Table } from '../backplane/backplane.ts';
import { RefusedError } from '../kit/errors.ts';
import { type Command, type CommandState, hasEnded } from './command.ts';
import type { Commands } from './commands.ts';
import { type GroupRow, hasFailedTooOften, memberId, noCounts } from './group.ts';

export interface GroupRunDeps {
  table: Table<GroupRow>;
  commands: Pick<Commands, 'send' | 'get' | 'cancel'>;
  now(): number;
  /** It is finished, durably. */
  onFinished(id: string): void;
  /** The database did not take something; it is tried again. */
  onTrouble(error: unknown): void;
}

/** Commands made in one turn: they share a transaction, and leave room for others between. */
const SLICE = 200;
const RETRY_MS = 1_000;

export class GroupRun {
  readonly #deps: GroupRunDeps;
  readonly #devices: readonly string[];
  /** Of the commands that were made, by id. */
  readonly #states = new Map<string, CommandState>();
  readonly #row: GroupRow;
  /** The changes of the row, one after the other: each writes the whole row, and must not put back what another changed. */
  #saving: Promise<void> = Promise.resolve();
  #open = 0;
  /** It is asked to stop, perhaps not durably yet: no more commands are made. */
  #isStopping = false;
  #working = false;
  /** Something changed while it worked. */
  #again = false;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;

  /** Takes up a group where it was, new or after a restart: its commands themselves say how far it is. */
  constructor(row: Row<GroupRow>, devices: readonly string[], deps: GroupRunDeps) {
    this.#deps = deps;
    this.#devices = devices;
    this.#row = { ...row.value, counts: noCounts(), refused: { ...row.value.refused } };
    // Also beyond `issued`, which is written down after the commands themselves; a refused device leaves a gap.
    for (let index = 0; index < devices.length; index++) {
      const command = deps.commands.get(memberId(this.#row.id, index));
      if (command) this.#count(command);
    }
  }

  /** As it is now; the stored row may be a moment behind. */
  get row(): GroupRow {
    return this.#row;
  }

  /** A command of this group changed. */
  changed(command: Command): void {
    this.#count(command);
    this.work();
  }

  /**
   * Sends no more, and takes back what was not sent yet. Durable when it resolves; when it throws `Unavailable` the group
   * may have been stopped all the same, and then goes on taking back by itself.
   */
  async cancel(actor: string): Promise<void> {
    this.#isStopping = true;
    try {
      if (!this.#row.stopped) await this.#save({ stopped: 'cancelled', stoppedBy: actor });
      await this.#takeBack();
    } finally {
      this.#isStopping = false;
      this.work();
    }
  }

  async #takeBack(): Promise<void> {
    const { stoppedBy, actor } = this.#row;
    const queued = [...this.#states].filter(([, state]) => state === 'queued');
    const taken = await Promise.allSettled(queued.map(([id]) => this.#deps.commands.cancel(id, stoppedBy ?? actor)));
    for (const outcome of taken) {
      // One that was sent in the same moment goes on; what the database did not take is tried again.
      if (outcome.status === 'rejected' && !(outcome.reason instanceof RefusedError)) throw outcome.reason;
    }
  }

  /** Does what there is to do now; called as often as one likes. */
  work(): void {
    this.#again = this.#working;
    if (this.#working || this.#closed || this.#row.finishedAt !== undefined) return;
    this.#working = true;
    void this.#work();
  }

  async #work(): Promise<void> {
    try {
      await this.#advance();
    } catch (error) {
      this.#deps.onTrouble(error);
      clearTimeout(this.#retry);
      if (!this.#closed) this.#retry = setTimeout(() => this.work(), RETRY_MS);
    }
    this.#working = false;
    if (this.#again) this.work();
  }

  /** Leaves it as it is, for the next start. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
  }

  async #advance(): Promise<void> {
    for (;;) {
      if (!this.#row.stopped && hasFailedTooOften(this.#row)) await this.#save({ stopped: 'failures' });
      if (this.#row.stopped) await this.#takeBack();
      const room = this.#room();
      if (room === 0 || this.#closed) break;
      await this.#issue(room);
    }
    if (this.#open > 0 || this.#closed || this.#isStopping) return;
    const unknown = [...this.#states].filter(([, state]) => state === 'unknown').map(([id]) => id);
    await this.#save({ finishedAt: this.#deps.now(), ...(unknown.length > 0 && { unknown }) });
    this.#deps.onFinished(this.#row.id);
  }

  /** How many devices may be given their command now. */
  #room(): number {
    const { issued, total, stopped, parallel = total } = this.#row;
    return stopped || this.#isStopping ? 0 : Math.max(0, Math.min(SLICE, parallel - this.#open, total - issued));
  }

  async #issue(count: number): Promise<void> {
    const from = this.#row.issued;
    const made = Array.from({ length: count }, (_, step) => this.#send(from + step));
    for (const outcome of await Promise.allSettled(made)) if (outcome.status === 'rejected') throw outcome.reason;
    await this.#save({ issued: from + count });
  }

  async #send(index: number): Promise<void> {
    const { id, name, params = {}, ttlMs, timeoutMs, actor, schedule } = this.#row;
    const device = this.#devices[index]!;
    try {
      const command = await this.#deps.commands.send({
        ...{ id: memberId(id, index), device, name, params, actor, group: id },
        ...(ttlMs !== undefined && { ttlMs }),
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(schedule !== undefined && { schedule }),
      });
      // What it became meanwhile was told already, and is newer than this answer.
      if (!this.#states.has(command.id)) this.#count(command);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      this.#row.refused[device] = error.code;
    }
  }

  #count({ id, state }: Command): void {
    const before = this.#states.get(id);
    if (before === state) return;
    this.#states.set(id, state);
    if (before) this.#row.counts[before] -= 1;
    this.#row.counts[state] += 1;
    if (before === undefined || hasEnded(before)) this.#open += 1;
    if (hasEnded(state)) this.#open -= 1;
  }

  /** What is said of a group is durable first; only its counts may be ahead. */
  #save(change: Partial<GroupRow>): Promise<void> {
    const saved = this.#saving.then(async () => {
      // From then on only late truths change it, and those are not told here.
      if (this.#row.finishedAt !== undefined) return;
      await this.#deps.table.set(this.#row.id, { ...this.#row, ...change });
      Object.assign(this.#row, change);
    });
    this.#saving = saved.catch(() => {});
    return saved;
  }
}
