/** The contract with a real InfluxDB. */
import { createInfluxStore } from '../../hub/telemetry/store.influx.ts';
import { startInfluxd } from '../helpers/influxd.ts';
import { quiet } from '../helpers/log.ts';
import { streams } from '../helpers/streams.ts';
import { describeStore } from './store.contract.ts';

describeStore('influx', async (rollups = []) => {
  const influxd = await startInfluxd();
  const store = createInfluxStore({
    url: influxd.url,
    database: 'telemetry',
    retentionPolicy: 'hub',
    retentionDays: 0,
    timeoutMs: 20_000,
    streams,
    rollups,
    log: quiet,
  });
  // Asked once, it makes what the server needs.
  await store.query({ device: 'nobody', stream: 'probe', from: 0, to: 1, limit: 1 });
  return {
    store,
    async close() {
      await store.close();
      await influxd.remove();
    },
  };
});
