/** What a torture leaves behind when acknowledged readings are missing: which they are, the journal, and the hub's log. */
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storedOf } from '../test/helpers/stored.ts';
import { journalOn, type World } from './world.ts';

/** Resolves to the folder. Call it while the hub still runs: it is asked what it has. */
export async function keepEvidence({ hub, devices, disk }: World): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'torture-evidence-'));
  const lost: { device: string; ts: number; nth: number }[] = [];
  for (const device of devices) {
    const { values } = await storedOf(hub, device);
    for (const [ts, light] of device.acked)
      if (values.get(ts) !== light) lost.push({ device: device.id, ts, nth: ts - device.firstTs });
  }
  writeFileSync(join(folder, 'lost.json'), JSON.stringify(lost));
  writeFileSync(join(folder, 'status.json'), JSON.stringify(await hub.call('GET', '/v1/status'), null, 2));
  writeFileSync(join(folder, 'hub.log'), hub.log());
  cpSync(journalOn(disk), join(folder, 'journal'), { recursive: true });
  return folder;
}
