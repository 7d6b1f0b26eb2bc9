/** What the hub asks of network addresses: are they of this machine, in a network, and whose are they. Pure. */
import { BlockList, isIP } from 'node:net';

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export interface Networks {
  /** Whether the address is in one of them; what is no address is in none. */
  has(address: string | undefined): boolean;
}

/** Reads addresses and networks such as `192.0.2.1`, `10.0.0.0/8`, `fd00::/8`. Throws `RangeError` with a sentence. */
export function createNetworks(texts: readonly string[]): Networks {
  const list = new BlockList();
  for (const text of texts) addNetwork(list, text);
  return {
    has(address) {
      const version = isIP(address ?? '');
      return version !== 0 && list.check(address!, version === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

function addNetwork(list: BlockList, text: string): void {
  const [address = '', prefix, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) throw new RangeError(`"${text}" is no address and no network`);
  const most = version === 4 ? 32 : 128;
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (bits === 0) throw new RangeError(`"${text}" is everybody`);
  if (!(bits <= most)) throw new RangeError(`"${text}" is no network: its prefix must be 1 to ${most}`);
  list.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6');
}

/**
 * An address as others write it, in the form in which the hub knows it: without port, brackets and zone, and IPv4 as IPv4.
 * Undefined when there is none in it.
 */
export function plainAddress(text: string): string | undefined {
  const trimmed = text.trim();
  const bare = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(trimmed)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(trimmed)?.[1] ?? trimmed;
  const address = bare.replace(/%.*$/, '');
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address;
  return isIP(mapped) === 0 ? undefined : mapped;
}

/** The part of an address that one customer of a network has: all of IPv4, the first 64 bits of IPv6. */
export function customerOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [left = '', right] = address.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const groups = [...left, ...Array(right ? 8 - left.length - right.length : 0).fill('0'), ...(right ?? [])];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
