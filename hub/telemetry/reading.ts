/** What travels up the road: readings, grouped into the frames in which devices send them. */

/** The value of one field; `number` is a float or an integer as the stream's schema says. */
export type Value = number | string | boolean;

/**
 * One measurement. `ts` is Unix time in milliseconds (fractions to the microsecond), always set once a reading has
 * passed ingest. The other keys are fields of the stream. Its identity is (device, stream, ts).
 */
export interface Reading {
  ts: number;
  [field: string]: Value;
}

/** Why one reading of a frame, or (without `index`) the whole frame, was refused for good. */
export interface Rejection {
  index?: number;
  /** JSON pointer into the reading, or into the frame when `index` is absent. */
  path: string;
  /** The rule: a JSON Schema keyword, or a word of the table of refusals (`clock`, `stream`, `store` …). */
  code: string;
  message: string;
  /** What was sent, kept so that it can be examined and replayed from the quarantine. */
  reading: unknown;
  /** The time that a reading without one would have got; of a whole frame its first. Unix milliseconds. */
  ts?: number;
}

/**
 * Who wants to hear about the fate of its frames, which are all numbered or all without a number (then `seq` is 0);
 * sequences of sessions satisfy it.
 */
export interface FrameOwner {
  /** Every frame of this owner up to `seq` is durable in the journal. Called once for each group commit. */
  durable(seq: number): void;
  /** The journal could not take the frames from `seq` on; nothing of them is on disk. */
  refused(seq: number): void;
}

/** The unit of the journal: what one telemetry frame of a device became after ingest. Immutable once appended. */
export interface Frame {
  device: string;
  /** Scope of `seq`, chosen by the device in `hello` or, without one, the id of the connection. */
  epoch: string;
  /** 1, 2, 3 … within the epoch; 0 when the device did not number the frame. */
  seq: number;
  stream: string;
  /** Wall time of arrival, Unix milliseconds. */
  receivedAt: number;
  /** The readings that passed; may be empty when all were rejected. */
  readings: Reading[];
  /** The readings that did not, for the quarantine. */
  rejected?: Rejection[];
  /** Frame numbers that the device left out just before `seq`; absent when there are none. */
  skipped?: number;
  /** Present only for frames that this process received; frames read back from disk have none. */
  owner?: FrameOwner;
}
