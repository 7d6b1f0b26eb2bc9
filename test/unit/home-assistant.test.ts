/** What Home Assistant is told of a device. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Component, Discovery } from '../../hub/bridge/home-assistant/home-assistant.ts';
import { discoveryOf, objectIdOf } from '../../hub/bridge/home-assistant/home-assistant.ts';
import { classesOfNumber, NUMBER_CLASSES } from '../../hub/bridge/home-assistant/home-assistant-classes.ts';
import { componentOfCommand } from '../../hub/bridge/home-assistant/home-assistant-commands.ts';
import { compileTopics } from '../../hub/bridge/topics.ts';
import { shownUnit } from '../../hub/bridge/units.ts';
import type { Device } from '../../hub/devices/devices.ts';
import { type Catalog, type CommandType, configSchema, loadCatalog, type Stream } from '../../schemas/index.ts';

interface Documented {
  device: string[];
  origin: string[];
  availability: string[];
  root: string[];
  platforms: Record<string, { required: string[]; keys: string[] }>;
  units: Record<string, (string | null)[]>;
  stateClasses: Record<string, string[]>;
  binaryClasses: string[];
}

const documented: Documented = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/home-assistant-keys.json'), 'utf8'),
);
const catalog = loadCatalog();
const templates = Object.fromEntries(
  Object.entries(configSchema.properties.mqtt.properties.topics.properties as Record<string, { default: string }>).map(
    ([name, { default: template }]) => [name, template],
  ),
) as unknown as Parameters<typeof compileTopics>[1];
const topics = compileTopics('hub', templates);
const options = { catalog, topics, version: '1.2.3', commands: true };
const token = { keyId: 'k', createdAt: 0 } as Device['tokens'][number];
const meter: Device = {
  ...{ id: 'meter-1', enabled: true, tags: {}, description: '', createdAt: 0, tokens: [token] },
};

/** Every field of every stream. */
const everything = new Map([...catalog.streams.values()].map(({ name, fields }) => [name, new Set(fields.keys())]));
const seenOf = (seen: Record<string, string[]>) =>
  new Map(Object.entries(seen).map(([stream, fields]) => [stream, new Set(fields)]));

const strangers = (object: object, keys: string[]) => Object.keys(object).filter((key) => !keys.includes(key));

/** All that Home Assistant would refuse or leave out. */
function faultsOf({ device, origin, availability, components, ...root }: Discovery): string[] {
  const faults = [
    ...strangers(device, documented.device),
    ...strangers(origin, documented.origin),
    ...strangers(root, documented.root),
    ...availability.flatMap((each) => strangers(each, documented.availability)),
  ];
  for (const [key, component] of Object.entries(components)) {
    faults.push(...faultsOfComponent(component).map((fault) => `${key}: ${fault}`));
  }
  const ids = Object.values(components).map(({ unique_id }) => unique_id);
  if (new Set(ids).size < ids.length) faults.push('a unique_id is there twice');
  return faults;
}

function faultsOfComponent({ platform, ...component }: Component): string[] {
  const known = documented.platforms[platform];
  if (!known) return [`there is no platform ${platform}`];
  const faults = [...strangers(component, known.keys), ...known.required.filter((key) => !(key in component))];
  const { device_class: deviceClass, unit_of_measurement: unit = null, state_class: stateClass } = component;
  if (platform === 'binary_sensor' && deviceClass && !documented.binaryClasses.includes(String(deviceClass)))
    faults.push(`there is no class ${deviceClass}`);
  if (platform !== 'sensor' || !deviceClass) return faults;
  if (!documented.units[String(deviceClass)]?.includes(unit as string | null))
    faults.push(`${deviceClass} is not in ${unit}`);
  if (stateClass && !documented.stateClasses[String(deviceClass)]?.includes(String(stateClass)))
    faults.push(`${deviceClass} is no ${stateClass}`);
  return faults;
}

