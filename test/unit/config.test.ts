import { describe, expect, it } from 'vitest';
import { loadConfig, OPTIONS } from '../../hub/config.ts';
import { redacted } from '../../hub/config-secrets.ts';
import { UserError } from '../../hub/kit/errors.ts';

const load = (text: string, env: Record<string, string> = {}, files: Record<string, string> = {}) =>
  loadConfig({
    file: { name: 'hub.yaml', text },
    env,
    readFile: (path) => {
      if (!(path in files)) throw new Error(`no such file: ${path}`);
      return files[path]!;
    },
  });

function mistakesOf(text: string, env: Record<string, string> = {}, files: Record<string, string> = {}): string {
  try {
    load(text, env, files);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exitCode).toBe(78);
    return (error as UserError).message;
  }
  throw new Error('no mistake was found');
}

describe('the configuration', () => {
  it('has a default for everything, so an empty file is a working hub', () => {
    const config = load('');
    expect(config.gateway).toMatchObject({ host: '127.0.0.1', port: 8443, tls: { enabled: true } });
    expect(config.store.kind).toBe('sqlite');
    expect(Object.isFrozen(config.gateway.tls)).toBe(true);
  });

  it('reports every mistake at once, with file, line and path', () => {
    const message = mistakesOf('gateway:\n  port: 99999\n  colour: blue\nstore:\n  kind: postgres\n');
    expect(message).toContain('3 mistakes');
    expect(message).toContain('hub.yaml:2:3: gateway.port must be <= 65535');
    expect(message).toContain('hub.yaml:3:3: gateway.colour is not a known field');
    expect(message).toContain('hub.yaml:5:3: store.kind must be one of sqlite, influx');
  });

  it('reports broken YAML with its line', () => {
    expect(mistakesOf('gateway:\n  port: [1\n')).toMatch(/hub\.yaml:\d+:\d+: /);
  });

  it('lets the environment override the file, in the type of the option', () => {
    const config = load('gateway: { port: 1 }', {
      HUB_GATEWAY__PORT: '9443',
      HUB_GATEWAY__TLS__ENABLED: 'false',
      HUB_GATEWAY__ORIGINS: 'https://a.example, https://b.example',
      HUB_STORE__RETENTION_DAYS: '1.5',
    });
    expect(config.gateway.port).toBe(9443);
    expect(config.gateway.tls.enabled).toBe(false);
    expect(config.gateway.origins).toEqual(['https://a.example', 'https://b.example']);
    expect(config.store.retentionDays).toBe(1.5);
  });

  it('takes an unknown or unfit HUB_ variable for a mistake, and names it', () => {
    expect(mistakesOf('', { HUB_GATEWAY__PROT: '1' })).toContain('environment HUB_GATEWAY__PROT: is no option');
    expect(mistakesOf('', { HUB_GATEWAY__PORT: 'many' })).toContain(
      'environment HUB_GATEWAY__PORT: gateway.port must be integer',
    );
    expect(load('', { HUB_DATA: '/x', HUB_CONFIG: 'y', HUB_URL: 'z', HUB_TOKEN: 't' }).gateway.port).toBe(8443);
  });

  it('reads secrets from files and masks them when shown', () => {
    const config = load('store: { kind: influx, passwordFile: /secret }', {}, { '/secret': 'hunter2\n' });
    expect(config.store.password).toBe('hunter2');
    expect(JSON.stringify(redacted(config))).not.toContain('hunter2');
  });

  it('says which secret file cannot be read, and refuses a secret given twice', () => {
    expect(mistakesOf('store:\n  tokenFile: /nope\n')).toContain('hub.yaml:2:3: store.tokenFile cannot be read');
    expect(mistakesOf('store: { token: a, tokenFile: /nope }')).toContain('exclude each other');
  });

  it('refuses what would be unsafe: plain sockets or an unencrypted API on the network, half a certificate', () => {
    expect(mistakesOf('gateway: { host: 0.0.0.0, tls: { enabled: false } }')).toContain('only on a loopback address');
    expect(mistakesOf('api: { host: 0.0.0.0 }')).toContain('api.host must be a loopback address');
    expect(mistakesOf('gateway: { tls: { certFile: a.pem } }')).toContain('needs both certFile and keyFile');
  });

  it('looks whether the certificates that it names are there', () => {
    const pair = 'tls: { certFile: /cert.pem, keyFile: /key.pem }';
    expect(mistakesOf(`gateway:\n  ${pair}\n`)).toContain('hub.yaml:2:10: gateway.tls.certFile cannot be read');
    const files = { '/cert.pem': '-----BEGIN CERTIFICATE-----', '/key.pem': '-----BEGIN PRIVATE KEY-----' };
    for (const section of ['gateway', 'api']) {
      expect(load(`${section}: { ${pair} }`, {}, files)).toHaveProperty(`${section}.tls.keyFile`, '/key.pem');
      expect(mistakesOf(`${section}: { ${pair} }`, {}, { ...files, '/key.pem': 'x' })).toContain(
        `${section}.tls.keyFile holds no PEM: /key.pem`,
      );
    }
  });

  it('shows a value to whoever gives one of another type', () => {
    expect(mistakesOf('journal: { limitBytes: 4GB }')).toContain(
      'journal.limitBytes must be integer, such as 4294967296',
    );
  });

  it('gives no two doors one port', () => {
    expect(mistakesOf('api: { port: 8443 }')).toContain('api.port is 8443, which gateway.port is too');
    expect(mistakesOf('gateway: { host: "::", port: 1883 }\nmqtt: { embedded: true }')).toContain(
      'mqtt.listener.port is 1883, which gateway.port is too',
    );
    load('gateway: { port: 1883 }');
    load('gateway: { host: 127.0.0.2, port: 8080 }');
    load('gateway: { port: 0 }\napi: { port: 0 }');
  });

  it('reports what a schema cannot say together with what it can', () => {
    const message = mistakesOf('gateway: { host: 0.0.0.0, tls: { enabled: false } }\nlog: { levle: info }\n');
    expect(message).toContain('log.levle is not a known field');
    expect(message).toContain('only on a loopback address');
  });

  it('takes no credentials in an address, and does not repeat them', () => {
    const message = mistakesOf('store: { url: "http://u:hunter2@127.0.0.1:8086" }');
    expect(message).toContain('store.url must not hold credentials');
    expect(message).not.toContain('hunter2');
    expect(mistakesOf('store: { url: "http://u:hunter2@h:99999/" }')).not.toContain('hunter2');
  });

  it('takes an empty variable for none, and replaces no broken section in silence', () => {
    expect(load('', { HUB_SCHEMAS__DIR: '' }).schemas.dir).toBeUndefined();
    expect(mistakesOf('gateway: 5', { HUB_GATEWAY__PORT: '1' })).toContain('gateway must be object');
  });

  it('documents every option in one sentence', () => {
    for (const { path, schema } of OPTIONS) expect(schema.description, path.join('.')).toMatch(/\.$/);
  });
});
