/** Asks a person at the terminal a question before something that hurts. */
import { createInterface } from 'node:readline';

/**
 * A question that is answered by `y` or `yes`; undefined when no person sees it or can answer. Rejects with an AbortError
 * when the signal comes first.
 */
export function askOn(
  input: NodeJS.ReadStream,
  output: NodeJS.WriteStream,
  signal: AbortSignal,
): ((question: string) => Promise<boolean>) | undefined {
  if (!input.isTTY || !output.isTTY) return undefined;
  return (question) =>
    new Promise((resolve, reject) => {
      // The terminal's own line editing: Ctrl-C stays a signal to the program.
      const lines = createInterface({ input, output, terminal: false });
      const abort = () => {
        reject(signal.reason);
        lines.close();
      };
      signal.addEventListener('abort', abort, { once: true });
      output.write(`${question} (y/N) `);
      let answer: string | undefined;
      lines.once('line', (line) => {
        answer = line;
        lines.close();
      });
      lines.once('close', () => {
        signal.removeEventListener('abort', abort);
        // Nothing was typed to its end: Ctrl-C or Ctrl-D, after which the terminal is still on the question's line.
        if (answer === undefined) output.write('\n');
        resolve(/^\s*y(es)?\s*$/i.test(answer ?? ''));
      });
    });
}
