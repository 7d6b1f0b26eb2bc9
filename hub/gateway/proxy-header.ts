/** Reads the header of the PROXY protocol, versions 1 and 2, with which a proxy says whose connection it passes on. Pure. */
import { plainAddress } from '../kit/network.ts';

/** `address` is absent when the proxy speaks for itself (a health check). `length`: bytes of the header. */
export interface ProxyHeader {
  address?: string;
  length: number;
}

const SIGNATURE_2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const START_1 = Buffer.from('PROXY ');
const MAX_LENGTH_1 = 107;
const FIXED_2 = 16;
/** Addresses and a few extras; a proxy that sends more is not set up for this. */
const MAX_LENGTH_2 = FIXED_2 + 2_048;

/** The header at the beginning of `data`; `more` when it is not all there; `bad` when that is none. */
export function parseProxyHeader(data: Buffer): ProxyHeader | 'more' | 'bad' {
  if (startsAlike(data, SIGNATURE_2)) return data.length < FIXED_2 ? 'more' : version2(data);
  if (startsAlike(data, START_1)) return version1(data);
  return 'bad';
}

/** Whether the two are the same as far as both go. */
function startsAlike(data: Buffer, start: Buffer): boolean {
  const length = Math.min(data.length, start.length);
  return data.subarray(0, length).equals(start.subarray(0, length));
}

/** `PROXY TCP4 192.0.2.7 203.0.113.1 51234 8443` and the end of a line. */
function version1(data: Buffer): ProxyHeader | 'more' | 'bad' {
  const end = data.subarray(0, MAX_LENGTH_1).indexOf('\r\n');
  if (end === -1) return data.length < MAX_LENGTH_1 ? 'more' : 'bad';
  const [, family, source = ''] = data.toString('latin1', 0, end).split(' ');
  const length = end + 2;
  if (family === 'UNKNOWN') return { length };
  const address = plainAddress(source);
  return (family === 'TCP4' || family === 'TCP6') && address !== undefined ? { address, length } : 'bad';
}

const LOCAL = 0x20;
const PROXY = 0x21;
const IPV4 = 1;
const IPV6 = 2;

function version2(data: Buffer): ProxyHeader | 'more' | 'bad' {
  const command = data[12]!;
  const family = data[13]! >> 4;
  const length = FIXED_2 + data.readUInt16BE(14);
  if ((command !== LOCAL && command !== PROXY) || length > MAX_LENGTH_2) return 'bad';
  if (data.length < length) return 'more';
  if (command === LOCAL) return { length };
  const address = sourceOf(data.subarray(FIXED_2, length), family);
  if (address === undefined) return family === IPV4 || family === IPV6 ? 'bad' : { length };
  return { address, length };
}

function sourceOf(addresses: Buffer, family: number): string | undefined {
  if (family === IPV4 && addresses.length >= 12) return addresses.subarray(0, 4).join('.');
  if (family !== IPV6 || addresses.length < 36) return undefined;
  const groups = Array.from({ length: 8 }, (_, at) => addresses.readUInt16BE(2 * at).toString(16));
  const isMapped = groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff';
  return isMapped ? addresses.subarray(12, 16).join('.') : groups.join(':');
}
