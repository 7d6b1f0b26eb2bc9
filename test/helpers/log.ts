/** Logs for tests: one that says nothing, and one that remembers. */

type Say = (fields: object, message: string) => void;

export interface TestLog {
  error: Say;
  warn: Say;
  info: Say;
}

export interface Entry {
  level: keyof TestLog;
  message: string;
  fields: object;
}

/** Everything said is in `entries`, in order. */
export function createTestLog(): { log: TestLog; entries: Entry[] } {
  const entries: Entry[] = [];
  const at =
    (level: Entry['level']): Say =>
    (fields, message) =>
      entries.push({ level, message, fields });
  return { log: { error: at('error'), warn: at('warn'), info: at('info') }, entries };
}

export const quiet: TestLog = createTestLog().log;
