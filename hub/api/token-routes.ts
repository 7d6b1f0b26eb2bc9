/** The routes of device tokens: the next one while the present one still works, and taking them away. */
import type { Devices } from '../devices/devices.ts';
import { DEVICE_PARAMS } from './device-schemas.ts';
import { object, type Route, type Schema } from './route.ts';
import { EXPIRES_AT, LIFE_MS, NEXT_EXPIRES_IN, untilOf } from './token-life.ts';

export interface TokenRouteDeps {
  devices: Devices;
  /** Sends a connected device its next token; false when it is not connected. */
  pushToken(device: string, token: string): boolean;
}

const OVERLAP: Schema = {
  type: 'number',
  minimum: 0,
  maximum: LIFE_MS.most,
  description: 'How long the token in use still works when the next is not used, in milliseconds; absent: a week.',
  examples: [86_400_000],
};

export function tokenRoutes({ devices, pushToken }: TokenRouteDeps): Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/devices/:id/tokens',
      role: 'operator',
      tag: 'devices',
      deed: 'rotate/rotated the token',
      summary:
        'Makes the next token of a device and sends it down its socket. The one in use ends when the next is first used, or after the overlap; a next one that was never used is replaced.',
      params: DEVICE_PARAMS,
      body: object({ expiresInMs: NEXT_EXPIRES_IN, overlapMs: OVERLAP }, ['expiresInMs', 'overlapMs']),
      answers: {
        201: {
          description: 'The next token, shown only here; `pushed`: the device was connected and was sent it.',
          schema: object(
            {
              id: { type: 'string', examples: ['meter-7'] },
              token: { type: 'string', examples: [`thd_${'A'.repeat(12)}_${'B'.repeat(49)}`] },
              keyId: { type: 'string', examples: ['8sJ0kQ2mXb4T'] },
              expiresAt: EXPIRES_AT,
              pushed: { type: 'boolean' },
            },
            ['expiresAt'],
          ),
        },
      },
      async handle({ params: { id = '' }, body }) {
        const { expiresInMs, overlapMs } = body as { expiresInMs?: number | null; overlapMs?: number };
        const until = untilOf(expiresInMs);
        const { device: _, ...made } = await devices.rotate(id, {
          ...(until !== undefined && { expiresAt: until }),
          ...(overlapMs !== undefined && { overlapMs }),
        });
        return { status: 201, body: { id, ...made, pushed: pushToken(id, made.token) } };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/devices/:id/tokens/:keyId',
      role: 'operator',
      tag: 'devices',
      deed: 'revoke/revoked a token',
      summary: 'Revokes one token of a device and closes the connection that came in with it.',
      params: object({
        id: { type: 'string', maxLength: 128, description: 'Id of the device.', examples: ['meter-7'] },
        keyId: {
          type: 'string',
          maxLength: 128,
          description: 'The public part of the token.',
          examples: ['8sJ0kQ2mXb4T'],
        },
      }),
      answers: { 204: { description: 'Revoked.' } },
      async handle({ params: { id = '', keyId = '' } }) {
        await devices.revokeToken(id, keyId);
        return { status: 204 };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/devices/:id/tokens',
      role: 'operator',
      tag: 'devices',
      deed: 'revoke/revoked all tokens',
      summary: 'Revokes all tokens of a device and closes its connection.',
      params: DEVICE_PARAMS,
      answers: { 204: { description: 'Revoked.' } },
      async handle({ params: { id = '' } }) {
        await devices.revokeTokens(id);
        return { status: 204 };
      },
    },
  ];
}
