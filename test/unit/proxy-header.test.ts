import { EventEmitter } from 'node:events';
import { createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPeers } from '../../hub/gateway/peers.net.ts';
import { parseProxyHeader } from '../../hub/gateway/proxy-header.ts';
import { createNetworks } from '../../hub/kit/network.ts';

const REST = Buffer.from('GET / HTTP/1.1\r\n');
const line = (text: string) => Buffer.from(`${text}\r\n`);
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n');

function version2(command: number, family: number, addresses: Buffer): Buffer {
  const head = Buffer.from([0x20 | command, family, 0, 0]);
  head.writeUInt16BE(addresses.length, 2);
  return Buffer.concat([SIGNATURE, head, addresses]);
}

const TCP4 = version2(1, 0x11, Buffer.from([192, 0, 2, 7, 10, 0, 0, 1, 0xc8, 0x22, 0x20, 0xfb]));
const ipv6 = Buffer.alloc(36);
ipv6.write('20010db8000000000000000000000007', 0, 'hex');
const mapped = Buffer.alloc(36);
mapped.write('00000000000000000000ffffc0000207', 0, 'hex');

describe('the header of the PROXY protocol', () => {
  it.each([
    ['version 1, IPv4', line('PROXY TCP4 192.0.2.7 10.0.0.1 51234 8443'), '192.0.2.7'],
    ['version 1, IPv6', line('PROXY TCP6 2001:db8::7 fd00::1 51234 8443'), '2001:db8::7'],
    ['version 1, of the proxy itself', line('PROXY UNKNOWN'), undefined],
    ['version 2, IPv4', TCP4, '192.0.2.7'],
    ['version 2, IPv6', version2(1, 0x21, ipv6), '2001:db8:0:0:0:0:0:7'],
    ['version 2, IPv4 in IPv6', version2(1, 0x21, mapped), '192.0.2.7'],
    ['version 2, with extras', version2(1, 0x11, Buffer.concat([TCP4.subarray(16), Buffer.alloc(40)])), '192.0.2.7'],
    ['version 2, of the proxy itself', version2(0, 0, Buffer.alloc(0)), undefined],
    ['version 2, a Unix socket', version2(1, 0x31, Buffer.alloc(216)), undefined],
  ])('is read: %s', (_, header, address) => {
    const expected = { length: header.length, ...(address && { address }) };
    expect(parseProxyHeader(header)).toEqual(expected);
    expect(parseProxyHeader(Buffer.concat([header, REST]))).toEqual(expected);
    for (let cut = 0; cut < header.length; cut++) expect(parseProxyHeader(header.subarray(0, cut))).toBe('more');
  });

  it.each([
    ['a request', REST],
    ['a TLS handshake', Buffer.from('160301020001', 'hex')],
    ['an address that is none', line('PROXY TCP4 evil 10.0.0.1 1 2')],
    ['an unknown family', line('PROXY UDP4 192.0.2.7 10.0.0.1 1 2')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['too few addresses', version2(1, 0x11, Buffer.alloc(4))],
    ['an unknown command', version2(7, 0x11, TCP4.subarray(16))],
    ['another version', Buffer.concat([SIGNATURE, Buffer.from([0x31, 0x11, 0, 0])])],
    ['a length nobody needs', Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
  ])('is refused: %s', (_, bytes) => {
    expect(parseProxyHeader(bytes)).toBe('bad');
  });

  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isSigned) => {
        const read = parseProxyHeader(Buffer.concat([isSigned ? SIGNATURE : Buffer.alloc(0), bytes]));
        expect(read === 'more' || read === 'bad' || read.length > 0).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the device behind a proxy', () => {
  const peers = (trusted: string[], isUnix = false) =>
    createPeers({ proxies: createNetworks(trusted), isUnix, proxyProtocol: false, onDrop: () => {} });
  const request = (remoteAddress: string | undefined, forwarded?: string) =>
    ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as never;

  it.each([
    ['nobody is trusted', [], '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['a forged header from outside', ['127.0.0.1'], '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['a trusted proxy', ['127.0.0.1'], '127.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['a trusted proxy that speaks IPv4 in IPv6', ['127.0.0.1'], '::ffff:127.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['what the device wrote before the proxy did', ['127.0.0.1'], '127.0.0.1', '203.0.113.9, 192.0.2.1', '192.0.2.1'],
    [
      'two proxies, one after the other',
      ['127.0.0.1', '10.0.0.0/8'],
      '127.0.0.1',
      '1.1.1.1, 192.0.2.1, 10.0.0.5',
      '192.0.2.1',
    ],
    ['a proxy without the header', ['127.0.0.1'], '127.0.0.1', undefined, '127.0.0.1'],
    ['a proxy that passes on rubbish', ['127.0.0.1'], '127.0.0.1', '192.0.2.1, <script>', '127.0.0.1'],
  ])('has this address: %s', (_, trusted, remote, forwarded, address) => {
    expect(peers(trusted).addressOf(request(remote, forwarded))).toBe(address);
  });

  it('has the address in the header on a Unix socket, and none without it', () => {
    expect(peers([], true).addressOf(request(undefined, '192.0.2.1'))).toBe('192.0.2.1');
    expect(peers([], true).addressOf(request(undefined))).toBe('unknown');
    expect(peers([]).addressOf(request(undefined, '192.0.2.1'))).toBe('unknown');
  });
});

describe('the doorstep', () => {
  /** As much of a socket as the doorstep looks at. */
  function arrive(server: EventEmitter, remoteAddress: string, remotePort: number) {
    const socket = Object.assign(new EventEmitter(), {
      ...{ remoteAddress, remotePort, localAddress: '10.0.0.1', localPort: 8443, isDestroyed: false },
      destroy() {
        this.isDestroyed = true;
      },
    });
    server.emit('connection', socket);
    return socket;
  }

  function make() {
    const dropped: string[] = [];
    const peers = createPeers({
      proxies: createNetworks(['10.9.9.9']),
      isUnix: false,
      proxyProtocol: false,
      onDrop: (why) => dropped.push(why),
    });
    const server = createServer();
    let entered = 0;
    server.on('connection', () => entered++);
    peers.guard(server);
    return { dropped, peers, server, entered: () => entered };
  }

  it('has room for so many of one address, and others find theirs', () => {
    const { dropped, server, entered } = make();
    const crowd = Array.from({ length: 257 }, (_, at) => arrive(server, '192.0.2.1', at));
    expect(crowd.filter(({ isDestroyed }) => isDestroyed)).toHaveLength(1);
    expect(dropped).toEqual(['crowd']);
    expect(arrive(server, '192.0.2.2', 1).isDestroyed).toBe(false);
    expect(entered()).toBe(32);
  });

  it('counts a /64 of IPv6 as one address', () => {
    const { dropped, server } = make();
    for (let at = 0; at < 257; at++) arrive(server, `2001:db8:0:1::${(at + 1).toString(16)}`, at);
    expect(dropped).toEqual(['crowd']);
    expect(arrive(server, '2001:db8:0:2::1', 1).isDestroyed).toBe(false);
  });

  it('has room again when one went in or went away', () => {
    const { peers, server } = make();
    const crowd = Array.from({ length: 256 }, (_, at) => arrive(server, '192.0.2.1', at));
    peers.admitted(crowd[0] as unknown as Socket);
    crowd[1]!.emit('close');
    crowd[0]!.emit('close');
    expect([300, 301, 302].map((port) => arrive(server, '192.0.2.1', port).isDestroyed)).toEqual([false, false, true]);
  });

  it('lets a proxy and this machine bring more', () => {
    const { dropped, server } = make();
    for (const address of ['10.9.9.9', '127.0.0.1'])
      for (let port = 0; port < 1_000; port++) arrive(server, address, port);
    expect(dropped).toEqual([]);
    for (let port = 1_000; port < 4_000; port++) arrive(server, '127.0.0.1', port);
    expect(dropped).toHaveLength(5_000 - 4_096 - 32);
  });
});
