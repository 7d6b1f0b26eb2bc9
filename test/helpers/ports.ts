/** Ports for servers that are ended and started again. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that the system gives to whoever connects: one of them may be taken while its server is away. */
const [FIRST, COUNT] = [12_000, 16_000];
/** Processes of tests that run at the same time begin far from each other. */
const PER_PROCESS = 80;

let next = process.pid * PER_PROCESS;

/** Resolves to a port of the loopback that is free, and that this process is given once. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + (next++ % COUNT);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
