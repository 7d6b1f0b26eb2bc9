/** Units of the schemas (UCUM codes) as people, Home Assistant and Sparkplug hosts write them. */

const WRITTEN: Record<string, string> = {
  '1': '',
  Cel: '°C',
  '[degF]': '°F',
  deg: '°',
  '[ppm]': 'ppm',
  '[ppb]': 'ppb',
  '/min': 'rpm',
  '{rpm}': 'rpm',
  'W.h': 'Wh',
  'kW.h': 'kWh',
  'MW.h': 'MWh',
  'V.A': 'VA',
  'kV.A': 'kVA',
  'A.h': 'Ah',
  'dB[mW]': 'dBm',
  'dB(mW)': 'dBm',
  l: 'L',
  ml: 'mL',
  m2: 'm²',
  m3: 'm³',
  'm3/h': 'm³/h',
  'l/min': 'L/min',
  'ug/m3': 'µg/m³',
  'mg/m3': 'mg/m³',
  'W/m2': 'W/m²',
  'uS/cm': 'µS/cm',
  By: 'B',
  kBy: 'kB',
  MBy: 'MB',
  GBy: 'GB',
};

/** The unit as it is shown; a code that is not in the table stays as it is. Undefined: the field has none. */
export function shownUnit(ucum: string | undefined): string | undefined {
  if (ucum === undefined) return undefined;
  return (WRITTEN[ucum] ?? ucum) || undefined;
}
