/** The certificate devices see: the operator's own, or a self-signed one made at the first start. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { generate } from 'selfsigned';
import { UserError } from '../kit/errors.ts';

/** PEM texts. */
export interface Certificate {
  cert: string;
  key: string;
}

const YEARS = 10;

/** Reads a certificate and its key. Throws a `UserError` when they cannot be used, or do not belong together. */
export async function readCertificate(certFile: string, keyFile: string): Promise<Certificate> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (error) {
    throw new UserError(
      `The certificate ${certFile} with the key ${keyFile} cannot be used: ${(error as Error).message}`,
    );
  }
}

/** The self-signed certificate in `dir` (cert.pem, key.pem), made when missing; `made` tells that it is new. */
export async function selfSignedCertificate(dir: string): Promise<Certificate & { made: boolean }> {
  const certFile = join(dir, 'cert.pem');
  const keyFile = join(dir, 'key.pem');
  if (existsSync(certFile) && existsSync(keyFile))
    return { ...(await readCertificate(certFile, keyFile)), made: false };
  const notAfterDate = new Date();
  notAfterDate.setFullYear(notAfterDate.getFullYear() + YEARS);
  const made = await generate([{ name: 'commonName', value: 'Telemetry Hub, self-signed' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate,
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: alternativeNames() },
    ],
  });
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFile(keyFile, made.private, { mode: 0o600 });
  await writeFile(certFile, made.cert);
  return { cert: made.cert, key: made.private, made: true };
}

function alternativeNames() {
  const names = [...new Set(['localhost', hostname()])];
  return [
    ...names.map((value) => ({ type: 2 as const, value })),
    { type: 7 as const, ip: '127.0.0.1' },
    { type: 7 as const, ip: '::1' },
  ];
}
