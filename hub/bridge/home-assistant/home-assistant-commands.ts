/** Makes buttons, numbers and selects of Home Assistant from command schemas. Pure. */
import type { CommandType } from '../../../schemas/index.ts';
import { shownUnit } from '../units.ts';

interface Param {
  type?: string;
  title?: string;
  unit?: string;
  minimum?: number;
  maximum?: number;
  multipleOf?: number;
  enum?: unknown[];
}

/** Home Assistant's own defaults for a number are 1 to 100. */
const MOST = 1_000_000_000;

/**
 * Keys of the entity. A command that needs no parameters is a button. One with a single parameter is a number or a
 * select. Of any other only the topic is known: there is no `platform`.
 */
export function componentOfCommand(type: CommandType, topic: string, result: string): Record<string, unknown> {
  const { properties = {}, required = [] } = (type.schema.params ?? {}) as {
    properties?: Record<string, Param>;
    required?: string[];
  };
  const common = { command_topic: topic, qos: 1, retain: false };
  if (required.length === 0) return { ...common, platform: 'button', payload_press: '{}', ...buttonClass(type.name) };
  const [name, param] = Object.entries(properties)[0] ?? [];
  if (!name || !param || Object.keys(properties).length > 1) return common;
  const made = entityOf(name, param);
  if (!made) return common;
  const state = isAnswered(type, name) ? { state_topic: result, value_template: made.state } : {};
  return { ...common, ...made.keys, ...state };
}

const buttonClass = (name: string) =>
  /reboot|restart/.test(name)
    ? { device_class: 'restart' }
    : /identify/.test(name)
      ? { device_class: 'identify' }
      : undefined;

/** The entity that sets a parameter, and the template that reads its value from a result. */
function entityOf(name: string, param: Param): { keys: Record<string, unknown>; state: string } | undefined {
  const given = `(value_json.get('value') or {}).get('${name}')`;
  // "None" resets the entity to unknown: a command that failed has left nobody knows what.
  const state = `{% set given = ${given} %}{{ 'None' if given is none else given }}`;
  const send = (value: string) => `{"${name}": ${value}}`;
  if (param.type === 'number' || param.type === 'integer') {
    const value = param.type === 'integer' ? '{{ value | int }}' : '{{ value }}';
    return { keys: { ...numberKeys(param), command_template: send(value) }, state };
  }
  if (param.enum?.every((option) => typeof option === 'string')) {
    return { keys: { platform: 'select', options: param.enum, command_template: send('{{ value | tojson }}') }, state };
  }
  if (param.type !== 'boolean') return undefined;
  const onOff = `{% set given = ${given} %}{{ 'None' if given is none else 'on' if given else 'off' }}`;
  const command_template = send("{{ 'true' if value == 'on' else 'false' }}");
  return { keys: { platform: 'select', options: ['off', 'on'], command_template }, state: onOff };
}

function numberKeys({ type, unit, minimum = -MOST, maximum = MOST, multipleOf }: Param): Record<string, unknown> {
  const shown = shownUnit(unit);
  // Home Assistant takes no smaller step than a thousandth.
  const step = Math.max(multipleOf ?? (type === 'integer' ? 1 : 0.01), 0.001);
  return {
    platform: 'number',
    ...{ min: minimum, max: maximum, step, mode: 'box' },
    ...(shown !== undefined && { unit_of_measurement: shown }),
  };
}

/** Whether the command's result tells the value that is now in force. */
function isAnswered(type: CommandType, param: string): boolean {
  return type.schema.result?.properties?.[param] !== undefined;
}
