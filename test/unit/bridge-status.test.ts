/** How `hub bridge status` and `hub status` show brokers to a person. */
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import type { BridgeStatus } from '../../hub/bridge/status.ts';
import { brokerStatuses } from '../../hub/bridge/status.ts';
import { bridgeSheet } from '../../hub/cli/bridge.ts';

const plain = pc.createColors(false);
const NOW = Date.UTC(2026, 0, 1, 1);

const link = (name: string, state: 'connected' | 'refused', lastError?: string) => ({
  ...{ name, state, url: `mqtt://${name}`, since: Date.UTC(2026, 0, 1), version: 5 as const },
  ...{ inFlight: 3, window: 200, published: 42, received: 7, ...(lastError && { lastError }) },
});

describe('the status of the bridge', () => {
  const sinks = [{ name: 'mqtt-a:1883', lagFrames: 12, lagMs: 3_000, refused: 2 }];
  const brokers = brokerStatuses([link('a:1883', 'connected'), link('b:1883', 'refused', 'no\u001b[2J entry')], sinks);

  it('has the lag of the journal beside each broker that readings go to', () => {
    expect(brokers[0]).toMatchObject({ lagFrames: 12, lagMs: 3_000, refused: 2, published: 42 });
    expect(brokers[1]).toMatchObject({ lagFrames: 0, lagMs: 0, refused: 0 });
  });

  it('is shown as tables, with the reason of each broker that is away, harmless for the terminal', () => {
    const rule = {
      ...{ name: 'zigbee', broker: 'a:1883', stream: 'environment', filter: 'zigbee2mqtt/+' },
      ...{ messages: 9, readings: 5, refused: 2, skipped: 1, looped: 1, lastRefusal: 'not JSON' },
    };
    const counts = { received: 4, sent: 2, repeated: 1, refused: 1, told: 3, waiting: 5 };
    const commands = [{ broker: 'a:1883', ...counts, lastRefusal: 'meter-7 dance: none\u001b[2J' }];
    const status: BridgeStatus = { hub: '4f1c09ab', brokers, rules: [rule], commands };
    const text = bridgeSheet(status, NOW, plain);
    expect(text).toMatch(/a:1883 +connected +2026-01-01 00:00:00.000Z \(1 h\) +5 +3 of 200 +12 frames, 3 s +42 +7 +2/);
    expect(text).toMatch(/zigbee +a:1883 +environment +9 +5 +2 +1 +1 +not JSON/);
    expect(text).toMatch(/a:1883 +4 +2 +1 +1 +3 +5 +meter-7 dance: none\ufffd\[2J/);
    expect(text).toContain('b:1883: no�[2J entry');
  });

  it('has what Home Assistant was told, and the commands of Sparkplug that were refused, where they are counted', () => {
    const announcing = { ...link('a:1883', 'connected'), announced: 12 };
    const edge = { ...link('sparkplug-a:1883', 'connected'), refusedCommands: 3 };
    const brokers = brokerStatuses([announcing, edge], []);
    expect(brokers).toMatchObject([{ announced: 12 }, { refusedCommands: 3 }]);
    const text = bridgeSheet({ hub: '4f1c09ab', brokers, rules: [], commands: [] }, NOW, plain);
    expect(text).toContain('a:1883  told Home Assistant of devices 12 times');
    expect(text).toContain('sparkplug-a:1883  refused 3 commands of Sparkplug');
  });
});
