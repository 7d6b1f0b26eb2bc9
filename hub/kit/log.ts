/** The hub's log: pino, for a person on a terminal and as JSON elsewhere. */
import { type Logger, pino } from 'pino';
import { build as pretty } from 'pino-pretty';
import { redact } from './redact.ts';

export type Log = Logger;

export interface LogOptions {
  level: 'error' | 'warn' | 'info' | 'debug';
  format: 'auto' | 'pretty' | 'json';
}

/**
 * Writes to standard error, so that standard output stays free for answers. `error`: someone must act, or data was
 * refused for good. `warn`: strange, but nothing lost. `info`: the hub's own state. `debug`: each connection.
 */
export function createLog({ level, format }: LogOptions): Log {
  const isPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY === true);
  const hooks = { streamWrite: redact };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, hooks };
  if (!isPretty) return pino(options, pino.destination({ dest: 2, sync: true }));
  return pino(
    options,
    pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss', colorize: process.stderr.isTTY }),
  );
}
