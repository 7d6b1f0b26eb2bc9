/** What the benches must know of the machine: the processor time of a process, pinning, and words for the record. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

/** The unit of times in /proc/<pid>/stat: the kernel's USER_HZ, which is 100 on every Linux. */
const TICKS_PER_SECOND = 100;

/** Processor time of a process so far, user and system, in seconds. */
export interface CpuTime {
  /** All its threads, also those that have ended. */
  all: number;
  /** The thread that runs its event loop. */
  main: number;
}

export function cpuTimeOf(pid: number): CpuTime {
  return { all: secondsIn(`/proc/${pid}/stat`), main: secondsIn(`/proc/${pid}/task/${pid}/stat`) };
}

function secondsIn(statFile: string): number {
  const stat = readFileSync(statFile, 'latin1');
  // The name of the program stands in brackets and may contain spaces: the fields are counted after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Binds every thread of a process to one core; false when this machine cannot (one core, or no `taskset`). */
export function pin(pid: number, core: number): boolean {
  if (availableParallelism() < 2) return false;
  try {
    execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** One line: runtime, processor, kernel. */
export function describeMachine(): string {
  const [first] = cpus();
  return `Node ${process.version}, ${cpus().length} × ${first?.model.trim() ?? 'unknown'}, Linux ${release()}`;
}
