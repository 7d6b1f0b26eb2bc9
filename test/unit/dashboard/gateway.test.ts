/** The address that programs for devices are given. */
import { expect, it } from 'vitest';
import { addressFor } from '../../../dashboard/src/hub/gateway.ts';

it.each([
  [
    'the hub and the browser on one machine',
    'wss://127.0.0.1:8443/v1/device',
    'localhost',
    'wss://localhost:8443/v1/device',
  ],
  ['a hub that is open to the network', 'wss://0.0.0.0:9443/v1/device', 'hub.lan', 'wss://hub.lan:9443/v1/device'],
  ['a hub with a name of its own', 'wss://hub.lan:8443/v1/device', '10.0.0.5', 'wss://hub.lan:8443/v1/device'],
  ['IPv6', 'wss://[::]:8443/v1/device', '[fd00::5]', 'wss://[fd00::5]:8443/v1/device'],
  ['TLS that ends in a proxy', 'ws://127.0.0.1:8444/v1/device', 'hub.example', 'wss://hub.example:8443/v1/device'],
  [
    'a plain hub that is tried on its own machine',
    'ws://127.0.0.1:8444/v1/device',
    '127.0.0.1',
    'ws://127.0.0.1:8444/v1/device',
  ],
  ['a Unix socket', 'ws+unix:///run/hub.sock:/v1/device', 'hub.example', 'wss://hub.example:8443/v1/device'],
  ['a public address', 'wss://hub.example/v1/device', '127.0.0.1', 'wss://hub.example/v1/device'],
  ['a hub that has not said it yet', undefined, 'hub.example', 'wss://hub.example:8443/v1/device'],
])('of %s', (_, gateway, host, address) => {
  expect(addressFor(gateway, host)).toBe(address);
});
