/** Guesses from a field's unit and name which device class and state class it has in Home Assistant; two tables. */
import type { Field } from '../../../schemas/stream.ts';

export interface Guess {
  /** Units, as they are shown; '' for none. */
  units: string;
  /** What the field's name must hold; any name without it. */
  name?: RegExp;
  deviceClass: string;
  /** `measurement` without it. */
  stateClass?: 'total' | 'total_increasing';
}

/** The first row that fits wins. Home Assistant refuses a class with a unit that is not the class's own. */
export const NUMBER_CLASSES: Guess[] = [
  { units: '°C °F K', deviceClass: 'temperature' },
  { units: '%', name: /humidity/, deviceClass: 'humidity' },
  { units: '%', name: /moisture/, deviceClass: 'moisture' },
  { units: '%', name: /battery/, deviceClass: 'battery' },
  { units: '%', name: /power_?factor/, deviceClass: 'power_factor' },
  { units: '', name: /power_?factor/, deviceClass: 'power_factor' },
  { units: 'ppm', name: /co2|carbon_?dioxide/, deviceClass: 'carbon_dioxide' },
  { units: 'ppm', name: /^co$|carbon_?monoxide/, deviceClass: 'carbon_monoxide' },
  { units: 'ppm ppb', name: /voc/, deviceClass: 'volatile_organic_compounds_parts' },
  { units: 'µg/m³', name: /pm_?2_?5/, deviceClass: 'pm25' },
  { units: 'µg/m³', name: /pm_?10/, deviceClass: 'pm10' },
  { units: 'µg/m³', name: /pm_?1$/, deviceClass: 'pm1' },
  { units: 'hPa mbar', name: /^pressure$|air|atmos|baro/, deviceClass: 'atmospheric_pressure' },
  { units: 'Pa hPa kPa bar mbar', deviceClass: 'pressure' },
  { units: 'lx', deviceClass: 'illuminance' },
  { units: 'W/m²', deviceClass: 'irradiance' },
  { units: 'V mV kV', deviceClass: 'voltage' },
  { units: 'A mA', deviceClass: 'current' },
  { units: 'mW W kW MW GW', deviceClass: 'power' },
  { units: 'VA', deviceClass: 'apparent_power' },
  { units: 'var', deviceClass: 'reactive_power' },
  { units: 'Wh kWh MWh GWh J kJ MJ', name: /stored|storage/, deviceClass: 'energy_storage' },
  { units: 'Wh kWh MWh GWh J kJ MJ', deviceClass: 'energy', stateClass: 'total_increasing' },
  { units: 'Hz kHz MHz GHz', deviceClass: 'frequency' },
  { units: 'L m³', name: /water/, deviceClass: 'water', stateClass: 'total_increasing' },
  { units: 'm³', name: /gas/, deviceClass: 'gas', stateClass: 'total_increasing' },
  { units: 'mL L m³', deviceClass: 'volume_storage' },
  { units: 'm³/h L/min', deviceClass: 'volume_flow_rate' },
  { units: 'm/s km/h', name: /wind/, deviceClass: 'wind_speed' },
  { units: 'mm/s m/s km/h', deviceClass: 'speed' },
  { units: 'mm cm m km', deviceClass: 'distance' },
  { units: 'ms s min h d', deviceClass: 'duration' },
  { units: 'mg g kg', deviceClass: 'weight' },
  { units: 'dBm', deviceClass: 'signal_strength' },
  { units: 'dB', name: /rssi|signal|snr/, deviceClass: 'signal_strength' },
  { units: 'dB dBA', deviceClass: 'sound_pressure' },
  { units: 'µS/cm', deviceClass: 'conductivity' },
  { units: 'B kB MB GB', deviceClass: 'data_size' },
];

const BOOLEANS: [name: RegExp, deviceClass: string][] = [
  [/occup|presence/, 'occupancy'],
  [/motion/, 'motion'],
  [/door/, 'door'],
  [/window/, 'window'],
  [/contact|open/, 'opening'],
  [/smoke/, 'smoke'],
  [/leak|flood/, 'moisture'],
  [/tamper/, 'tamper'],
  [/vibrat/, 'vibration'],
  [/fault|problem|error|alarm/, 'problem'],
  [/running/, 'running'],
  [/charging/, 'battery_charging'],
];

const COUNTER = /cycles|count$|total/;

/** Keys of a numeric sensor. */
export interface NumberClasses {
  device_class?: string;
  state_class: 'measurement' | 'total' | 'total_increasing';
}

/** `minimum`: the least value its schema allows; a sum that may fall is a `total`, one that cannot is `total_increasing`. */
export function classesOfNumber({ name, type }: Field, unit = '', minimum?: number): NumberClasses {
  const said = name.toLowerCase();
  const found = NUMBER_CLASSES.find((row) => row.units.split(' ').includes(unit) && (row.name?.test(said) ?? true));
  if (!found) return { state_class: type === 'integer' && COUNTER.test(said) ? 'total_increasing' : 'measurement' };
  const mayFall = found.stateClass === 'total_increasing' && !(minimum !== undefined && minimum >= 0);
  return { device_class: found.deviceClass, state_class: mayFall ? 'total' : (found.stateClass ?? 'measurement') };
}

/** Undefined when the name says nothing. */
export const classOfBoolean = (name: string): string | undefined =>
  BOOLEANS.find(([pattern]) => pattern.test(name.toLowerCase()))?.[1];
