/** Certificates that change while the hub runs: what is good is taken, what is not changes nothing. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CertificateKeeper, keepCertificate, type TlsMaterial } from '../../hub/gateway/certificates.tls.ts';
import { until } from '../helpers/journals.ts';
import { makeAuthority, makeExpired, type TestAuthority, type TestCertificate } from '../helpers/pki.ts';

let authority: TestAuthority;
let first: TestCertificate;
let second: TestCertificate;
let dir: string;
let keeper: CertificateKeeper;
let logged: string[];
let told: { tls: TlsMaterial; isAnew: boolean }[];

const write = (name: string, words: object) => logged.push(`${name} ${JSON.stringify(words)}`);
const log = {
  info: (words: object) => write('info', words),
  warn: (words: object) => write('warn', words),
  error: (words: object) => write('error', words),
};

beforeAll(() => {
  authority = makeAuthority('Test');
  first = authority.issue('hub');
  second = authority.issue('hub');
});

afterAll(() => authority.dispose());

function install({ certFile, keyFile }: TestCertificate): void {
  copyFileSync(certFile, join(dir, 'cert.pem'));
  copyFileSync(keyFile, join(dir, 'key.pem'));
}

async function keep(clients: object = {}): Promise<CertificateKeeper> {
  const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem'), ...clients };
  const made = await keepCertificate({ files, minVersion: 'TLSv1.2', log, lookEveryMs: 20 });
  made.onChange((tls, isAnew) => told.push({ tls, isAnew }));
  return made;
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hub-cert-'));
  logged = [];
  told = [];
  install(first);
});

afterEach(() => {
  keeper.close();
  rmSync(dir, { recursive: true });
});

describe('a kept certificate', () => {
  it('is read again when its files changed, and once', async () => {
    keeper = await keep();
    install(second);
    await until(() => told.length > 0);
    expect(told).toEqual([{ tls: { cert: second.cert, key: second.key, minVersion: 'TLSv1.2' }, isAnew: false }]);
    expect(keeper.current.cert).toBe(second.cert);
    expect(logged).toHaveLength(1);
  });

  it('is read once when somebody asks for it, for nobody looks at the same files again', async () => {
    keeper = await keep();
    install(second);
    expect(await keeper.reload()).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(told).toHaveLength(1);
    install(first);
    await until(() => told.length > 1);
    expect(told.map(({ tls }) => tls.cert)).toEqual([second.cert, first.cert]);
  });

  it('stays in use while only one of the two files was changed, and gives way when both were', async () => {
    keeper = await keep();
    copyFileSync(second.certFile, join(dir, 'cert.pem'));
    await until(() => logged.length > 0);
    expect(logged[0]).toMatch(/^error .*cert\.pem.*cannot be used/);
    expect(keeper.current.cert).toBe(first.cert);
    copyFileSync(second.keyFile, join(dir, 'key.pem'));
    await until(() => told.length > 0);
    expect(keeper.current.cert).toBe(second.cert);
  });

  it('stays in use when the new one is rubbish, missing or over; each is said once', async () => {
    keeper = await keep();
    writeFileSync(join(dir, 'cert.pem'), 'rubbish');
    await until(() => logged.length === 1);
    rmSync(join(dir, 'cert.pem'));
    await until(() => logged.length === 2);
    install(await makeExpired(dir));
    await until(() => logged.length === 3);
    expect(logged.map((line) => line.split(' ')[0])).toEqual(['error', 'error', 'error']);
    expect(logged[2]).toContain('has expired');
    expect(keeper.current.cert).toBe(first.cert);
    expect(told).toEqual([]);
  });

  it('is read at once when asked, and says whether it was taken', async () => {
    keeper = await keep();
    keeper.close();
    install(second);
    expect(await keeper.reload()).toBe(true);
    expect(keeper.current.cert).toBe(second.cert);
    writeFileSync(join(dir, 'key.pem'), '');
    expect(await keeper.reload()).toBe(false);
    expect(keeper.current.cert).toBe(second.cert);
  });

  it('tells when the authority of the clients changed, so that they are asked anew', async () => {
    const clientCaFile = join(dir, 'clients.pem');
    copyFileSync(authority.caFile, clientCaFile);
    keeper = await keep({ clientCaFile });
    expect(keeper.current.ca).toBe(authority.ca);
    const other = makeAuthority('Other');
    copyFileSync(other.caFile, clientCaFile);
    await until(() => told.length > 0);
    expect(told[0]).toMatchObject({ isAnew: true, tls: { ca: other.ca } });
    other.dispose();
  });

  it('warns when its end is near', async () => {
    install(await makeExpired(dir));
    keeper = await keep();
    expect(logged[0]).toMatch(/^warn /);
  });

  it('is refused at the start with file and reason when it cannot be used', async () => {
    keeper = await keep();
    copyFileSync(second.keyFile, join(dir, 'key.pem'));
    await expect(keep()).rejects.toThrow(/cert\.pem with the key .*key\.pem cannot be used: /);
  });
});
