/** Simulated devices for a test's hub, as processes of their own that are ended by their pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestHub } from './hub.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface Simulated {
  /** Resolves when it has ended by itself. */
  ended: Promise<void>;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

/** Starts a simulator; `args` as of `npm run sim`. */
export function simulate(hub: Pick<TestHub, 'dataDir'>, prefix: string, ...args: string[]): Simulated {
  const tokens = join(hub.dataDir, `${prefix}tokens.json`);
  const own = ['device-sim/main.ts', '--data', hub.dataDir, '--tokens', tokens, '--prefix', prefix, '--json', ...args];
  const child: ChildProcess = spawn(process.execPath, own, { cwd: ROOT, stdio: 'ignore' });
  const ended = once(child, 'exit').then(() => {});
  return {
    ended,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
