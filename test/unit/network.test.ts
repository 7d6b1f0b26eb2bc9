import { describe, expect, it } from 'vitest';
import { createNetworks, customerOf, isLoopback, plainAddress } from '../../hub/kit/network.ts';
import { createThrottle } from '../../hub/kit/throttle.ts';

describe('networks', () => {
  const networks = createNetworks(['192.0.2.7', '10.0.0.0/8', 'fd00::/8', '2001:db8::1']);

  it.each(['192.0.2.7', '10.255.0.1', 'fd12::1', '2001:db8::1'])('hold %s', (address) => {
    expect(networks.has(address)).toBe(true);
  });

  it.each(['192.0.2.8', '11.0.0.1', '2001:db8::2', 'fe80::1', '', 'localhost', undefined])(
    'do not hold %s',
    (address) => {
      expect(networks.has(address)).toBe(false);
    },
  );

  it.each(['', 'proxy.example', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/x', '10.0.0.0/'])(
    'refuse "%s"',
    (text) => expect(() => createNetworks([text])).toThrow(RangeError),
  );

  it.each(['0.0.0.0/0', '::/0'])('refuse %s, which is everybody', (text) => {
    expect(() => createNetworks([text])).toThrow('is everybody');
  });
});

describe('addresses', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    [' 192.0.2.7:51234 ', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['unknown', undefined],
    ['_hidden', undefined],
    ['1.2.3.4.5', undefined],
    ['<script>', undefined],
    ['', undefined],
  ])('%s is read as %s', (text, address) => {
    expect(plainAddress(text)).toBe(address);
  });

  it('of one customer are one, in IPv6 by their first 64 bits', () => {
    expect(customerOf('192.0.2.7')).toBe('192.0.2.7');
    expect(customerOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(customerOf('2001:0db8:1:2::9')).toBe(customerOf('2001:db8:1:2:ffff::'));
    expect(customerOf('2001:db8::9')).toBe('2001:db8:0:0::/64');
    expect(customerOf('::1')).toBe('0:0:0:0::/64');
  });

  it('of this machine only are known', () => {
    expect(['localhost', '127.0.0.1', '127.8.8.8', '::1'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '192.0.2.7', '127.example', 'localhost.example'].some(isLoopback)).toBe(false);
  });
});

describe('the throttle of failed attempts', () => {
  const NOW = 1_760_000_000_000;
  const MINUTE = 60_000;
  /** Fails until it has to wait; how long. */
  function provoke(throttle: ReturnType<typeof createThrottle>, now: number, address = '192.0.2.7'): number {
    for (let attempt = 0; attempt < 3; attempt++) expect(throttle.failed(address, now)).toBe(0);
    return throttle.failed(address, now);
  }

  it('lets some failures a minute pass, and begins anew with each minute', () => {
    const throttle = createThrottle(3);
    for (let minute = 0; minute < 5; minute++)
      for (let attempt = 0; attempt < 3; attempt++) expect(throttle.failed('a', NOW + minute * MINUTE)).toBe(0);
  });

  it('doubles the wait each time an address goes too far, up to an hour', () => {
    const throttle = createThrottle(3);
    let now = NOW;
    const waits = Array.from({ length: 9 }, () => {
      const wait = provoke(throttle, now);
      now += wait;
      return wait / MINUTE;
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it('tells the rest of the wait to whoever fails meanwhile, and forgets who stays quiet', () => {
    const throttle = createThrottle(3);
    provoke(throttle, NOW);
    expect(throttle.failed('192.0.2.7', NOW + 20_000)).toBe(40_000);
    expect(provoke(throttle, NOW + MINUTE)).toBe(2 * MINUTE);
    expect(provoke(throttle, NOW + 5 * MINUTE)).toBe(MINUTE);
  });

  it('holds nobody for longer than an hour, though the clock was set back', () => {
    const throttle = createThrottle(3);
    provoke(throttle, NOW + 24 * 60 * MINUTE);
    expect(throttle.failed('192.0.2.7', NOW)).toBe(0);
  });

  it('takes the addresses of one customer in IPv6 for one', () => {
    const throttle = createThrottle(3);
    for (let host = 1; host <= 3; host++) throttle.failed(`2001:db8::${host}`, NOW);
    expect(throttle.failed('2001:db8::99', NOW)).toBe(MINUTE);
    expect(throttle.failed('2001:db8:0:1::99', NOW)).toBe(0);
  });

  it('remembers a bounded number of addresses: the oldest is forgotten', () => {
    const throttle = createThrottle(1);
    throttle.failed('first', NOW);
    for (let other = 0; other < 10_000; other++) throttle.failed(`other ${other}`, NOW);
    expect(throttle.failed('first', NOW)).toBe(0);
    expect(throttle.failed('other 9999', NOW)).toBe(MINUTE);
  });
});
