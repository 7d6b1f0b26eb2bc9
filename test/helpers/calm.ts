/** Whether a hub stays calm while others misbehave: a good device beside them, its process, and its log. */
import { expect } from 'vitest';
import type { TestHub } from './hub.ts';
import { connectRaw } from './raw-device.ts';

export interface CalmWatch {
  /** The good device gets its ack, and operators get an answer. */
  expectCalm(): Promise<void>;
  /** The same; and the hub is the process it was, and its log has no alarm and no line that is not its own. */
  expectSane(): Promise<void>;
}

const ERROR_LEVEL = 50;

/** Connects the good device, from now on. */
export async function watchCalm(hub: TestHub): Promise<CalmWatch> {
  const { pid } = hub;
  const witness = await connectRaw(hub, { token: await hub.addDevice('witness') });
  let seq = 0;

  async function expectCalm(): Promise<void> {
    witness.say({ type: 'telemetry', seq: ++seq, stream: 'environment', readings: [{ light: seq }] });
    expect(await witness.next()).toEqual({ type: 'ack', seq });
    expect((await fetch(`${hub.api}/healthz`)).status).toBe(200);
  }

  return {
    expectCalm,
    async expectSane() {
      await expectCalm();
      expect(hub.pid).toBe(pid);
      const lines = hub.log().trimEnd().split('\n');
      const levels = lines.map((line) => Number(JSON.parse(line).level));
      expect(levels.filter((level) => !(level < ERROR_LEVEL))).toEqual([]);
    },
  };
}
