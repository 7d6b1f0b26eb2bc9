/** The routes of the hub itself: health, metrics, status and the description of this API. */
import type { BridgeStatus } from '../bridge/status.ts';
import type { OwnTrust } from '../gateway/certificates.tls.ts';
import { object, type Route, type Schema } from './route.ts';
import type { HubStatus } from './status.ts';
import { BRIDGE, STATUS } from './status-schema.ts';

export interface HubRouteDeps {
  metrics: { text(): Promise<string>; contentType: string };
  status(): HubStatus | Promise<HubStatus>;
  bridge(): BridgeStatus;
  /** What devices need to trust the hub; undefined when they need nothing. */
  deviceTrust(): OwnTrust | undefined;
  /** Whether the hub can do all of its work, and if not why. */
  ready(): { ready: boolean; reasons: string[] };
  /** The OpenAPI document of all routes. */
  openapi(): unknown;
}

const DOCUMENT: Schema = {
  type: 'object',
  required: ['openapi', 'paths'],
  examples: [{ openapi: '3.1.0', paths: {} }],
};

/** Only the two health routes need no token. */
export function hubRoutes({ metrics, status, bridge, deviceTrust, ready, openapi }: HubRouteDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/healthz',
      role: 'anyone',
      tag: 'hub',
      summary: 'Whether the process answers.',
      answers: { 200: { description: 'It does.', schema: object({ ok: { const: true } }) } },
      handle: () => ({ body: { ok: true } }),
    },
    {
      method: 'GET',
      path: '/readyz',
      role: 'anyone',
      tag: 'hub',
      summary: 'Whether the hub can do all of its work: let devices in, keep readings, record changes.',
      answers: {
        200: { description: 'It can.', schema: object({ ready: { const: true } }) },
        503: {
          description: 'It cannot, and why.',
          schema: object({ ready: { const: false }, reasons: { type: 'array', items: { type: 'string' } } }),
        },
      },
      handle() {
        const state = ready();
        return state.ready
          ? { body: { ready: true } }
          : { status: 503, body: { ready: false, reasons: state.reasons } };
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      role: 'viewer',
      tag: 'hub',
      summary: 'Metrics for Prometheus.',
      answers: { 200: { description: 'Text exposition format.', texts: { 'text/plain': 'hub_sessions 3\n' } } },
      handle: async () => ({ type: metrics.contentType, body: await metrics.text() }),
    },
    {
      method: 'GET',
      path: '/openapi.json',
      role: 'viewer',
      tag: 'hub',
      summary: 'This document.',
      answers: { 200: { description: 'OpenAPI 3.1.', schema: DOCUMENT } },
      handle: () => ({ body: openapi() }),
    },
    {
      method: 'GET',
      path: '/v1/status',
      role: 'viewer',
      tag: 'hub',
      summary: 'What the hub says of itself: devices, readings, journal, sinks.',
      answers: { 200: { description: 'The status.', schema: STATUS } },
      handle: async () => ({ body: await status() }),
    },
    {
      method: 'GET',
      path: '/v1/bridge',
      role: 'viewer',
      tag: 'hub',
      summary: 'The MQTT bridge: each broker and each rule.',
      answers: { 200: { description: 'The bridge.', schema: BRIDGE } },
      handle: () => ({ body: bridge() }),
    },
    trustRoute(deviceTrust),
  ];
}

function trustRoute(deviceTrust: HubRouteDeps['deviceTrust']): Route {
  const pem = { type: 'string', examples: ['-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n'] };
  const names = { type: 'array', items: { type: 'string', examples: ['localhost'] }, description: 'Hosts it is for.' };
  return {
    method: 'GET',
    path: '/v1/gateway/certificate',
    role: 'viewer',
    tag: 'hub',
    summary: 'The certificate that devices are to trust, where no authority has signed it.',
    answers: {
      200: {
        description: 'PEM and names; neither where devices need nothing: behind a public address, with an authority.',
        schema: object({ pem, names }, ['pem', 'names']),
      },
    },
    handle: () => ({ body: deviceTrust() ?? {} }),
  };
}
