/** The baseline of `bench/wire.ts`: a bare `ws` server behind TLS that looks at nothing and only acknowledges. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { SUBPROTOCOL } from '../hub/gateway/admission.ts';
import { selfSignedCertificate } from '../hub/gateway/certificate.selfsigned.ts';

/** `frame`: an ack for each frame. `turn`: one for all frames that a socket brought in one turn of the event loop. */
export type AckMode = 'frame' | 'turn';

const [dir = '.', mode = 'frame'] = process.argv.slice(2);
const { certFile, keyFile } = await selfSignedCertificate(dir);
const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)];
const server = createServer({ cert, key, minVersion: 'TLSv1.2', noDelay: true });
new WebSocketServer({
  server,
  perMessageDeflate: false,
  clientTracking: false,
  handleProtocols: () => SUBPROTOCOL,
}).on('connection', mode === 'turn' ? ackEachTurn : ackEachFrame);
await once(server.listen(0, '127.0.0.1'), 'listening');
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);

function ackEachFrame(ws: WebSocket): void {
  let seq = 0;
  ws.on('error', () => {});
  ws.on('message', () => ws.send(`{"type":"ack","seq":${++seq}}`));
}

function ackEachTurn(ws: WebSocket): void {
  let seq = 0;
  let isDue = false;
  const ack = () => {
    isDue = false;
    ws.send(`{"type":"ack","seq":${seq}}`);
  };
  ws.on('error', () => {});
  ws.on('message', () => {
    seq++;
    if (!isDue) setImmediate(ack);
    isDue = true;
  });
}
