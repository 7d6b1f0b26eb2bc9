/** Makes Home Assistant's discovery message of a device from the schemas: what it measures, what it can be told. Pure. */
import { createHash } from 'node:crypto';
import type { Catalog, Stream } from '../../../schemas/index.ts';
import type { Field } from '../../../schemas/stream.ts';
import type { Device } from '../../devices/devices.ts';
import type { Seen } from '../repertoire.ts';
import type { Topics } from '../topics.ts';
import { shownUnit } from '../units.ts';
import { classesOfNumber, classOfBoolean } from './home-assistant-classes.ts';
import { componentOfCommand } from './home-assistant-commands.ts';

/** One entity; its keys are Home Assistant's. */
export type Component = { platform: string; unique_id: string; name: string } & Record<string, unknown>;

export interface Discovery {
  device: Record<string, unknown>;
  origin: Record<string, unknown>;
  availability: Record<string, unknown>[];
  availability_mode: 'all';
  qos: 1;
  components: Record<string, Component>;
}

export interface DiscoveryOptions {
  catalog: Catalog;
  topics: Pick<Topics, 'telemetry' | 'status' | 'command' | 'result' | 'state'>;
  /** Version of the hub. */
  version: string;
  /** Whether the hub takes commands from this broker. */
  commands: boolean;
}

/** Home Assistant takes no other characters in the topic of a discovery message. */
const OBJECT_ID = /^[A-Za-z0-9_-]+$/;

/** A device id that Home Assistant can hold; one that it cannot gets a hash, so that no two devices become one. */
export function objectIdOf(device: string): string {
  if (OBJECT_ID.test(device)) return device;
  const hash = createHash('sha256').update(device).digest('hex').slice(0, 8);
  return `${device.replace(/[^A-Za-z0-9_-]/g, '_')}-${hash}`;
}

/** The message, or undefined when there is nothing yet to announce of the device. `seen`: what it has sent so far. */
export function discoveryOf(device: Device, seen: Seen, options: DiscoveryOptions): Discovery | undefined {
  const components = { ...sensorsOf(device, seen, options), ...commandsOf(device, options) };
  if (Object.keys(components).length === 0) return undefined;
  const { topics, version } = options;
  return {
    device: aboutDevice(device),
    origin: { name: 'Telemetry Hub', sw_version: version },
    availability: [{ topic: topics.state }, { topic: topics.status(device.id), value_template: SILENT_IS_AWAY }],
    availability_mode: 'all',
    qos: 1,
    components,
  };
}

/** A silent device's last reading says nothing about now. */
const SILENT_IS_AWAY = "{{ 'online' if value == 'online' else 'offline' }}";
/** It can still be told something. */
const SILENT_IS_HERE = "{{ 'offline' if value == 'offline' else 'online' }}";

/** Tags that Home Assistant has a place for. */
const TAGS = { manufacturer: 'manufacturer', model: 'model', firmware: 'sw_version', area: 'suggested_area' } as const;

function aboutDevice({ id, description, tags }: Device): Record<string, unknown> {
  const about: Record<string, unknown> = { identifiers: [`telemetry-hub_${id}`], name: description || id };
  for (const [tag, key] of Object.entries(TAGS)) if (tags[tag]) about[key] = tags[tag];
  return about;
}

function sensorsOf(device: Device, seen: Seen, { catalog, topics }: DiscoveryOptions): Record<string, Component> {
  const streams = [...seen.keys()].flatMap((name) => catalog.streams.get(name) ?? []);
  const components: Record<string, Component> = {};
  for (const stream of streams) {
    for (const field of stream.fields.values()) {
      if (!seen.get(stream.name)?.has(field.name)) continue;
      const component = sensorOf(device.id, stream, field, topics.telemetry(device.id, stream.name));
      if (!component) continue;
      const isTwice = streams.some((other) => other !== stream && hasTitle(other, field.title));
      if (isTwice && component.name === field.title) component.name = `${stream.title} ${field.title}`;
      components[`telemetry_${stream.name}_${field.name}`] = component;
    }
  }
  return components;
}

const hasTitle = (stream: Stream, title: string) => [...stream.fields.values()].some((field) => field.title === title);

function sensorOf(device: string, stream: Stream, field: Field, topic: string): Component | undefined {
  const raw = stream.schema.properties[field.name];
  const made = {
    unique_id: `telemetry-hub_${device}_${stream.name}_${field.name}`,
    name: field.title,
    state_topic: topic,
    ...(field.type === 'boolean' ? binarySensor(field) : sensor(field, raw)),
  };
  return overridden(made, raw['x-home-assistant']);
}

function binarySensor({ name }: Field) {
  const deviceClass = classOfBoolean(name);
  return {
    platform: 'binary_sensor',
    // An empty text changes nothing: not every reading holds every field.
    value_template: `{% if '${name}' in value_json %}{{ 'ON' if value_json['${name}'] else 'OFF' }}{% endif %}`,
    ...(deviceClass && { device_class: deviceClass }),
  };
}

function sensor(field: Field, raw: { enum?: unknown[]; minimum?: number }) {
  const { name, type } = field;
  if (type === 'string') {
    const value_template = `{{ value_json.get('${name}', this.state) }}`;
    return { platform: 'sensor', value_template, ...(raw.enum && { device_class: 'enum', options: raw.enum }) };
  }
  const unit = shownUnit(field.unit);
  return {
    platform: 'sensor',
    value_template: `{{ value_json.get('${name}', '') }}`,
    ...(unit !== undefined && { unit_of_measurement: unit }),
    ...classesOfNumber(field, unit, raw.minimum),
  };
}

function commandsOf(device: Device, { catalog, topics, commands }: DiscoveryOptions): Record<string, Component> {
  const components: Record<string, Component> = {};
  // A device without a token never connects: it lives on a broker, and nobody would take the command.
  if (!commands || device.tokens.length === 0) return components;
  const availability = [{ topic: topics.state }, { topic: topics.status(device.id), value_template: SILENT_IS_HERE }];
  for (const type of catalog.commands.values()) {
    const made = componentOfCommand(type, topics.command(device.id, type.name), topics.result(device.id, type.name));
    const unique_id = `telemetry-hub_${device.id}_command_${type.name}`;
    const override = type.schema['x-home-assistant'];
    // What cannot be guessed is announced only when the schema says how.
    if (!made.platform && !(override as Component)?.platform) continue;
    const component = overridden(
      { ...{ unique_id, name: type.title, platform: '' }, ...made, availability, availability_mode: 'all' },
      override,
    );
    if (component) components[`command_${type.name}`] = component;
  }
  return components;
}

/** `x-home-assistant`: keys that replace the guessed ones, `null` takes one away, `false` leaves the entity out. */
function overridden(component: Component, override: unknown): Component | undefined {
  if (override === false) return undefined;
  if (typeof override !== 'object' || override === null) return component;
  const merged = Object.entries({ ...component, ...override }).filter(([, value]) => value !== null);
  return Object.fromEntries(merged) as Component;
}