describe('the discovery message', () => {
  it('holds only keys, units and classes that Home Assistant documents, for every stream and command', () => {
    const discovery = discoveryOf(
      { ...meter, tags: { model: 'M', manufacturer: 'F', area: 'Lab' } },
      everything,
      options,
    )!;
    expect(faultsOf(discovery)).toEqual([]);
    const fields = [...catalog.streams.values()].reduce((sum, { fields }) => sum + fields.size, 0);
    const telemetry = Object.keys(discovery.components).filter((key) => key.startsWith('telemetry_'));
    expect(telemetry).toHaveLength(fields);
  });

  it('tells what a thermometer is, and where its readings are', () => {
    const { device, components } = discoveryOf(
      { ...meter, description: 'Kitchen', tags: { model: 'T1', area: 'Home' } },
      seenOf({ environment: ['temperature'] }),
      { ...options, commands: false },
    )!;
    expect(device).toEqual({
      identifiers: ['telemetry-hub_meter-1'],
      name: 'Kitchen',
      model: 'T1',
      suggested_area: 'Home',
    });
    expect(components).toEqual({
      telemetry_environment_temperature: {
        platform: 'sensor',
        unique_id: 'telemetry-hub_meter-1_environment_temperature',
        name: 'Temperature',
        state_topic: 'hub/meter-1/telemetry/environment',
        value_template: "{{ value_json.get('temperature', '') }}",
        unit_of_measurement: '°C',
        device_class: 'temperature',
        state_class: 'measurement',
      },
    });
  });

  it('holds only what the device has sent', () => {
    const seen = seenOf({ power: ['power', 'energy'] });
    const { components } = discoveryOf(meter, seen, { ...options, commands: false })!;
    expect(Object.keys(components)).toEqual(['telemetry_power_power', 'telemetry_power_energy']);
  });

  it('is available only while the hub and the device are, and a silent device can still be told something', () => {
    const discovery = discoveryOf(meter, everything, options)!;
    expect(discovery.availability_mode).toBe('all');
    expect(discovery.availability.map(({ topic }) => topic)).toEqual(['hub/$state', 'hub/meter-1/status']);
    const silentIs = (availability: unknown) =>
      (availability as { value_template?: string }[])[1]!.value_template!.includes("'offline' if value == 'offline'");
    expect(silentIs(discovery.availability)).toBe(false);
    expect(silentIs(discovery.components.command_reboot!.availability)).toBe(true);
  });

  it('names the stream when two fields of a device have the same title', () => {
    const seen = seenOf({ environment: ['temperature'], machine: ['temperature', 'rpm'] });
    const names = Object.values(discoveryOf(meter, seen, { ...options, commands: false })!.components).map(
      ({ name }) => name,
    );
    expect(names).toEqual(['Environment Temperature', 'Machine Temperature', 'Rotation speed']);
  });

  it('makes a binary sensor of a boolean and a list of options of an enumeration', () => {
    const { components } = discoveryOf(meter, everything, options)!;
    expect(components.telemetry_environment_occupied).toMatchObject({
      platform: 'binary_sensor',
      device_class: 'occupancy',
      value_template: "{% if 'occupied' in value_json %}{{ 'ON' if value_json['occupied'] else 'OFF' }}{% endif %}",
    });
    expect(components.telemetry_machine_state).toMatchObject({
      device_class: 'enum',
      options: ['stopped', 'starting', 'running', 'idle', 'fault'],
    });
    expect(components.telemetry_machine_state).not.toHaveProperty('state_class');
  });

  it('is nothing for a device that has sent nothing and takes no commands', () => {
    expect(discoveryOf({ ...meter, tokens: [] }, new Map(), options)).toBeUndefined();
    expect(discoveryOf(meter, new Map(), { ...options, commands: false })).toBeUndefined();
  });

  it('offers no commands to a device that lives on a broker', () => {
    const { components } = discoveryOf({ ...meter, tokens: [] }, everything, options)!;
    expect(Object.keys(components).filter((key) => key.startsWith('command_'))).toEqual([]);
  });

  it('gives each device an id that Home Assistant can hold, and never the same to two', () => {
    expect(objectIdOf('meter-1')).toBe('meter-1');
    const odd = ['a.b', 'a:b', 'a_b'].map(objectIdOf);
    expect(odd.every((id) => /^[A-Za-z0-9_-]+$/.test(id))).toBe(true);
    expect(new Set(odd).size).toBe(3);
  });
});

describe('x-home-assistant', () => {
  const withField = (extension: unknown): Catalog => {
    const power = catalog.streams.get('power') as Stream;
    const properties = { ...power.schema.properties };
    properties.power = { ...properties.power, 'x-home-assistant': extension };
    return { ...catalog, streams: new Map([['power', { ...power, schema: { ...power.schema, properties } }]]) };
  };
  const announced = (extension: unknown) =>
    discoveryOf(meter, seenOf({ power: ['power'] }), {
      ...options,
      catalog: withField(extension),
      commands: false,
    })?.components.telemetry_power_power;

  it('replaces what was guessed, and takes away', () => {
    const component = announced({ icon: 'mdi:flash', name: 'Load', state_class: null });
    expect(component).toMatchObject({ icon: 'mdi:flash', name: 'Load', device_class: 'power' });
    expect(component).not.toHaveProperty('state_class');
  });

  it('leaves out', () => {
    expect(announced(false)).toBeUndefined();
  });
});

