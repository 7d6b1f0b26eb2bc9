/** A proxy before a server that delays, cuts and answers in its place, as a bad network and bad proxies do. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * `fair`: everything passes. `slow`: answers come later by `ms`. `deaf`: nothing comes back. `cut-request`: only so many
 * bytes of a request arrive, then both ends are closed. `cut-answer`: the server gets the request, and its answer is
 * lost with the connection. `answer`: the server gets nothing, the proxy answers.
 */
export type Weather =
  | { kind: 'fair' }
  | { kind: 'slow'; ms: number }
  | { kind: 'deaf' }
  | { kind: 'cut-request'; bytes: number }
  | { kind: 'cut-answer' }
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string };

export interface WeatherProxy {
  readonly url: string;
  /** Holds for what arrives from now on, on open connections too. */
  weather: Weather;
  /** How often each kind has met something. */
  readonly counts: Record<Weather['kind'], number>;
  close(): Promise<void>;
}

/** Stands on a free port of loopback before the server of `url`. */
export async function startWeatherProxy(url: string): Promise<WeatherProxy> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const counts = { fair: 0, slow: 0, deaf: 0, 'cut-request': 0, 'cut-answer': 0, answer: 0 };
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      counts[proxy.weather.kind]++;
      onRequest(proxy.weather, chunk, client, upstream);
    });
    upstream.on('data', (chunk: Buffer) => onAnswer(proxy.weather, chunk, client));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: WeatherProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    weather: { kind: 'fair' },
    counts,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
  return proxy;
}

function onRequest(weather: Weather, chunk: Buffer, client: Socket, upstream: Socket): void {
  if (weather.kind === 'answer') {
    const { status, headers = {}, body = '' } = weather;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    client.end(
      `HTTP/1.1 ${status} Weather\r\n${lines.join('')}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    );
  } else if (weather.kind === 'cut-request') {
    upstream.end(chunk.subarray(0, weather.bytes));
    upstream.once('close', () => client.destroy());
  } else {
    upstream.write(chunk);
  }
}

function onAnswer(weather: Weather, chunk: Buffer, client: Socket): void {
  if (weather.kind === 'cut-answer' || weather.kind === 'cut-request') client.destroy();
  else if (weather.kind === 'slow') setTimeout(() => client.write(chunk), weather.ms);
  else if (weather.kind !== 'deaf') client.write(chunk);
}
