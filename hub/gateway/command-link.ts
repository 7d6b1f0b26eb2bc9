/** A session's part in commands: when its device is ready for them, and what it says of them. */
import type { Progress, Result } from '../../schemas/types.gen.ts';
import type { Outlet } from '../commands/delivery.ts';
import type { Road } from './road.ts';

/** A device that says nothing for so long gets its commands all the same. */
const HELLO_MS = 1_000;

export class CommandLink {
  readonly #device: string;
  readonly #outlet: Outlet;
  readonly #commands: Road['commands'];
  /** Set until the device is ready for commands: it has said something, or nothing for a while. */
  #unready: NodeJS.Timeout | undefined;

  /** `outlet`: the session, which commands are sent on. */
  constructor(device: string, outlet: Outlet, commands: Road['commands']) {
    this.#device = device;
    this.#outlet = outlet;
    this.#commands = commands;
    this.#unready = setTimeout(() => this.ready(), HELLO_MS);
  }

  /** From now on commands come here. Does nothing the second time, nor after the end. */
  ready(): void {
    if (!this.#unready) return;
    clearTimeout(this.#unready);
    this.#unready = undefined;
    this.#commands.opened(this.#device, this.#outlet);
  }

  /** Takes what the device says of a command; false when it was never sent such a one. A result is acknowledged later. */
  take(frame: Progress | Result): boolean {
    if (frame.type === 'progress') return this.#commands.progress(this.#device, frame);
    const durable = this.#commands.result(this.#device, frame);
    void durable?.then((isDurable) => {
      if (isDurable) this.#outlet.send({ type: 'result-ack', id: frame.id });
    });
    return durable !== undefined;
  }

  /** The session is over. Idempotent. */
  end(): void {
    clearTimeout(this.#unready);
    this.#unready = undefined;
    this.#commands.closed(this.#device, this.#outlet);
  }
}
