/** The life of a command as steps: those behind it, and those to come. */
import { type Command, STATES } from '../hub/commands.ts';

interface Step {
  title: string;
  at?: number | undefined;
  reached: boolean;
}

/** What it has gone through, and what is to come. */
export function stepsOf(command: Command): Step[] {
  const { state, createdAt, acceptedAt, finishedAt, deadlineAt, timeoutMs, attempt } = command;
  const sent = attempt > 0;
  const ended = STATES[state].ended || state === 'unknown';
  const steps: Step[] = [{ title: 'queued', at: createdAt, reached: true }];
  if (sent || !ended) {
    const sentAt = deadlineAt === undefined ? undefined : deadlineAt - timeoutMs;
    steps.push({ title: attempt > 1 ? `sent (${attempt} times)` : 'sent', at: sentAt, reached: sent });
  }
  if (acceptedAt !== undefined || !ended)
    steps.push({ title: 'accepted', at: acceptedAt, reached: acceptedAt !== undefined });
  steps.push({ title: ended ? state : 'done', at: finishedAt, reached: ended });
  return steps;
}
