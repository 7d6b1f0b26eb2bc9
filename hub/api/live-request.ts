/** What somebody wants to hear of `/v1/live`: read from a frame or a query, checked, and made into a filter. Pure. */
import type { Catalog } from '../../schemas/index.ts';
import type { Device } from '../devices/devices.ts';
import { RefusedError } from '../kit/errors.ts';
import { LIVE_KINDS, type LiveFilter, type LiveKind } from '../telemetry/live.ts';

/** Whatever is absent leaves nothing out. */
export interface LiveRequest {
  kinds?: ReadonlySet<LiveKind>;
  devices?: ReadonlySet<string>;
  tags?: Record<string, string>;
  streams?: ReadonlySet<string>;
  /** The least time from one answer to the next. */
  everyMs: number;
  /** Whether it begins with what is known. */
  snapshot: boolean;
}

/** A frame of a WebSocket. */
export type LiveFrame = { type: 'subscribe'; id: string; request: LiveRequest } | { type: 'unsubscribe'; id: string };

const EVERY_MS = { usual: 250, most: 60_000 };
const MAX_DEVICES = 1_000;
const MAX_NAME = 64;
/** Of unknown names in a sentence. */
const MAX_TOLD = 5;

type Members = Record<string, unknown>;

/** Each member of a subscription: whether it fits, and if not what it must be. */
const MEMBERS: Record<string, { fits(value: unknown): boolean; rule: string }> = {
  kinds: { fits: (value) => isSome(value, LIVE_KINDS), rule: `some of ${LIVE_KINDS.join(', ')}` },
  devices: { fits: isNames, rule: `at most ${MAX_DEVICES} ids of devices` },
  tags: { fits: isTags, rule: 'an object of names and texts' },
  streams: { fits: isNames, rule: 'names of streams' },
  everyMs: {
    fits: (value) => typeof value === 'number' && value >= 0 && value <= EVERY_MS.most,
    rule: `milliseconds, at most ${EVERY_MS.most}`,
  },
  snapshot: { fits: (value) => typeof value === 'boolean', rule: 'true or false' },
};

/** Refuses a subscription that names what nobody has: whoever waits for it would wait for ever. */
export class UnknownNames extends RefusedError {
  /** Of devices and streams. */
  readonly unknown: string[];
  constructor(detail: string, unknown: string[]) {
    super('not-found', detail);
    this.unknown = unknown;
  }
}

/** What names are looked up in. */
export interface Known {
  devices: { get(id: string): Device | undefined };
  catalog: Pick<Catalog, 'streams'>;
}

/** Throws `UnknownNames`. */
export function demandKnown({ devices = new Set(), streams = new Set() }: LiveRequest, known: Known): void {
  const strangers = [...devices].filter((id) => !known.devices.get(id));
  const noStreams = [...streams].filter((name) => !known.catalog.streams.has(name));
  const listed = (what: string, names: string[]) => {
    const some = names.slice(0, MAX_TOLD).map((name) => `"${name.slice(0, MAX_NAME)}"`);
    const more = names.length > MAX_TOLD ? ` and ${names.length - MAX_TOLD} more` : '';
    return names.length > 0 ? [`There is no ${what} ${some.join(', ')}${more}`] : [];
  };
  const told = [...listed('device', strangers), ...listed('stream', noStreams)];
  if (noStreams.length > 0) told.push(`There are the streams ${[...known.catalog.streams.keys()].join(', ')}`);
  if (told.length > 0) throw new UnknownNames(`${told.join('. ')}.`, [...strangers, ...noStreams]);
}

/** Throws `RefusedError` (invalid); `id`, when there is a good one, is told in any case. */
export function readLiveFrame(text: string, onId: (id: string) => void): LiveFrame {
  const { type, id, ...members } = objectIn(text);
  const isGood = typeof id === 'string' && id !== '' && id.length <= MAX_NAME;
  if (isGood) onId(id);
  if (type !== 'subscribe' && type !== 'unsubscribe') refuse('type must be subscribe or unsubscribe');
  if (!isGood) refuse(`id must be a text of 1 to ${MAX_NAME} letters`);
  if (type === 'unsubscribe') return { type, id };
  for (const [name, value] of Object.entries(members)) {
    const member = Object.hasOwn(MEMBERS, name) ? MEMBERS[name]! : refuse(`${name.slice(0, MAX_NAME)} is not known`);
    if (!member.fits(value)) refuse(`${name} must be ${member.rule}`);
  }
  return { type, id, request: requestOf(members) };
}

function requestOf({ kinds, devices, tags, streams, everyMs, snapshot }: Members): LiveRequest {
  return {
    everyMs: (everyMs as number | undefined) ?? EVERY_MS.usual,
    snapshot: snapshot !== false,
    ...(kinds !== undefined && { kinds: new Set(kinds as LiveKind[]) }),
    ...(devices !== undefined && { devices: new Set(devices as string[]) }),
    ...(tags !== undefined && { tags: tags as Record<string, string> }),
    ...(streams !== undefined && { streams: new Set(streams as string[]) }),
  };
}

/** The filter of a request; tags are looked up as they are at that moment. */
export function filterOf(request: LiveRequest, deviceOf: (id: string) => Device | undefined): LiveFilter {
  const { kinds, devices, tags, streams } = request;
  const wanted = tags && Object.entries(tags);
  const wants = (id: string) => {
    if (devices?.has(id) === false) return false;
    const own = wanted && deviceOf(id)?.tags;
    return wanted === undefined || wanted.every(([name, value]) => own?.[name] === value);
  };
  return { ...(kinds && { kinds }), ...(streams && { streams }), ...((devices || wanted) && { wants }) };
}

function objectIn(text: string): Members {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members;
  } catch {
    // Refused below, in the same words as other nonsense.
  }
  return refuse('the frame must be a JSON object');
}

function refuse(detail: string): never {
  throw new RefusedError('invalid', detail);
}

function isSome(value: unknown, known: readonly string[]): boolean {
  return Array.isArray(value) && value.every((each) => known.includes(each));
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.length <= MAX_DEVICES && value.every((each) => typeof each === 'string');
}

function isTags(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) => typeof each === 'string');
}
