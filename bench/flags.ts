/** The flags of a bench: what is wrong with them is said in a line and ends it with 2, as everywhere. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

const EXIT_USAGE = 2;

/** Reads the command line; options whose default is a number take only numbers. Ends the process on wrong usage. */
export function flagsOf<T extends NonNullable<ParseArgsConfig['options']>>(options: T) {
  try {
    const { values } = parseArgs({ options });
    for (const [name, { default: fallback }] of Object.entries(options)) {
      const value = values[name as keyof typeof values];
      if (typeof fallback === 'string' && isNumber(fallback) && !isNumber(String(value)))
        wrongUsage(`--${name} is "${value}"; it must be a number from 0 on.`);
    }
    return values;
  } catch (error) {
    return wrongUsage((error as Error).message);
  }
}

/** Says it and ends the process. */
export function wrongUsage(message: string): never {
  process.stderr.write(`${message}\n(add --help for the options)\n`);
  process.exit(EXIT_USAGE);
}

const isNumber = (text: string) => /^\d+(\.\d+)?$/.test(text);