describe('a command', () => {
  const command = (name: string, params: object, result: object = {}): CommandType => ({
    ...catalog.commands.get('reboot')!,
    name,
    schema: { title: name, params, result },
  });
  const only = (param: object) => ({ type: 'object', required: ['value'], properties: { value: param } });
  const entity = (type: CommandType) => componentOfCommand(type, 'c', 'r');

  it('without parameters it needs is a button', () => {
    expect(entity(catalog.commands.get('reboot')!)).toEqual({
      ...{ platform: 'button', command_topic: 'c', payload_press: '{}', qos: 1, retain: false },
      device_class: 'restart',
    });
  });

  it('with one number is a number that shows what the device answered', () => {
    expect(entity(catalog.commands.get('set-interval')!)).toMatchObject({
      ...{ platform: 'number', min: 0.01, max: 86400, step: 0.01, unit_of_measurement: 's' },
      command_template: '{"seconds": {{ value }}}',
      state_topic: 'r',
      value_template:
        "{% set given = (value_json.get('value') or {}).get('seconds') %}{{ 'None' if given is none else given }}",
    });
    expect(entity(command('a', only({ type: 'integer', minimum: 1, maximum: 9 })))).toMatchObject({
      ...{ min: 1, max: 9, step: 1, command_template: '{"value": {{ value | int }}}' },
    });
  });

  it('with one choice is a select', () => {
    expect(entity(command('mode', only({ type: 'string', enum: ['eco', 'full'] })))).toMatchObject({
      ...{ platform: 'select', options: ['eco', 'full'], command_template: '{"value": {{ value | tojson }}}' },
    });
    expect(entity(command('light', only({ type: 'boolean' })))).toMatchObject({
      ...{ platform: 'select', options: ['off', 'on'] },
    });
  });

  it('that needs more is announced only when its schema says how', () => {
    const setConfig = catalog.commands.get('set-config')!;
    expect(entity(setConfig)).not.toHaveProperty('platform');
    const announced = (extension?: object) => {
      const type = { ...setConfig, schema: { ...setConfig.schema, 'x-home-assistant': extension } };
      const commands = new Map([['set-config', type]]);
      return discoveryOf(meter, new Map(), { ...options, catalog: { ...catalog, commands } });
    };
    expect(announced()).toBeUndefined();
    const discovery = announced({ platform: 'button', payload_press: '{"settings":{"logLevel":"debug"}}' })!;
    expect(discovery.components['command_set-config']).toMatchObject({ platform: 'button', name: 'Set configuration' });
    expect(faultsOf(discovery)).toEqual([]);
  });
});

describe('units and classes', () => {
  const classes = (name: string, unit: string, minimum?: number) =>
    classesOfNumber({ name, type: 'number', tag: false, title: name }, shownUnit(unit), minimum);

  it('writes UCUM as people do', () => {
    expect(['Cel', '[ppm]', 'kW.h', '/min', '1', 'hPa', 'furlong'].map(shownUnit)).toEqual([
      ...['°C', 'ppm', 'kWh', 'rpm', undefined, 'hPa', 'furlong'],
    ]);
  });

  it('calls a sum that can fall a total, and one that cannot an increasing one', () => {
    expect(classes('energy', 'kW.h', 0).state_class).toBe('total_increasing');
    expect(classes('energy', 'kW.h').state_class).toBe('total');
  });

  it('guesses nothing that the unit does not allow', () => {
    expect(classes('humidity', 'g/m3')).toEqual({ state_class: 'measurement' });
    expect(classes('battery', 'V').device_class).toBe('voltage');
  });

  it.each(NUMBER_CLASSES)('knows only classes, units and state classes that are documented: $deviceClass', (row) => {
    const units = row.units.split(' ').map((unit) => unit || null);
    expect(units.filter((unit) => !documented.units[row.deviceClass]?.includes(unit))).toEqual([]);
    expect(documented.stateClasses[row.deviceClass]).toContain(row.stateClass ?? 'measurement');
  });
});
