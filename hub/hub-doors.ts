/** Opens the doors: operators first, devices last. */
import { join } from 'node:path';
import { type ApiOptions, createApi } from './api/server.http.ts';
import { createDamper } from './audit/damper.ts';
import { contractOf } from './bridge/brokers.ts';
import type { Config } from './config.ts';
import { type Admission, createAdmission, DEVICE_PATH } from './gateway/admission.ts';
import { selfSignedCertificate } from './gateway/certificate.selfsigned.ts';
import {
  type CertificateFiles,
  type CertificateKeeper,
  keepCertificate,
  ownTrust,
} from './gateway/certificates.tls.ts';
import { createListener, type Listener } from './gateway/listener.ws.ts';
import type { HubStart } from './hub.ts';
import type { AlertParts } from './hub-alerts.ts';
import type { Records } from './hub-records.ts';
import type { Road } from './hub-road.ts';
import type { Storage } from './hub-storage.ts';
import type { Jobs } from './jobs.cron.ts';
import { UserError } from './kit/errors.ts';
import { createNetworks } from './kit/network.ts';
import { doorMetrics } from './metrics/road-metrics.ts';
import { keepAdminToken } from './operators/admin-token.file.ts';

/** Where the build of the page is; `npm ci` makes it. */
const DASHBOARD = join(import.meta.dirname, '../dashboard/dist');
/** How the drain time is shared: acks for what was taken, goodbyes to the devices; the rest is for sinks and files. */
const SHARES = { acks: 0.3, goodbyes: 0.1 };

/** What each door shows; the same for both when operators see the devices' certificate. */
export type Certificates = Partial<Record<'gateway' | 'api', CertificateKeeper>>;

/** Throws `UserError` for a certificate that cannot be used. */
export async function openCertificates(start: HubStart): Promise<Certificates> {
  const { gateway, api } = start.config;
  const { clientCaFile, clientCrlFile, ...own } = gateway.tls;
  const clients = { ...(clientCaFile && { clientCaFile }), ...(clientCrlFile && { clientCrlFile }) };
  const certificates: Certificates = {};
  if (gateway.tls.enabled) certificates.gateway = await keep(start, own, clients);
  if (!api.tls.enabled) return certificates;
  const isShared = api.tls.certFile === undefined && certificates.gateway !== undefined;
  certificates.api = isShared ? certificates.gateway! : await keep(start, { ...own, ...api.tls });
  return certificates;
}

/** The certificate of these options, or the self-signed one. */
async function keep(
  { dataDir, log, stack }: HubStart,
  { certFile, keyFile, minVersion }: Config['api']['tls'],
  clients: Pick<CertificateFiles, 'clientCaFile' | 'clientCrlFile'> = {},
): Promise<CertificateKeeper> {
  const isOwn = certFile !== undefined && keyFile !== undefined;
  const own = isOwn ? { certFile, keyFile } : await selfSigned(join(dataDir, 'tls'), log);
  const keeper = await keepCertificate({ files: { ...own, ...clients }, minVersion, log });
  stack.push('certificate', async () => keeper.close());
  return keeper;
}

async function selfSigned(dir: string, log: HubStart['log']): Promise<CertificateFiles> {
  const { made, ...files } = await selfSignedCertificate(dir);
  if (made) log.info({ dir }, 'made a self-signed certificate; devices trust its cert.pem');
  return files;
}

/** Resolves to the address. */
export async function openApi(
  { config, dataDir, readiness, log, version, stack }: HubStart,
  { catalog, store, quarantine, gaps }: Storage,
  records: Records,
  { sessions, live, lastValues, metrics, reporter, care, quarantineReplay, talkers }: Road,
  { rules, alerts, deliveries }: AlertParts,
  jobs: Jobs,
  certificates: Certificates,
): Promise<string> {
  const certificate = certificates.api;
  const deps = {
    ...records,
    rules,
    alerts,
    deliveries,
    jobs: jobs.list,
    pushToken: (id: string, token: string) => sessions.get(id)?.push({ type: 'token', token }) ?? false,
    keepOperatorToken: (name: string, token: string) => keepAdminToken(join(dataDir, 'admin.token'), name, token),
    catalog,
    store,
    replay: care.replay,
    live,
    lastValues,
    metrics,
    quarantine,
    quarantineReplay,
    talkers,
    gaps,
    status: reporter.status,
    bridge: reporter.bridge,
    deviceTrust: () => trustOf(config, certificates.gateway),
    ready: () => ({ ready: readiness.reasons().length === 0, reasons: readiness.reasons() }),
    log,
    version,
    mqtt: contractOf(config.mqtt),
    longAnswers: config.api.longAnswers,
  };
  const http = await listening('api.port', config.api.port, () => createApi(deps, apiOptions(config, certificate)));
  stack.push('operator API', () => http.close());
  certificate?.onChange(() => http.useCertificate(apiTls(config, certificate)));
  return http.url;
}

