/** Keeps a certificate that is renewed while the hub runs: reads its files again when they change, and takes only what is good. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureVersion } from 'node:tls';
import { UserError } from '../kit/errors.ts';

/** Where it is. */
export interface CertificateFiles {
  certFile: string;
  keyFile: string;
  /** Of the authority that signs device certificates, and its list of the revoked ones. */
  clientCaFile?: string;
  clientCrlFile?: string;
}

/** PEM texts and the oldest version, as `node:tls` wants them. */
export interface TlsMaterial {
  cert: string;
  key: string;
  ca?: string;
  crl?: string;
  minVersion: SecureVersion;
}

export interface CertificateKeeper {
  readonly current: TlsMaterial;
  /** Unix milliseconds. */
  readonly expiresAt: number;
  /** Told of each new one; `isAnew`: the authority or its list changed, so devices have to show theirs again. */
  onChange(listener: (tls: TlsMaterial, isAnew: boolean) => void): void;
  /** Reads the files now. What cannot be used is logged, and the one in use stays. Resolves to whether it was used. */
  reload(): Promise<boolean>;
  /** Stops looking. Idempotent. */
  close(): void;
}

/** What a device needs to trust a hub whose certificate no authority has signed. */
export interface OwnTrust {
  /** The certificate; nothing in it is secret. */
  pem: string;
  /** Hosts that it is for. */
  names: string[];
}

/** Of a certificate that signs itself; undefined for one that an authority has signed, for that is trusted already. */
export function ownTrust(cert: string): OwnTrust | undefined {
  const certificate = new X509Certificate(cert);
  if (!certificate.checkIssued(certificate)) return undefined;
  const names = [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,\s]+)/g)];
  return { pem: certificate.toString(), names: names.map(([, name]) => name!) };
}

export interface KeeperOptions {
  files: CertificateFiles;
  minVersion: SecureVersion;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  /** How often the files are looked at; what has changed is read when it is the same at two looks. */
  lookEveryMs?: number;
}

const LOOK_EVERY_MS = 2_000;
const DAY_MS = 86_400_000;
const WARN_BEFORE_MS = 14 * DAY_MS;

/** Reads the certificate for the first time. Throws `UserError` when it cannot be used. */
export async function keepCertificate(options: KeeperOptions): Promise<CertificateKeeper> {
  const { files, minVersion, log, lookEveryMs = LOOK_EVERY_MS } = options;
  const listeners: ((tls: TlsMaterial, isAnew: boolean) => void)[] = [];
  let seen = await looksOf(files);
  let taken = seen;
  let current = await read(files, minVersion);
  let expiresAt = expiryOf(current.cert);
  let warnedAt = 0;
  let looking = false;

  /** Whoever asks for it does so when the files are whole: what is there now is not looked at again. */
  async function reload(): Promise<boolean> {
    seen = await looksOf(files);
    taken = seen;
    return take();
  }

  async function take(): Promise<boolean> {
    try {
      const next = await read(files, minVersion);
      if (expiryOf(next.cert) <= Date.now()) throw new UserError(`The certificate ${files.certFile} has expired.`);
      const isAnew = next.ca !== current.ca || next.crl !== current.crl;
      current = next;
      expiresAt = expiryOf(next.cert);
      for (const listener of listeners) listener(next, isAnew);
      log.info({ file: files.certFile, expires: new Date(expiresAt).toISOString() }, 'a certificate was read again');
      return true;
    } catch (error) {
      const message = 'a changed certificate cannot be used; the one before stays in use';
      log.error({ file: files.certFile, error: (error as Error).message }, message);
      return false;
    }
  }

  /** A file is written piece by piece, and the key after its certificate: what is still changing is left alone. */
  async function look(): Promise<void> {
    warnOfExpiry();
    const now = await looksOf(files);
    const isSettled = now === seen;
    seen = now;
    if (!isSettled || now === taken) return;
    taken = now;
    await take();
  }

  function warnOfExpiry(): void {
    const now = Date.now();
    if (expiresAt - now > WARN_BEFORE_MS || now - warnedAt < DAY_MS) return;
    warnedAt = now;
    log.warn({ file: files.certFile, expires: new Date(expiresAt).toISOString() }, 'a certificate ends soon: renew it');
  }

  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look().finally(() => {
      looking = false;
    });
  }, lookEveryMs);
  warnOfExpiry();
  return {
    get current() {
      return current;
    },
    get expiresAt() {
      return expiresAt;
    },
    onChange: (listener) => void listeners.push(listener),
    reload,
    close: () => clearInterval(timer),
  };
}

/** Throws `UserError` when the files cannot be read, are no certificate and key, or do not belong together. */
async function read(files: CertificateFiles, minVersion: SecureVersion): Promise<TlsMaterial> {
  const { certFile, keyFile, clientCaFile, clientCrlFile } = files;
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    const tls: TlsMaterial = { cert, key, minVersion };
    if (clientCaFile !== undefined) tls.ca = await readFile(clientCaFile, 'utf8');
    if (clientCrlFile !== undefined) tls.crl = await readFile(clientCrlFile, 'utf8');
    check(tls);
    return tls;
  } catch (error) {
    const clients = clientCaFile === undefined ? '' : ` and the client certificates' ${clientCaFile}`;
    const message = (error as Error).message;
    throw new UserError(`The certificate ${certFile} with the key ${keyFile}${clients} cannot be used: ${message}`);
  }
}

/** Throws when something is wrong. An empty text would count as an option that was not given, so each is looked at. */
function check({ cert, key, ca, crl, minVersion }: TlsMaterial): void {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error('they do not belong together');
  if (ca !== undefined) new X509Certificate(ca);
  if (crl !== undefined && !crl.includes('-----BEGIN X509 CRL-----')) throw new Error('clientCrlFile is no PEM list');
  createSecureContext({ cert, key, minVersion, ...(ca && { ca }), ...(crl && { crl }) });
}

function expiryOf(cert: string): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

/** What tells that a file is another than before; a missing one looks like nothing. */
async function looksOf(files: CertificateFiles): Promise<string> {
  const paths = Object.values(files) as (string | undefined)[];
  const looks = paths.map(async (path) => {
    const { ino, size, mtimeMs } = await stat(path ?? '').catch(() => ({ ino: 0, size: 0, mtimeMs: 0 }));
    return `${ino} ${size} ${mtimeMs}`;
  });
  return (await Promise.all(looks)).join(';');
}
