/** What a device's result means for its command: kept but for tokens, and marked when it does not fit the schema. Pure. */
import type { CommandType } from '../../schemas/index.ts';
import type { Result } from '../../schemas/types.gen.ts';
import { holdsToken, redact } from '../kit/redact.ts';
import { type CommandEvent, eventOfFailure } from './command.ts';

/** A value beyond this is not kept. */
const MAX_VALUE_BYTES = 65_536;

/** `type` is absent when the command's schema was removed meanwhile; nothing is checked then. Tokens are cut to their public part. */
export function eventOfResult(result: Result, type: CommandType | undefined): CommandEvent {
  const event = eventOf(result, type);
  const text = JSON.stringify(event);
  // A device may say its own token where it does not belong; the event is stored, shown and streamed.
  return holdsToken(text) ? JSON.parse(redact(text)) : event;
}

function eventOf({ ok, value, error }: Result, type: CommandType | undefined): CommandEvent {
  if (!ok) return eventOfFailure(error ?? { code: 'failed', message: 'the device gave no reason' });
  if (value !== undefined && Buffer.byteLength(JSON.stringify(value)) > MAX_VALUE_BYTES)
    return { type: 'succeed', misfit: `is larger than ${MAX_VALUE_BYTES} bytes and was not kept` };
  const failure = type?.checkResult(value ?? {});
  const misfit = failure && `${failure.path || '/'} ${failure.message}`;
  return { type: 'succeed', ...(value !== undefined && { value }), ...(misfit !== undefined && { misfit }) };
}
