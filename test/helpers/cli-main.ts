/** The CLI's verbs as a program of their own, without the hub beside them. */
import { Command } from 'commander';
import { registerCli } from '../../hub/cli.ts';
import { UserError } from '../../hub/kit/errors.ts';

const program = new Command('hub');
registerCli(program);
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(error.exitCode);
}
