/** A disk in memory that forgets what was not synced when the power fails, and fails calls at will. */
import type { Files, OpenFile, OpenMode } from '../../hub/telemetry/files.ts';

export type CallKind = 'open' | 'write' | 'datasync' | 'truncate' | 'rename' | 'unlink' | 'syncDirectory' | 'read';

export interface Call {
  kind: CallKind;
  path: string;
}

/** What happens to a call instead of what was asked: an error, or a write that takes only some bytes. */
export type Fault = 'EIO' | 'ENOSPC' | 'short';

interface Inode {
  /** What the page cache shows. */
  bytes: Buffer;
  /** What is on the platter. */
  durable: Buffer;
  /** What would bring the platter up to the page cache. */
  pending: Change[];
}

const SECTOR_BYTES = 512;

type Change = { at: number; bytes: Buffer } | { length: number };
type Names = Map<string, Inode>;

export class CrashDisk {
  #names: Names = new Map();
  #durableNames: Names = new Map();
  #pendingNames: { folder: string; apply: (names: Names) => void }[] = [];
  #pid = 100;
  #power = { isOn: true };
  /** Asked before each call; a fault it returns happens. */
  onCall: (call: Call) => Fault | undefined = () => undefined;
  /** Writes that would make the files larger than this in all get ENOSPC. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** How many calls were made since the last mount. */
  calls = 0;
  /** The power fails during this call. */
  crashAtCall = Number.POSITIVE_INFINITY;
  #crashed = () => {};
  /** Resolves when `crashAtCall` was reached. */
  crashed: Promise<void> = new Promise(() => {});

  /** The files for a new process. Calls of the process before it never return, as nothing returns to the dead. */
  mount(): Files {
    this.#power.isOn = false;
    this.#power = { isOn: true };
    this.calls = 0;
    this.crashed = new Promise((resolve) => {
      this.#crashed = resolve;
    });
    return this.#files(this.#power, ++this.#pid);
  }

  /** The process dies, the page cache stays. */
  kill(): void {
    this.#power.isOn = false;
  }

