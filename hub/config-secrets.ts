/** The secrets of a configuration, which the schema marks with `x-secret`: to be hidden in logs, and masked for people. */
import { configSchema } from '../schemas/index.ts';
import type { Config } from '../schemas/types.gen.ts';

interface MarkedSchema {
  properties?: Record<string, MarkedSchema>;
  items?: MarkedSchema;
  'x-secret'?: boolean;
}

/** Every secret that the configuration holds, with the user name beside it, for `hideSecrets`. */
export function secretsOf(config: Config): { user?: string; secret: string }[] {
  return secretsIn(config, configSchema as unknown as MarkedSchema);
}

function secretsIn(value: unknown, schema: MarkedSchema): { user?: string; secret: string }[] {
  if (schema.items && Array.isArray(value)) return value.flatMap((item) => secretsIn(item, schema.items!));
  if (typeof value !== 'object' || value === null) return [];
  const { username } = value as Record<string, unknown>;
  return Object.entries(value).flatMap(([key, part]) => {
    const own = schema.properties?.[key];
    if (!own) return [];
    if (!own['x-secret'] || typeof part !== 'string') return secretsIn(part, own);
    return [typeof username === 'string' ? { user: username, secret: part } : { secret: part }];
  });
}

/** A copy of the configuration in which secrets are masked, for people and logs. */
export function redacted(config: Config): Config {
  return masked(config, configSchema as unknown as MarkedSchema) as Config;
}

function masked(value: unknown, schema: MarkedSchema): unknown {
  if (value === undefined) return undefined;
  if (schema['x-secret']) return '***';
  if (schema.items && Array.isArray(value)) return value.map((item) => masked(item, schema.items!));
  if (!schema.properties) return value;
  const parts = Object.entries(value as Record<string, unknown>).map(([key, part]) => [
    key,
    masked(part, schema.properties![key]!),
  ]);
  return Object.fromEntries(parts);
}
