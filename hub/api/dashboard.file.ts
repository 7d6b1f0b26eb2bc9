/** The dashboard's page as it was built: read into memory when the hub starts, sent compressed, and allowed nothing from elsewhere. */
import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** One file of the build, in the encodings that it was built in. */
interface PageFile {
  type: string;
  /** Named by its content: it never changes. */
  isHashed: boolean;
  etag: string;
  bodies: Partial<Record<Encoding, Buffer>> & { identity: Buffer };
}

type Encoding = 'br' | 'gzip' | 'identity';
/** The best first, each with what it adds to the name of the file. */
const ENCODINGS: [Encoding, string][] = [
  ['br', '.br'],
  ['gzip', '.gz'],
];
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
};
const POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "font-src 'self'"],
  ...["connect-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');
const FOREVER = 'public, max-age=31536000, immutable';
const NOT_BUILT = 'The dashboard is not built: run "npm ci" in the folder of Telemetry Hub and start the hub again.\n';

/** Serves the files of `dir` at `/`; when there is none, `/` says how the page is built. */
export async function addDashboard(app: FastifyInstance, dir: string): Promise<void> {
  const files = await readPage(dir);
  for (const [path, file] of files) app.get(path, (request, reply) => send(file, request, reply));
  const page = files.get('/index.html');
  if (page) app.get('/', (request, reply) => send(page, request, reply));
  else app.get('/', (_, reply) => reply.code(503).type('text/plain; charset=utf-8').send(NOT_BUILT));
}

/** By the path of their address. */
async function readPage(dir: string): Promise<Map<string, PageFile>> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const names = new Set(found.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name)));
  const files = new Map<string, PageFile>();
  for (const name of names) {
    const type = TYPES[extname(name)];
    if (type) files.set(name.slice(dir.length).replaceAll(sep, '/'), await readOne(name, type, names));
  }
  return files;
}

async function readOne(name: string, type: string, names: Set<string>): Promise<PageFile> {
  const identity = await readFile(name);
  const bodies: PageFile['bodies'] = { identity };
  for (const [encoding, suffix] of ENCODINGS)
    if (names.has(name + suffix)) bodies[encoding] = await readFile(name + suffix);
  const isHashed = /-[A-Za-z0-9_-]{8}\.\w+$/.test(name);
  return { type, isHashed, etag: `"${hash('sha256', identity, 'base64url').slice(0, 22)}"`, bodies };
}

function send({ type, isHashed, etag, bodies }: PageFile, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { 'accept-encoding': accepted = '', 'if-none-match': known } = request.headers;
  reply.headers({
    'cache-control': isHashed ? FOREVER : 'no-cache',
    'content-security-policy': POLICY,
    vary: 'accept-encoding',
    etag,
  });
  if (known === etag) return reply.code(304).send();
  const [encoding] = ENCODINGS.find(([name]) => bodies[name] && accepts(String(accepted), name)) ?? [
    'identity' as const,
  ];
  if (encoding !== 'identity') reply.header('content-encoding', encoding);
  return reply.type(type).send(bodies[encoding]);
}

/** `gzip;q=0` is a refusal. */
function accepts(accepted: string, encoding: Encoding): boolean {
  const found = new RegExp(`(?:^|[, ])${encoding}(?: *; *q=([\\d.]+))?(?:[, ]|$)`).exec(accepted);
  return found !== null && Number(found[1] ?? 1) > 0;
}
