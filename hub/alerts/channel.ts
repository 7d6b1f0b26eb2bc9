/** Port: where notices of alerts go. One adapter for each kind of receiver. */
import type { Notice } from './alert.ts';

export interface Channel {
  readonly name: string;
  readonly kind: 'webhook' | 'mqtt';
  /**
   * Resolves when the receiver took it. Throws `Unavailable` when trying again may help, `NeverTaken` when it will not
   * take this one whatever we do. Bounded in time. A receiver may get one notice twice, with the same `notice`.
   */
  send(notice: Notice): Promise<void>;
}

/** The receiver will never take this notice; sending it again would change nothing. */
export class NeverTaken extends Error {
  override readonly name = 'NeverTaken';
}
