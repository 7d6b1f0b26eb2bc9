/** Entry point of the simulator: finds the hub, makes the devices, runs the fleet, tells how it went. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { loadCatalog } from '../schemas/index.ts';
import { ContinuedFeed, valuesBackAndForth } from './continued.ts';
import type { Reading } from './device.ts';
import type { Feed } from './feed.ts';
import { createFleet, type Fleet, type FleetReport, type Member } from './fleet.ts';
import { enrol, findLocalHub } from './hub.http.ts';
import { type Options, parseOptions } from './options.ts';
import { PacedFeed } from './paced.ts';
import { createProgress, type Progress, summaryOf } from './progress.terminal.ts';
import { readRecording } from './replay.file.ts';
import { RecordedFeed, shiftedToEndAt } from './replay.ts';
import { hash, signalFor } from './signals.ts';
import { createConnect } from './socket.ws.ts';
import { SimulatorError, TokenFile } from './tokens.file.ts';

const DEFAULT_URL = 'wss://127.0.0.1:8443/v1/device';
const LOOK_MS = 250;
/** How long the acks of the last readings may take. */
const SETTLE_MS = 10_000;
/** How the hub says that the token is at its end, or the device. */
const DEAD_TOKEN = /^refused: (HTTP 401|.*\b(token|removed|revoked)\b)/;
const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 };

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env);
  const progress = createProgress(process.stderr);
  const fleet = await makeFleet(options, progress);
  const startedAt = performance.now();
  fleet.start();
  await untilDone(fleet, options, progress, startedAt);
  fleet.stopSending();
  progress.stage('waiting for the last acks …');
  const settled = await fleet.settled(SETTLE_MS);
  const seconds = (performance.now() - startedAt) / 1000;
  const report = fleet.report();
  progress.done();
  if (Object.keys(report.reasons).some((reason) => DEAD_TOKEN.test(reason))) progress.note(howToGoOn(options));
  await fleet.close();
  process.stdout.write(options.json ? jsonOf(report, seconds, options) : summaryOf(report, seconds));
  const answered = settled && report.dropped === 0 && report.sent > 0;
  return answered && (report.rejected === 0 || options.allowRejects) ? EXIT.ok : EXIT.failed;
}

async function makeFleet(options: Options, progress: Progress): Promise<Fleet> {
  const feeds = await makeFeeds(options);
  const hub = await findLocalHub(options.data);
  const tokens = await TokenFile.open(tokenFileOf(options));
  const ids = Array.from({ length: options.devices }, (_, index) => idOf(options.prefix, index + 1));
  await enrol(ids, tokens, {
    api: options.api ?? hub.api,
    operatorToken: options.apiTokenFile ? (await readText(options.apiTokenFile)).trim() : hub.operatorToken,
    isTheirs: options.api !== undefined || options.url === undefined || options.url === hub.gateway,
    onProgress: (done, of) => progress.stage(`made ${done} of ${of} devices`),
    onNotice: (text) => progress.note(text),
  });
  const { stream, ack, outbox } = options;
  const members: Member[] = ids.map((id, index) => ({ id, token: tokens.get(id)!, stream, feed: feeds[index]! }));
  const ca = options.ca ? await readText(options.ca) : hub.ca;
  const url = options.url ?? hub.gateway ?? DEFAULT_URL;
  const connect = createConnect({ url, ...(ca !== undefined && { ca }), insecure: options.insecure ?? false });
  return createFleet(connect, members, {
    ack,
    outboxReadings: outbox,
    onNotice: (text) => progress.note(text),
    onToken(id, token) {
      tokens.set(id, token);
      tokens.save().catch((error: Error) => progress.note(`the tokens could not be saved: ${error.message}`));
    },
  });
}

const tokenFileOf = ({ tokens, data }: Options) => tokens ?? join(data, 'sim-tokens.json');

/** What a person can do for devices that the hub sent away. */
function howToGoOn(options: Options): string {
  return (
    'A device that was removed is made again by the next start beside the hub (--data DIR), or with --api URL and --api-token-file FILE.\n' +
    `One whose token was revoked or has expired needs its next one (npm run --silent hub -- devices rotate ID) in ${tokenFileOf(options)}.`
  );
}

const idOf = (prefix: string, number: number) => `${prefix}${String(number).padStart(4, '0')}`;

/** One for each device. */
async function makeFeeds(options: Options): Promise<Feed[]> {
  const { devices, stream, batch, replay, map, speed, seed, rate } = options;
  const forEach = (make: (index: number) => Feed) => Array.from({ length: devices }, (_, index) => make(index));
  if (replay !== undefined && map) {
    const read: Reading[] = await readRecording(replay, map);
    const recording = options.shiftToNow ? shiftedToEndAt(Date.now(), read) : read;
    const replayed = () => new RecordedFeed(recording, speed, Math.min(batch, options.outbox));
    const pace = { intervalMs: 1000 / rate, batch: 1, phase: 0 };
    const goneOn = () => new ContinuedFeed(replayed(), new PacedFeed(valuesBackAndForth(recording), pace));
    return forEach(options.goOn ? goneOn : replayed);
  }
  const schema = loadCatalog(options.schemas).streams.get(stream)?.schema;
  return forEach((index) => {
    const own = hash(seed, index);
    return new PacedFeed(signalFor(stream, own, schema), { intervalMs: 1000 / rate, batch, phase: own / 2 ** 32 });
  });
}

async function readText(file: string): Promise<string> {
  if (!existsSync(file)) throw new SimulatorError(`${file} does not exist`);
  return readFile(file, 'utf8');
}

/** Resolves when the time is up, the recordings have ended, no device may deliver, or a person has had enough. */
function untilDone(fleet: Fleet, { forMs }: Options, progress: Progress, startedAt: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = setInterval(
    () => {
      const elapsedMs = performance.now() - startedAt;
      const report = fleet.report();
      progress.update(report, elapsedMs);
      if (fleet.finished || report.refused === report.devices || elapsedMs >= (forMs ?? Infinity)) resolve();
    },
    Math.min(LOOK_MS, forMs ?? LOOK_MS),
  );
  let interrupts = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => (++interrupts > 1 ? process.exit(EXIT.interrupted) : resolve()));
  }
  return promise.finally(() => clearInterval(look));
}

function jsonOf(report: FleetReport, seconds: number, { seed, stream }: Options): string {
  const elapsed = Number(seconds.toFixed(3));
  const ackedPerSecond = Math.round(report.acked / seconds);
  return `${JSON.stringify({ stream, seed, seconds: elapsed, ackedPerSecond, ...report })}\n`;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const usage = error instanceof RangeError;
  const known =
    usage ||
    error instanceof SimulatorError ||
    (error instanceof Error && 'code' in error) ||
    (error as Error)?.name === 'SchemaError';
  if (!known) throw error;
  process.stderr.write(`${(error as Error).message}\n`);
  return usage ? EXIT.usage : EXIT.failed;
}

process.exitCode = await main().catch(exitCodeOf);
