/** Port: what the nodes of one hub share. Small tables with revisions, and messages between nodes. */

export interface Row<T> {
  key: string;
  value: T;
  /** Grows with every change of any row of the table; the expected revision of the next change. */
  revision: number;
}

export interface Table<T> {
  /** Served from memory; shows only what is durable. The value must not be mutated. */
  get(key: string): Row<T> | undefined;
  values(): IterableIterator<Row<T>>;
  readonly size: number;
  /**
   * Durable when it resolves. `expected`: the revision the row must still have, 0 for "must not exist", absent for
   * any. Throws `Conflict` when it does not hold. Changes asked for in one turn of the loop share one transaction.
   */
  set(key: string, value: T, expected?: number): Promise<Row<T>>;
  /** Durable when it resolves; false when there was no such row. Throws `Conflict`. */
  delete(key: string, expected?: number): Promise<boolean>;
  /** Called after each durable change, of this node or another; `row` is undefined when the row was deleted. */
  onChange(listener: (key: string, row: Row<T> | undefined) => void): void;
}

export interface Backplane {
  table<T>(name: string): Table<T>;
  /** To every node's subscribers of the subject, this one's included. Not durable. */
  publish(subject: string, message: unknown): void;
  subscribe(subject: string, listener: (message: unknown) => void): void;
  close(): Promise<void>;
}