  /**
   * The machine dies. Of each change that was not synced, `random` decides whether it reached the platter: whole, cut
   * short, or some sectors of it, whatever was changed before or after it.
   */
  powerLoss(random: () => number): void {
    this.kill();
    for (const { apply } of this.#pendingNames) if (random() < 0.5) apply(this.#durableNames);
    this.#pendingNames = [];
    this.#names = new Map(this.#durableNames);
    for (const inode of this.#names.values()) {
      for (const change of inode.pending) {
        if (random() < 0.5) inode.durable = applied(inode.durable, torn(change, inode.durable, random));
      }
      inode.pending = [];
      inode.bytes = Buffer.from(inode.durable);
    }
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  /** Changes a file behind everybody's back, on the platter too. */
  damage(path: string, change: (bytes: Buffer) => Buffer): void {
    const inode = this.#names.get(path)!;
    inode.bytes = change(Buffer.from(inode.bytes));
    inode.durable = Buffer.from(inode.bytes);
    inode.pending = [];
  }

  bytesUsed(): number {
    return [...this.#names.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  #files(power: { isOn: boolean }, pid: number): Files {
    const call = <R>(kind: CallKind, path: string, run: (fault: Fault | undefined) => R) =>
      this.#call(power, { kind, path }, run);
    return {
      pid,
      startOf: async (asked) => (asked === pid && power.isOn ? 'alive' : undefined),
      makeDirectory: async () => {},
      space: async () => ({ freeBytes: Math.max(0, this.capacityBytes - this.bytesUsed()) }),
      list: async (folder) => this.paths().flatMap((path) => (folderOf(path) === folder ? [nameOf(path)] : [])),
      open: (path, mode) => call('open', path, () => this.#open(power, path, mode)),
      rename: (from, to) =>
        call('rename', to, () => {
          const inode = this.#get(from);
          this.#changeNames(to, (names) => {
            names.delete(from);
            names.set(to, inode);
          });
        }),
      unlink: (path) =>
        call('unlink', path, () => {
          this.#get(path);
          this.#changeNames(path, (names) => names.delete(path));
        }),
      syncDirectory: (folder) =>
        call('syncDirectory', folder, () => {
          for (const change of this.#pendingNames) if (change.folder === folder) change.apply(this.#durableNames);
          this.#pendingNames = this.#pendingNames.filter((change) => change.folder !== folder);
        }),
    };
  }

  #open(power: { isOn: boolean }, path: string, mode: OpenMode): OpenFile {
    const there = this.#names.get(path);
    if (there && mode === 'exclusive') throw failure('EEXIST');
    if (mode === 'create' && there) change(there, { length: 0 });
    if (!there && (mode === 'create' || mode === 'exclusive')) {
      const made: Inode = { bytes: Buffer.alloc(0), durable: Buffer.alloc(0), pending: [] };
      this.#changeNames(path, (names) => names.set(path, made));
    }
    const inode = this.#get(path);
    const call = <R>(kind: CallKind, run: (fault: Fault | undefined) => R) => this.#call(power, { kind, path }, run);
    return {
      write: (bytes, at) => call('write', (fault) => this.#write(inode, Buffer.from(bytes), at, fault)),
      read: (into, at) => call('read', () => inode.bytes.copy(into, 0, at)),
      datasync: () =>
        call('datasync', () => {
          for (const each of inode.pending) inode.durable = applied(inode.durable, each);
          inode.pending = [];
        }).catch((error: unknown) => {
          // What Linux does: the pages are called clean, and the next fdatasync of this file would succeed.
          inode.pending = [];
          throw error;
        }),
      truncate: (length) => call('truncate', () => change(inode, { length })),
      size: async () => inode.bytes.length,
      close: async () => {},
    };
  }

  #write(inode: Inode, bytes: Buffer, at: number, fault: Fault | undefined): number {
    const free = this.capacityBytes - this.bytesUsed() + inode.bytes.length - at;
    if (free <= 0) throw failure('ENOSPC');
    const taken = Math.min(bytes.length, free, fault === 'short' ? Math.ceil(bytes.length / 2) : bytes.length);
    change(inode, { at, bytes: bytes.subarray(0, taken) });
    return taken;
  }

  async #call<R>(power: { isOn: boolean }, call: Call, run: (fault: Fault | undefined) => R): Promise<R> {
    await turn();
    if (power.isOn && ++this.calls === this.crashAtCall) {
      if (call.kind === 'write') run('short');
      this.kill();
      this.#crashed();
    }
    if (!power.isOn) return new Promise<R>(() => {});
    const fault = this.onCall(call);
    if (!power.isOn) return new Promise<R>(() => {});
    if (fault === 'EIO' || fault === 'ENOSPC') {
      if (call.kind === 'write') run('short');
      throw failure(fault);
    }
    const result = run(fault);
    await turn();
    return power.isOn ? result : new Promise<R>(() => {});
  }

  #get(path: string): Inode {
    const inode = this.#names.get(path);
    if (!inode) throw failure('ENOENT');
    return inode;
  }

  #changeNames(path: string, apply: (names: Names) => void): void {
    apply(this.#names);
    this.#pendingNames.push({ folder: folderOf(path), apply });
  }
}

/** What of a change reached the platter. Where a file grew and the bytes did not come, there is what was there before. */
function torn(change: Change, durable: Buffer, random: () => number): Change {
  if (!('bytes' in change)) return change;
  const kind = random();
  if (kind < 0.4) return change;
  if (kind < 0.6) return { ...change, bytes: change.bytes.subarray(0, random() * change.bytes.length) };
  const bytes = Buffer.from(change.bytes);
  for (let from = 0, to = 0; from < bytes.length; from = to) {
    to = Math.min(bytes.length, from + SECTOR_BYTES - ((change.at + from) % SECTOR_BYTES));
    if (random() < 0.5) continue;
    bytes.fill(random() < 0.5 ? 0 : Math.floor(random() * 256), from, to);
    if (change.at + from < durable.length) durable.copy(bytes, from, change.at + from, change.at + to);
  }
  return { ...change, bytes };
}

/** As with a real disk, other things happen before a call is done and before its answer is heard. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

function change(inode: Inode, change: Change): void {
  inode.bytes = applied(inode.bytes, change);
  inode.pending.push(change);
}

function applied(bytes: Buffer, change: Change): Buffer {
  const length = 'length' in change ? change.length : Math.max(bytes.length, change.at + change.bytes.length);
  const result = Buffer.alloc(length);
  bytes.copy(result, 0, 0, Math.min(length, bytes.length));
  if ('bytes' in change) change.bytes.copy(result, change.at);
  return result;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
