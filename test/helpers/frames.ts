/** Frames as ingest would make them, for tests of what comes after it. */
import type { Frame, Reading, Rejection } from '../../hub/telemetry/reading.ts';

/** 2026-01-01, the start of time in these tests. */
export const T0 = Date.UTC(2026, 0, 1);

let lastSeq = 0;

export function frameOf(device: string, stream: string, readings: Reading[], rejected?: Rejection[]): Frame {
  lastSeq++;
  const frame: Frame = { device, epoch: 'e1', seq: lastSeq, stream, receivedAt: T0 + lastSeq, readings };
  return rejected ? { ...frame, rejected } : frame;
}
