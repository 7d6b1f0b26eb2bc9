/** Opens the doors: operators first, devices last. */
import { join } from 'node:path';
import { createApi } from './api/server.http.ts';
import { createDamper } from './audit/damper.ts';
import { contractOf } from './bridge/brokers.ts';
import type { Config } from './config.ts';
import { type Admission, createAdmission, DEVICE_PATH } from './gateway/admission.ts';
import { type Certificate, readCertificate, selfSignedCertificate } from './gateway/certificate.selfsigned.ts';
import { createListener } from './gateway/listener.ws.ts';
import type { HubStart } from './hub.ts';
import type { Records } from './hub-records.ts';
import type { Road } from './hub-road.ts';
import type { Storage } from './hub-storage.ts';
import type { Jobs } from './jobs.cron.ts';
import { UserError } from './kit/errors.ts';
import type { Log } from './kit/log.ts';
import { keepAdminToken } from './operators/admin-token.file.ts';

/** How the drain time is shared: acks for what was taken, goodbyes to the devices; the rest is for sinks and files. */
const SHARES = { acks: 0.3, goodbyes: 0.1 };

/** Resolves to the address. */
export async function openApi(
  { config, dataDir, readiness, log, version, stack }: HubStart,
  { catalog, store, quarantine }: Storage,
  records: Records,
  { sessions, live, metrics, reporter }: Road,
  jobs: Jobs,
): Promise<string> {
  const deps = {
    ...records,
    jobs: jobs.list,
    pushToken: (id: string, token: string) => sessions.get(id)?.push({ type: 'token', token }) ?? false,
    keepOperatorToken: (name: string, token: string) => keepAdminToken(join(dataDir, 'admin.token'), name, token),
    catalog,
    store,
    live,
    metrics,
    quarantine,
    status: reporter.status,
    bridge: reporter.bridge,
    ready: () => ({ ready: readiness.reasons().length === 0, reasons: readiness.reasons() }),
    log,
    version,
    mqtt: contractOf(config.mqtt),
  };
  const http = await listening('api.port', config.api.port, () => createApi(deps, config.api));
  stack.push('operator API', () => http.close());
  return http.url;
}

/** Resolves to the address. */
export async function openGateway(start: HubStart, records: Records, { sessions }: Road): Promise<string> {
  const { config, dataDir, log, stack, readiness } = start;
  const { limits, gateway } = config;
  const { host, port, heartbeatMs, drainMs } = gateway;
  const admission = openAdmission(config, records);
  const tls = gateway.tls.enabled ? { tls: await certificateOf(config, join(dataDir, 'tls'), log) } : {};
  const door = await listening('gateway.port', port, () =>
    createListener(
      { admission, sessions, log },
      { host, port, heartbeatMs, frameBytes: limits.frameBytes, maxConnections: limits.connections, ...tls },
    ),
  );
  stack.push('gateway', async () => {
    readiness.set(false);
    admission.drain();
    await sessions.drain(drainMs * SHARES.acks);
    await door.close(drainMs * SHARES.goodbyes);
  });
  return `${gateway.tls.enabled ? 'wss' : 'ws'}://${host}:${door.port}${DEVICE_PATH}`;
}

function openAdmission({ gateway, limits }: Config, { devices, audit }: Records): Admission {
  const recordStranger = createDamper(audit.record);
  return createAdmission(
    {
      authenticate: devices.authenticate,
      onFailure(from, { code, detail }, keyId = '') {
        const target = keyId && `key ${keyId}`;
        void recordStranger({ actor: 'unknown', action: 'device.connect', target, result: code, from, detail });
      },
    },
    { ...limits, maxConnections: limits.connections, origins: gateway.origins },
  );
}

async function certificateOf({ gateway: { tls } }: Config, dir: string, log: Log): Promise<Certificate> {
  if (tls.certFile !== undefined && tls.keyFile !== undefined) return readCertificate(tls.certFile, tls.keyFile);
  const { made, ...certificate } = await selfSignedCertificate(dir);
  if (made) log.info({ dir }, 'made a self-signed certificate; devices trust its cert.pem');
  return certificate;
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
