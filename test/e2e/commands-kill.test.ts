/** I10: over kills of the hub between any two steps of a command's life nothing runs twice, is lost, or stays open. */
import { afterEach, expect, it } from 'vitest';
import type { Connect } from '../../device-sim/connection.ts';
import { Device } from '../../device-sim/device.ts';
import { createConnect } from '../../device-sim/socket.ws.ts';
import { type Command, hasEnded } from '../../hub/commands/command.ts';
import { startTestHub, type TestHub } from '../helpers/hub.ts';
import { seededRandom } from '../helpers/random.ts';

const SEED = Number(process.env.TEST_SEED ?? 20_261_121);
/** After each of these, seen from outside, the hub is killed: at once, or a moment later when the next step has begun. */
const STEPS = ['asked', 'stored', 'received', 'progressed', 'answered', 'acknowledged'] as const;
const ROUNDS_OF_EACH = 4;
const DEVICES = 4;
/** Never answered on purpose. */
const SILENT = 'read-now';
const SILENT_TIMEOUT_MS = 1_500;
const LATE_AT_MOST_MS = 5_000;

type Step = (typeof STEPS)[number];

let hub: TestHub;
const devices: Device[] = [];
/** How often each command ran, by id. */
const runs = new Map<string, number>();
/** Ids of which the hub said that they are stored. */
const stored = new Set<string>();
/** Steps that nothing came to, so that the hub was killed at some other moment. */
const missed: Step[] = [];
let onStep: (step: Step) => void = () => {};

afterEach(async () => {
  await Promise.all(devices.map((device) => device.stop()));
  await hub.dispose();
});

/** Looks at the frames that pass, and tells the steps. */
function watched(connect: Connect): Connect {
  return (token, events) => {
    const received = (text: string) => {
      if (text.includes('"type":"result-ack"')) onStep('acknowledged');
      events.received(text);
    };
    const connection = connect(token, { ...events, received });
    const send = (text: string) => {
      connection.send(text);
      if (text.includes('"type":"progress"')) onStep('progressed');
      if (text.includes('"type":"result"')) onStep('answered');
    };
    return { send, close: () => connection.close() };
  };
}

async function startDevice(id: string): Promise<void> {
  const token = await hub.addDevice(id);
  const connect = watched(createConnect({ url: hub.gateway, ca: hub.ca }));
  const device = new Device(connect, {
    token,
    // It comes back soon each time; how it backs off is tried elsewhere.
    random: () => 0.02,
    commands: {
      async '*'({ id, name }, report) {
        runs.set(id, (runs.get(id) ?? 0) + 1);
        onStep('received');
        if (name === SILENT) await new Promise(() => {});
        report(0.5);
        return {};
      },
    },
  });
  devices.push(device);
  device.start();
}

async function ask(device: string, name: string): Promise<void> {
  const body = name === SILENT ? { name, timeoutMs: SILENT_TIMEOUT_MS } : { name, timeoutMs: 60_000 };
  const asked = hub.call<Command>('POST', `/v1/devices/${device}/commands`, body);
  onStep('asked');
  // An answer that the kill swallowed promises nothing; what is stored all the same is looked at in the end.
  const command = await asked.catch(() => undefined);
  if (!command) return;
  stored.add(command.id);
  onStep('stored');
}

/** Kills the hub at that step of whichever command comes there first, and starts it again. */
async function killAt(step: Step, delayMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  onStep = (happened) => {
    if (happened !== step) return;
    onStep = () => {};
    if (delayMs === 0) void hub.kill().then(resolve);
    else setTimeout(() => void hub.kill().then(resolve), delayMs);
  };
  const impatience = setTimeout(() => {
    missed.push(step);
    void hub.kill().then(resolve);
  }, 5_000);
  await promise;
  clearTimeout(impatience);
  await hub.start();
}

async function allCommands(): Promise<Command[]> {
  const page = await hub.call<{ commands: Command[]; next?: string }>('GET', '/v1/commands?limit=1000');
  expect(page).not.toHaveProperty('next');
  return page.commands;
}

const isDown = () => devices.filter((device) => device.state !== 'online').length;

it(`executes nothing twice, loses nothing and leaves nothing open (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  hub = await startTestHub();
  for (let index = 0; index < DEVICES; index++) await startDevice(`k${index}`);
  for (let round = 0; round < STEPS.length * ROUNDS_OF_EACH; round++) {
    await expect.poll(isDown).toBe(0);
    const away = devices[round % DEVICES]!;
    if (round % 3 === 0) await away.stop();
    const killed = killAt(STEPS[round % STEPS.length]!, Math.floor(random() * 3) * random() * 4);
    const asking = Array.from({ length: 6 }, (_, index) => {
      return ask(`k${Math.floor(random() * DEVICES)}`, index === 5 ? SILENT : 'identify');
    });
    await Promise.all([killed, ...asking]);
    if (round % 3 === 0) away.start();
  }

  await expect
    .poll(async () => (await allCommands()).filter(({ state }) => !hasEnded(state)), { interval: 200 })
    .toEqual([]);
  const commands = await allCommands();
  const ids = new Set(commands.map(({ id }) => id));
  const report = {
    lost: [...stored].filter((id) => !ids.has(id)),
    phantoms: [...runs.keys()].filter((id) => !ids.has(id)),
    twice: [...runs].filter(([, times]) => times > 1),
    never: commands.filter(({ id }) => !runs.has(id)),
    wrong: commands.filter(({ name, state }) => state !== (name === SILENT ? 'unknown' : 'succeeded')),
    late: commands.filter(({ state, finishedAt = 0, deadlineAt = 0 }) => {
      return state === 'unknown' && finishedAt > deadlineAt + LATE_AT_MOST_MS;
    }),
  };
  expect(report).toEqual({ lost: [], phantoms: [], twice: [], never: [], wrong: [], late: [] });
  // Many a request dies with the hub; enough must have got through for all this to mean something.
  expect(commands.length).toBeGreaterThan(STEPS.length * ROUNDS_OF_EACH);
  expect(missed.length).toBeLessThan(ROUNDS_OF_EACH);
}, 300_000);
