/** What the simulator shows: one updating line on a terminal, a plain line now and then elsewhere, a table at the end. */
import type { WriteStream } from 'node:tty';
import Table from 'cli-table3';
import { createLogUpdate } from 'log-update';
import picocolors from 'picocolors';
import type { FleetReport } from './fleet.ts';

const coloursOf = (stream: { isTTY?: boolean }) =>
  picocolors.createColors(stream.isTTY === true && picocolors.isColorSupported);
/** Progress goes to standard error, the summary to standard output: each has colours when it is a terminal. */
const err = coloursOf(process.stderr);
const out = coloursOf(process.stdout);

export interface Progress {
  /** The state of now, called often. `elapsedMs`: since the start. */
  update(report: FleetReport, elapsedMs: number): void;
  /** A line that stays. */
  note(text: string): void;
  /** A line that the next one replaces (on a terminal). */
  stage(text: string): void;
  /** Leaves the last state standing. */
  done(): void;
}

const PLAIN_EVERY_MS = 5_000;
/** No lines between rows. */
const NO_LINES = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };

/** Writes to `stream` (standard error, so that standard output is the result's alone). */
export function createProgress(stream: WriteStream): Progress {
  const live = stream.isTTY ? createLogUpdate(stream) : undefined;
  let plainAtMs = 0;
  const line = (text: string) => stream.write(`${text}\n`);
  return {
    update(report, elapsedMs) {
      if (live) return live(lineOf(report, elapsedMs));
      if (elapsedMs < plainAtMs + PLAIN_EVERY_MS) return;
      plainAtMs = elapsedMs;
      line(lineOf(report, elapsedMs));
    },
    note(text) {
      live?.clear();
      line(text);
    },
    stage: (text) => live?.(text),
    done: () => live?.done(),
  };
}

function lineOf(report: FleetReport, elapsedMs: number): string {
  const { devices, online, sent, acked, rejected, pending, ackMs } = report;
  const perSecond = elapsedMs > 0 ? Math.round((acked * 1000) / elapsedMs) : 0;
  const parts = [
    `${(elapsedMs / 1000).toFixed(0)} s`,
    `${online}/${devices} online`,
    `${number(sent)} sent`,
    err.green(`${number(acked)} acked`),
    `${number(perSecond)}/s`,
    rejected > 0 ? err.red(`${number(rejected)} rejected`) : '',
    pending > 0 ? err.yellow(`${number(pending)} pending`) : '',
    `ack p99 ${ackMs.p99} ms`,
  ];
  return parts.filter(Boolean).join('  ');
}

/** The table at the end, ending with a newline. */
export function summaryOf(report: FleetReport, seconds: number): string {
  const { devices, sent, acked, rejected, dropped, pending, resent, reconnects, flows, commands, ackMs } = report;
  const table = new Table({ style: { head: [], border: [] }, colAligns: ['left', 'right'], chars: NO_LINES });
  table.push(
    ['devices', number(devices)],
    ['readings sent', number(sent)],
    ['  acknowledged', out.green(number(acked))],
    ['  rejected', rejected > 0 ? out.red(number(rejected)) : '0'],
    ['  dropped (outbox full)', dropped > 0 ? out.red(number(dropped)) : '0'],
    ['  pending', pending > 0 ? out.red(number(pending)) : '0'],
    ['acknowledged per second', number(Math.round(acked / seconds))],
    ['ack latency p50 / p99 / max', `${ackMs.p50} / ${ackMs.p99} / ${ackMs.max} ms`],
    ['frames sent again', number(resent)],
    ['reconnects / flow / commands', `${number(reconnects)} / ${number(flows)} / ${number(commands)}`],
  );
  const reasons = Object.entries(report.reasons).map(([reason, count]) => `  ${number(count)} × ${reason}\n`);
  return `${table}\n${reasons.join('')}`;
}

const number = (value: number) => value.toLocaleString('en');
