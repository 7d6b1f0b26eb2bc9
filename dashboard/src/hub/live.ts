/** What happens now: everyone who watches says what for, one connection carries it all, and each hears its own. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Command } from './commands.ts';
import type { Presence, Reading } from './devices.ts';
import { hubAway, revivals } from './resource.ts';

export interface ReadingNews {
  kind: 'reading';
  device: string;
  stream: string;
  reading: Reading;
}
export interface PresenceNews {
  kind: 'presence';
  device: string;
  presence: Presence;
}
export interface CommandNews {
  kind: 'command';
  device: string;
  command: Command;
}
export type News = ReadingNews | PresenceNews | CommandNews;

/** What one part of the page wants to hear. Readings are told of named devices only: a fleet's would be a flood. */
export interface Want {
  /** Readings of these devices. */
  readings?: readonly string[];
  presence?: boolean;
  commands?: boolean;
}

/** How the page is joined to the hub. */
export interface Wire {
  /** What is wanted from now on, all of it. */
  want(want: Required<Want>): void;
  close(): void;
}

/** Opens a connection; `onNews` gets what came together. Rejects nothing: `onEnd` says that it is over. */
export type OpenWire = (events: {
  onOpen(): void;
  onNews(news: News[]): void;
  /** So many readings were left out because this page was slow. */
  onMerged(count: number): void;
  /** Whatever happens to commands is told from now on. */
  onCommands(): void;
  /** `isExpelled`: the hub says that whoever listened may not any more. */
  onEnd(isExpelled: boolean): void;
}) => Wire;

/** `joining`: the first connection is on its way; `lost`: there was one. */
export const joined = signal<'joining' | 'live' | 'lost'>('joining');
/** When the next attempt is made, Unix milliseconds. */
export const nextAttemptAt = signal(0);
/** Readings left out because this page could not keep up. */
export const mergedReadings = signal(0);

const MIN_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;

/** Somebody who listens. */
export interface Watcher {
  want: Want;
  hear(news: News[]): void;
  /** Commands are told from now on: what was known of them before may be old. */
  begin(): void;
}

const watchers = new Set<Watcher>();
let wire: Wire | undefined;
let openWire: OpenWire | undefined;
/** Asks whether the person is still signed in; rejects when nobody answers. */
let mayEnter: () => Promise<boolean> = async () => true;
let knocking = false;
let hearsCommands = false;
let waitMs = MIN_WAIT_MS;
let retry: ReturnType<typeof setTimeout> | undefined;
let told: ReturnType<typeof setTimeout> | undefined;

/**
 * Joins the hub, and again whenever the connection is lost, until `leave` or until `mayEnterAgain` says no: a WebSocket that
 * is refused does not say why, so that is asked before.
 */
export function join(open: OpenWire, mayEnterAgain: () => Promise<boolean>): void {
  openWire = open;
  mayEnter = mayEnterAgain;
  connect();
}

/** Ends the connection for good. */
export function leave(): void {
  openWire = undefined;
  clearTimeout(retry);
  wire?.close();
  wire = undefined;
  hearsCommands = false;
  joined.value = 'joining';
}

/** Tries at once, when it is waiting. */
export function joinNow(): void {
  if (wire || !openWire) return;
  clearTimeout(retry);
  void knock();
}

async function knock(): Promise<void> {
  if (knocking) return;
  knocking = true;
  const answer = await asked();
  knocking = false;
  if (!openWire || wire) return;
  if (answer === 'yes') connect();
  else if (answer === 'nobody') comeBack();
}

async function asked(): Promise<'yes' | 'no' | 'nobody'> {
  try {
    return (await mayEnter()) ? 'yes' : 'no';
  } catch {
    return 'nobody';
  }
}

function connect(): void {
  wire = openWire?.({
    onOpen() {
      waitMs = MIN_WAIT_MS;
      if (joined.value === 'lost' || hubAway.value) revivals.value += 1;
      joined.value = 'live';
      hubAway.value = false;
      tellWants();
    },
    onNews(news) {
      for (const watcher of [...watchers]) {
        const own = news.filter((one) => wants(watcher.want, one));
        if (own.length > 0) watcher.hear(own);
      }
    },
    onMerged(count) {
      mergedReadings.value += count;
    },
    onCommands() {
      hearsCommands = true;
      for (const { want, begin } of [...watchers]) if (want.commands) begin();
    },
    async onEnd(isExpelled) {
      wire = undefined;
      hearsCommands = false;
      if (!isExpelled || (await asked()) !== 'no') comeBack();
    },
  });
}

function comeBack(): void {
  if (!openWire || wire) return;
  joined.value = 'lost';
  // Spread, so that many pages do not come back in one moment.
  const pauseMs = waitMs * (0.5 + Math.random() / 2);
  waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
  nextAttemptAt.value = Date.now() + pauseMs;
  clearTimeout(retry);
  retry = setTimeout(knock, pauseMs);
}

function wants(want: Want, news: News): boolean {
  if (news.kind === 'reading') return want.readings?.includes(news.device) ?? false;
  return news.kind === 'presence' ? want.presence === true : want.commands === true;
}

/** Several parts of a page come and go in one moment: the hub is told once. */
function tellWants(): void {
  clearTimeout(told);
  told = setTimeout(() => {
    const want = together([...watchers].map((watcher) => watcher.want));
    hearsCommands &&= want.commands;
    wire?.want(want);
  }, 20);
}

/** Everything that someone wants. */
export function together(all: Want[]): Required<Want> {
  return {
    readings: [...new Set(all.flatMap(({ readings = [] }) => readings))].sort(),
    presence: all.some(({ presence }) => presence),
    commands: all.some(({ commands }) => commands),
  };
}

/** Listens until the function that it returns is called. */
export function watch(watcher: Watcher): () => void {
  watchers.add(watcher);
  if (watcher.want.commands && hearsCommands) watcher.begin();
  tellWants();
  return () => {
    watchers.delete(watcher);
    tellWants();
  };
}

/** Listens as long as the part of the page is there; `begin` is called when commands that it wants begin to be told. */
export function useLive(want: Want, hear: (news: News[]) => void, begin = () => {}): void {
  const latest = useRef({ hear, begin });
  latest.current = { hear, begin };
  const key = JSON.stringify(want);
  useEffect(() => {
    return watch({
      want: JSON.parse(key),
      hear: (news) => latest.current.hear(news),
      begin: () => latest.current.begin(),
    });
  }, [key]);
}

/** For hearers that know one kind. */
export const readingsIn = (news: News[]) => news.filter((one): one is ReadingNews => one.kind === 'reading');
export const presencesIn = (news: News[]) => news.filter((one): one is PresenceNews => one.kind === 'presence');
export const commandsIn = (news: News[]) => news.filter((one): one is CommandNews => one.kind === 'command');
