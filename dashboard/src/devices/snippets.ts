/** Programs to start a device from, with its address and token already in them. */

import type { Trust } from '../hub/gateway.ts';

export type Language = 'python' | 'arduino' | 'node';

/** Each language, by the name people know. */
export const LANGUAGES: [Language, string][] = [
  ['python', 'Python'],
  ['arduino', 'Arduino'],
  ['node', 'Node'],
];

export interface Setting {
  /** `wss://host:8443/v1/device`. */
  url: string;
  token: string;
  /** What the device must trust, when no authority has signed it. */
  trust: Trust;
  /** Stream and a reading of it. */
  stream: string;
  reading: Record<string, unknown>;
}

const MAKERS: Record<Language, (setting: Setting) => string> = { python, arduino, node };

/** The whole program. */
export const snippetOf = (language: Language, setting: Setting): string => MAKERS[language](setting);

/**
 * The name under which the certificate is checked, where it is not for the host of the address. Nobody else has a certificate
 * that is trusted, so any name of it will do.
 */
function otherName({ url, trust: { names = [] } }: Setting): string | undefined {
  return names.includes(new URL(url).hostname) ? undefined : names[0];
}

function python(setting: Setting): string {
  const { url, token, trust, stream, reading } = setting;
  const isTls = url.startsWith('wss:');
  const own = `tls = ssl.create_default_context(cadata="""${trust.pem}""")  # the hub's own certificate`;
  const tls = !isTls ? 'tls = None' : trust.pem ? own : 'tls = ssl.create_default_context()';
  const name = isTls && otherName(setting);
  return `# pip install websockets; a device that survives any failure: docs/examples/device.py of Telemetry Hub
import asyncio, json, ssl, websockets

URL = ${JSON.stringify(url)}
TOKEN = ${JSON.stringify(token)}
${tls}

async def main():
    async with websockets.connect(URL, ssl=tls,${name ? ` server_hostname=${JSON.stringify(name)},` : ''} subprotocols=["telemetry-hub.v1", "bearer." + TOKEN]) as hub:
        seq = 0
        while True:
            seq += 1
            reading = ${pythonValue(reading)}
            await hub.send(json.dumps({"type": "telemetry", "seq": seq, "stream": ${JSON.stringify(stream)}, "readings": [reading]}))
            print(await hub.recv(), flush=True)  # {"type":"ack","seq":…}: it is durable
            await asyncio.sleep(5)

asyncio.run(main())
`;
}

/** Python's own words for yes and no. */
function pythonValue(reading: Record<string, unknown>): string {
  const members = Object.entries(reading).map(([name, value]) => {
    const text = typeof value === 'boolean' ? (value ? 'True' : 'False') : JSON.stringify(value);
    return `${JSON.stringify(name)}: ${text}`;
  });
  return `{${members.join(', ')}}`;
}

function node(setting: Setting): string {
  const { url, token, trust, stream, reading } = setting;
  const name = otherName(setting);
  const own = `
  ca: \`${trust.pem}\`, // the hub's own certificate${name ? `\n  servername: ${JSON.stringify(name)},` : ''}`;
  return `// npm install ws
import WebSocket from 'ws';

const hub = new WebSocket(${JSON.stringify(url)}, 'telemetry-hub.v1', {
  headers: { authorization: 'Bearer ${token}' },${url.startsWith('wss:') && trust.pem ? own : ''}
});
let seq = 0;
hub.on('open', () =>
  setInterval(() => {
    seq += 1;
    const readings = [${JSON.stringify(reading)}];
    hub.send(JSON.stringify({ type: 'telemetry', seq, stream: ${JSON.stringify(stream)}, readings }));
  }, 5_000),
);
hub.on('message', (text) => console.log(String(text))); // {"type":"ack","seq":…}: it is durable
hub.on('close', (code, reason) => {
  console.log('closed', code, String(reason));
  process.exit(1); // what starts it starts it again
});
`;
}

function arduino({ url, token, trust, stream, reading }: Setting): string {
  const { protocol, hostname, port, pathname } = new URL(url);
  const isTls = protocol === 'wss:';
  const rest = JSON.stringify({ type: 'telemetry', stream, readings: [reading] }).slice(1);
  const certificate = `
// ${trust.pem ? "The hub's own certificate." : "The root of the authority that signed the hub's certificate: paste it here."}
const char CA_PEM[] = R"pem(
${trust.pem ?? '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'})pem";
`;
  const begin = isTls
    ? `hub.beginSslWithCA("${hostname}", ${port || 443}, "${pathname}", CA_PEM, "telemetry-hub.v1");`
    : `hub.begin("${hostname}", ${port || 80}, "${pathname}", "telemetry-hub.v1");`;
  return `// ESP32 with the library "WebSockets" by Markus Sattler
#include <WiFi.h>
#include <WebSocketsClient.h>
${isTls ? certificate : ''}
WebSocketsClient hub;
unsigned long seq = 0, last = 0;

void heard(WStype_t type, uint8_t *text, size_t length) {
  if (type == WStype_CONNECTED) seq = 0;
  if (type == WStype_TEXT) Serial.println((char *)text);  // {"type":"ack","seq":…}: it is durable
}

void setup() {
  Serial.begin(115200);
  WiFi.begin("NETWORK", "PASSWORD");
  while (WiFi.status() != WL_CONNECTED) delay(200);
  hub.onEvent(heard);
  hub.setExtraHeaders("Authorization: Bearer ${token}");
  ${begin}
  hub.setReconnectInterval(5000);
}

void loop() {
  hub.loop();
  if (!hub.isConnected() || millis() - last < 5000) return;
  last = millis();
  String frame = "{\\"seq\\":" + String(++seq) + ",";
  frame += R"json(${rest})json";
  hub.sendTXT(frame);
}
`;
}
