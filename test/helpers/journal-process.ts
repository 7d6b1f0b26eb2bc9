/** A process that appends to a journal for ever and says what was acknowledged: `node journal-process.ts DIR`. */
import { openJournal } from '../../hub/telemetry/journal.file.ts';

const DEVICES = 20;
const IN_FLIGHT = 8;

const journal = await openJournal({
  dir: process.argv[2]!,
  limitBytes: 2 ** 30,
  segmentBytes: 256 * 1024,
  lingerMs: 0,
  replayMs: 0,
  memoryReadings: 1000,
}).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(75);
});

for (let index = 0; index < DEVICES; index++) {
  const device = `d${index}`;
  let seq = journal.held(device)?.seq ?? 0;
  const send = () => {
    seq++;
    const readings = [{ ts: seq, value: seq, text: 'x'.repeat(seq % 100) }];
    journal.append({ device, epoch: 'e', seq, stream: 's', receivedAt: 0, readings, owner });
  };
  const owner = {
    durable(acked: number) {
      process.stdout.write(`${device} ${acked}\n`);
      while (seq < acked + IN_FLIGHT) send();
    },
    refused() {},
  };
  send();
}
