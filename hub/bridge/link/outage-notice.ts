/** Says in the log that a broker is away: once for each outage, however often the link tries again. */
import type { Ending } from './connection.ts';

export type LinkLog = Record<'error' | 'warn' | 'info', (fields: object, message: string) => void>;

export class OutageNotice {
  readonly #broker: string;
  readonly #log: LinkLog;
  /** Whether somebody was told of the outage that is not over. */
  #isTold = false;

  constructor(broker: string, log: LinkLog) {
    this.#broker = broker;
    this.#log = log;
  }

  /** A connection ended, or could not be made. */
  of({ kind, message }: Ending): void {
    if (this.#isTold || kind === 'version') return;
    this.#isTold = true;
    const fields = { broker: this.#broker, error: message };
    if (kind === 'refused') this.#log.error(fields, 'an MQTT broker refuses the hub until somebody acts');
    else this.#log.warn(fields, 'an MQTT broker is not available; what is for it waits in the journal');
  }

  /** There is a connection, by this version of MQTT. */
  over(version: 5 | 4): void {
    this.#isTold = false;
    this.#log.info({ broker: this.#broker, version }, 'connected to an MQTT broker');
  }
}
