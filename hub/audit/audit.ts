/** Port: who changed what, when, from where and with what result; entries are added and never changed. */

/** Something that somebody did, or tried to do. Holds no secret: neither tokens nor bodies of requests. */
export interface AuditEvent {
  /** `operator:<name>`, `schedule:<id>`, `device:<id>`, `hub`, or `unknown` for somebody without a good token. */
  actor: string;
  /** Method and path template of an operator's request, or a word such as `schedule.run`. */
  action: string;
  /** The id of what was changed; empty when nothing can be named. */
  target: string;
  /** `ok`, or the word of the refusal. */
  result: string;
  /** The address of whoever did it. */
  from?: string;
  /** A few words: which command, which key. */
  detail?: string;
}

/** An event as kept. */
export interface AuditEntry extends AuditEvent {
  /** Grows with each entry; for `before`. */
  id: number;
  /** Unix milliseconds. */
  at: number;
}

export interface AuditFilter {
  target?: string;
  /** An actor as it is written, or the name of an operator alone. */
  actor?: string;
  limit: number;
  /** Only entries with a smaller id: the next page. */
  before?: number;
}

/** Adds an event. Never throws or rejects; resolves when it is on the disk, or when the disk failed (it is tried again). */
export type RecordEvent = (event: AuditEvent) => Promise<void>;

/** How the log itself is. */
export interface AuditStatus {
  /** It could not be written the last time; it is tried again each second. */
  failing: boolean;
  /** Entries that are not on the disk yet. */
  waiting: number;
  /** Entries that were lost since the start, because too many waited. */
  lost: number;
}

export interface Audit {
  record: RecordEvent;
  status(): AuditStatus;
  /** The newest first. Throws `Unavailable`. */
  list(filter: AuditFilter): Promise<AuditEntry[]>;
  /** Writes what is left and closes the file. Idempotent, bounded. */
  close(): Promise<void>;
}