/** Under a public address devices meet somebody else's certificate. */
function trustOf({ gateway }: Config, certificate: CertificateKeeper | undefined) {
  return certificate && gateway.publicUrl === undefined ? ownTrust(certificate.current.cert) : undefined;
}

function apiOptions(config: Config, certificate: CertificateKeeper | undefined): ApiOptions {
  const { host, port, trustedProxies } = config.api;
  const { failedAttemptsPerMinute } = config.limits;
  const tls = certificate && { tls: apiTls(config, certificate) };
  return { host, port, trustedProxies, failedAttemptsPerMinute, dashboardDir: DASHBOARD, ...tls };
}

/** The gateway may ask clients for theirs; the API never does. */
function apiTls({ api }: Config, { current: { cert, key } }: CertificateKeeper) {
  return { cert, key, minVersion: api.tls.minVersion };
}

/** Resolves to the address. */
export async function openGateway(
  start: HubStart,
  records: Records,
  { sessions, metrics }: Road,
  certificates: Certificates,
): Promise<string> {
  const { config, log, stack, readiness } = start;
  const { limits, gateway } = config;
  const certificate = certificates.gateway;
  const { port, drainMs, tls: _, trustedProxies, ...where } = gateway;
  const admission = openAdmission(config, records);
  const options = {
    ...{ ...where, port, proxies: createNetworks(trustedProxies) },
    ...{ frameBytes: limits.frameBytes, maxConnections: limits.connections },
    ...(certificate && { tls: certificate.current }),
  };
  const door = await listening('gateway.port', port, () => createListener({ admission, sessions, log }, options));
  certificate?.onChange(door.useCertificate);
  const ends = () => Object.entries(certificates).map(([door, { expiresAt }]) => ({ door, endMs: expiresAt }));
  metrics.add(doorMetrics({ knocks: () => door.knocks, certificates: ends }));
  stack.push('gateway', async () => {
    readiness.set(false);
    admission.drain();
    await sessions.drain(drainMs * SHARES.acks);
    await door.close(drainMs * SHARES.goodbyes);
  });
  return addressOf(gateway, door);
}

function addressOf({ tls, host, socketPath }: Config['gateway'], { port }: Listener): string {
  if (socketPath !== undefined) return `ws+unix://${socketPath}:${DEVICE_PATH}`;
  return `${tls.enabled ? 'wss' : 'ws'}://${host.includes(':') ? `[${host}]` : host}:${port}${DEVICE_PATH}`;
}

function openAdmission({ gateway, limits }: Config, { devices, audit }: Records): Admission {
  const recordStranger = createDamper(audit.record);
  return createAdmission(
    {
      authenticate: devices.authenticate,
      recognise(id) {
        const device = devices.get(id);
        if (!device) return { code: 'certificate-invalid', detail: `There is no device "${id.slice(0, 80)}".` };
        return device.enabled ? device : { code: 'device-disabled', detail: `The device "${id}" is disabled.` };
      },
      onFailure(from, { code, detail }, keyId = '') {
        const target = keyId && `key ${keyId}`;
        void recordStranger({ actor: 'unknown', action: 'device.connect', target, result: code, from, detail });
      },
    },
    { ...limits, maxConnections: limits.connections, origins: gateway.origins },
  );
}

/** Names the option by which a port that cannot be had is moved. */
export async function listening<T>(option: string, port: number, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const variable = `HUB_${option.replaceAll('.', '__').toUpperCase()}`;
    if (code === 'EADDRINUSE')
      throw new UserError(`Port ${port} is taken by another program. Choose another with ${option} or ${variable}.`);
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new UserError(`${option}: cannot listen: ${message}`);
    throw error;
  }
}
