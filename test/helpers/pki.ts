/** Certificates for tests, made with openssl: an authority, what it signs, and its list of the revoked. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** Paths of PEM files, and their texts. */
export interface TestCertificate {
  certFile: string;
  keyFile: string;
  cert: string;
  key: string;
}

export interface TestAuthority {
  readonly dir: string;
  readonly caFile: string;
  readonly ca: string;
  /** Holds nobody until somebody is revoked. */
  readonly crlFile: string;
  /** Signs a certificate with this common name, for a server on 127.0.0.1 and localhost as well as for a client. */
  issue(commonName: string, options?: { endsInSeconds?: number }): TestCertificate;
  /** Writes it into `crlFile`. */
  revoke(certificate: TestCertificate): void;
  dispose(): void;
}

/** Makes an authority in a folder of its own. */
export function makeAuthority(name: string): TestAuthority {
  const dir = mkdtempSync(join(tmpdir(), 'hub-pki-'));
  const path = (file: string) => join(dir, file);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  mkdirSync(path('signed'));
  writeFileSync(path('index.txt'), '');
  writeFileSync(path('serial'), '1000\n');
  writeFileSync(path('crlnumber'), '1000\n');
  writeFileSync(path('ca.conf'), configuration(dir));
  openssl(
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30'.split(' '),
    '-subj',
    `/CN=${name}`,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
  );
  const writeList = () => openssl('ca', '-config', 'ca.conf', '-gencrl', '-out', 'crl.pem');
  writeList();
  let count = 0;
  return {
    dir,
    caFile: path('ca.pem'),
    crlFile: path('crl.pem'),
    ca: readFileSync(path('ca.pem'), 'utf8'),
    issue(commonName, { endsInSeconds } = {}) {
      const certFile = path(`${++count}.pem`);
      const keyFile = path(`${count}.key`);
      openssl(
        ...'req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'.split(' '),
        '-subj',
        `/CN=${commonName}`,
        '-keyout',
        keyFile,
        '-out',
        `${count}.csr`,
      );
      openssl(
        ...['ca', '-config', 'ca.conf', '-batch', '-notext', '-in', `${count}.csr`, '-out', certFile],
        ...(endsInSeconds === undefined ? [] : ['-enddate', asn1Time(Date.now() + endsInSeconds * 1_000)]),
      );
      return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    },
    revoke({ certFile }) {
      openssl('ca', '-config', 'ca.conf', '-revoke', certFile);
      writeList();
    },
    dispose: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** `20261121083000Z` */
function asn1Time(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+|[-:T]/g, '');
}

function configuration(dir: string): string {
  return `[ca]
default_ca = test
[test]
dir = ${dir}
database = ${dir}/index.txt
serial = ${dir}/serial
crlnumber = ${dir}/crlnumber
new_certs_dir = ${dir}/signed
certificate = ${dir}/ca.pem
private_key = ${dir}/ca.key
default_md = sha256
default_days = 20
default_crl_days = 20
unique_subject = no
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
`;
}

/** A self-signed certificate that ended yesterday. */
export async function makeExpired(dir: string): Promise<TestCertificate> {
  const day = 86_400_000;
  const dates = { notBeforeDate: new Date(Date.now() - 2 * day), notAfterDate: new Date(Date.now() - day) };
  const made = await generate([{ name: 'commonName', value: 'expired' }], {
    ...dates,
    keyType: 'ec',
    algorithm: 'sha256',
  });
  const [certFile, keyFile] = [join(dir, 'expired.pem'), join(dir, 'expired.key')];
  writeFileSync(certFile, made.cert);
  writeFileSync(keyFile, made.private);
  return { certFile, keyFile, cert: made.cert, key: made.private };
}
