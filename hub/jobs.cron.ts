/** The hub's own timetable, as one table. The home of node-cron. */
import cron from 'node-cron';

export interface Job {
  name: string;
  /** Five or six fields of cron, in UTC. */
  at: string;
  run(): Promise<unknown>;
}

export interface Jobs {
  close(): Promise<void>;
}

/** Runs each job at its times, never twice at once; a job that fails is told to `onError` and runs again next time. */
export function startJobs(table: readonly Job[], onError: (name: string, error: unknown) => void): Jobs {
  const tasks = table.map(({ name, at, run }) =>
    cron.schedule(at, () => run().catch((error: unknown) => onError(name, error)), {
      name,
      timezone: 'UTC',
      noOverlap: true,
    }),
  );
  return {
    async close() {
      for (const task of tasks) await task.destroy();
    },
  };
}
