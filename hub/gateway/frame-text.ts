/** Between the text of frames and what they say. */
import type { Rejection } from '../telemetry/reading.ts';

/** What a frame says; undefined when it is no JSON object. */
export function parseFrame(text: string): Record<string, unknown> | undefined {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null && !Array.isArray(frame)
      ? (frame as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** What a device said, as a person is told of it. */
export const quote = (value: unknown) => (JSON.stringify(value) ?? 'missing').slice(0, 80);

/** What a device is told of a reading for which the quarantine has no room. */
export function notKept({ code, message, ...rest }: Rejection): Rejection {
  return {
    ...rest,
    code: 'quarantine-full',
    message: `was not kept, for the quarantine is full (${code}: ${message})`,
  };
}
