/** Follows, and if asked spoils, the system calls of a running process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { PATIENCE_MS } from './patience.ts';

export interface Strace {
  /** Lets the process go; resolves when all that was traced is in the file. */
  detach(): Promise<void>;
}

/** As strace shows them: with a backslash before each quote. */
const LIGHT = /\\"light\\":(\d+)/g;
const ACK = /\\"type\\":\\"ack\\",\\"seq\\":(\d+)/g;
/** Resolves when strace has hold of all threads. `args`: what to trace, into which file, what to inject. */
export async function attachStrace(pid: number, args: readonly string[]): Promise<Strace> {
  const child = spawn('strace', ['-f', '-p', String(pid), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  await untilAttached(child);
  return {
    async detach() {
      const gone = once(child, 'exit');
      child.kill('SIGINT');
      await gone;
    },
  };
}

async function untilAttached(child: ChildProcess): Promise<void> {
  const attached = Promise.withResolvers<void>();
  let words = '';
  child.stderr!.on('data', (chunk) => {
    words += chunk;
    if (words.includes(' attached')) attached.resolve();
  });
  child.once('exit', () => attached.reject(new Error(`strace ended: ${words}`)));
  const timer = setTimeout(() => attached.reject(new Error(`strace does not attach: ${words}`)), PATIENCE_MS);
  await attached.promise.finally(() => clearTimeout(timer));
}

/**
 * Reads a trace (with `-f -y`) of a hub that speaks plain WebSocket with one device, whose frame `n` has one reading with
 * `light` n: which frames were acknowledged, and which of them before they were written to the journal and an fdatasync
 * after that had returned.
 */
export function acksIn(trace: string): { acked: Set<number>; early: number[]; syncs: number } {
  const written = new Set<number>();
  const synced = new Set<number>();
  const acked = new Set<number>();
  const early: number[] = [];
  /** By thread: the frames that the fdatasync under way will make durable. */
  const syncing = new Map<string, number[]>();
  let syncs = 0;
  for (const line of trace.split('\n')) {
    const [, thread = '', call = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (/^p?write(64|v)?\(\d+<[^>]*\.journal/.test(call)) for (const seq of numbersIn(call, LIGHT)) written.add(seq);
    if (/^fdatasync\(\d+<[^>]*\.journal/.test(call)) syncing.set(thread, [...written]);
    if (/^(fdatasync\(|<\.\.\. fdatasync resumed).* = 0\b/.test(call)) {
      for (const seq of syncing.get(thread) ?? []) synced.add(seq);
      if (syncing.delete(thread)) syncs++;
    }
    for (const upTo of numbersIn(call, ACK)) {
      for (let seq = 1; seq <= upTo; seq++) if (!synced.has(seq) && !acked.has(seq)) early.push(seq);
      acked.add(upTo);
    }
  }
  return { acked, early, syncs };
}

/** The paths of files, folders and links that a trace (with `-f`) shows being made, or opened to be made if need be. */
export function createdIn(trace: string): string[] {
  const paths = new Set<string>();
  for (const line of trace.split('\n')) {
    const [, name = '', rest = ''] = /^\d+\s+(\w+)\((.*)$/.exec(line) ?? [];
    if (name.startsWith('open') && !rest.includes('O_CREAT')) continue;
    // Of a call with two paths the second is the new one; calls that failed with EEXIST have made nothing.
    const quoted = [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((found) => found[1]!);
    if (quoted.length > 0 && !rest.includes('= -1 ')) paths.add(quoted.at(-1)!);
  }
  return [...paths];
}

function numbersIn(call: string, pattern: RegExp): number[] {
  return [...call.matchAll(pattern)].map((found) => Number(found[1]));
}
