/** What a simulated device does when it is told to: each command of schemas/commands has an effect that can be seen. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ANY_COMMAND, CommandError, type Handler } from './answers.ts';
import type { Device } from './device.ts';
import type { Feed } from './feed.ts';

/** The device, as far as commands reach it. */
export interface Obeying {
  feed: Feed;
  device: Pick<Device, 'start' | 'stop' | 'beginEpoch'>;
  /** How long it is gone when it reboots. */
  rebootMs: number;
  /** It was switched off for good, and does not come back from a reboot. */
  isClosed(): boolean;
  /** Tells a person what it does. */
  notice(what: string): void;
}

type Params = Record<string, unknown>;

export function handlersOf(obeying: Obeying): Record<string, Handler> {
  const { feed, notice } = obeying;
  let settings: Params = {};
  return {
    'set-interval': ({ params }) => {
      const { seconds } = params as { seconds: number };
      if (!feed.setIntervalMs) throw new CommandError('rejected', 'it plays a recording at its own pace');
      feed.setIntervalMs(seconds * 1000);
      notice(`measures every ${seconds} s now`);
      return { seconds };
    },
    'read-now': () => {
      const ts = feed.readNow?.();
      if (ts === undefined) throw new CommandError('rejected', 'it plays a recording, or measures no more');
      notice('measures now');
      return { readings: 1, ts };
    },
    'set-config': ({ params }) => {
      settings = { ...settings, ...(params as { settings: Params }).settings };
      notice(`has the settings ${JSON.stringify(settings)} now`);
      return { settings };
    },
    identify: () => {
      notice('blinks');
      return {};
    },
    reboot: ({ params }) => reboot(obeying, (params as { delaySeconds?: number }).delaySeconds ?? 0),
    [ANY_COMMAND]: ({ name, params }) => ({ command: name, params }),
  };
}

/** The answer leaves once it is back, in a new epoch: the counter did not outlive the reboot. */
async function reboot({ device, rebootMs, isClosed, notice }: Obeying, delaySeconds: number): Promise<Params> {
  await sleep(delaySeconds * 1000, undefined, { ref: false });
  notice('reboots');
  await device.stop();
  device.beginEpoch();
  await sleep(rebootMs, undefined, { ref: false });
  if (!isClosed()) device.start();
  return {};
}
