/** What a hub's store holds of a ledger's device, held against what was acknowledged. */
import type { TestHub } from './hub.ts';
import type { LedgerDevice } from './ledger.ts';

/** The part of a ledger that tells what must be stored, and what may be. */
export type Ledger = Pick<LedgerDevice, 'id' | 'firstTs' | 'sent' | 'acked'>;

export interface Balance {
  /** Readings that were acknowledged and are not stored as they were sent. */
  lost: number;
  /** Readings that are stored and were never sent, or not with this value. */
  phantom: number;
  /** Rows beyond one for each reading. */
  duplicated: number;
}

const PAGE = 10_000;

/** The sum over devices. */
export async function balanceOf(hub: TestHub, devices: readonly Ledger[]): Promise<Balance> {
  const sum = { lost: 0, phantom: 0, duplicated: 0 };
  for (const device of devices) {
    const { rows, values } = await storedOf(hub, device);
    for (const [ts, light] of device.acked) if (values.get(ts) !== light) sum.lost++;
    for (const [ts, light] of values) if (device.sent.get(ts) !== light) sum.phantom++;
    sum.duplicated += rows - values.size;
  }
  return sum;
}

/** Time in ms → value, and how many rows there are. */
export async function storedOf(
  hub: TestHub,
  device: Pick<Ledger, 'id' | 'firstTs'>,
): Promise<{ rows: number; values: Map<number, number> }> {
  const path = `/v1/devices/${device.id}/telemetry?stream=environment&fields=light&to=now&order=asc&limit=${PAGE}`;
  const values = new Map<number, number>();
  let rows = 0;
  for (let from = device.firstTs; ; ) {
    const page = await hub.call<{ rows: { ts: number; light: number }[] }>('GET', `${path}&from=${from}`);
    for (const { ts, light } of page.rows) values.set(ts, light);
    rows += page.rows.length;
    if (page.rows.length < PAGE) return { rows, values };
    from = page.rows.at(-1)!.ts + 1;
  }
}

/** What the hub says of the replay and of its store's sink. */
export async function careOf(hub: TestHub) {
  const status = await hub.call<{
    store: { replay: { restarts: number; replayed: number; leftFrames: number } };
    sinks: { name: string; state: string; lagFrames: number; refused: number; lastError?: string }[];
  }>('GET', '/v1/status');
  return { ...status.store.replay, ...status.sinks.find(({ name }) => name === 'store')! };
}
