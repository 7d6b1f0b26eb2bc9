/** The simulator's memory: the tokens of its devices, in a file. */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Something the person at the keyboard can put right; printed without a stack trace. */
export class SimulatorError extends Error {}

/** The text of a file; undefined when it does not exist. Throws `SimulatorError`. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SimulatorError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/** Tokens by device id, kept in a file that only its owner can read. */
export class TokenFile {
  readonly file: string;
  readonly #tokens: Map<string, string>;
  #saving: Promise<void> = Promise.resolve();

  private constructor(file: string, tokens: Map<string, string>) {
    this.file = file;
    this.#tokens = tokens;
  }

  static async open(file: string): Promise<TokenFile> {
    const text = await readIfThere(file);
    try {
      return new TokenFile(file, new Map(Object.entries(JSON.parse(text ?? '{}'))));
    } catch {
      throw new SimulatorError(`${file} is not a JSON object of tokens by device id`);
    }
  }

  get(id: string): string | undefined {
    return this.#tokens.get(id);
  }

  set(id: string, token: string): void {
    this.#tokens.set(id, token);
  }

  delete(id: string): void {
    this.#tokens.delete(id);
  }

  /** Resolves when the file holds all tokens. A crash leaves the old file or the new one. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      await mkdir(dirname(this.file), { recursive: true });
      const next = `${this.file}.new`;
      await writeFile(next, `${JSON.stringify(Object.fromEntries(this.#tokens), null, 1)}\n`, { mode: 0o600 });
      await chmod(next, 0o600);
      await rename(next, this.file);
    });
    return this.#saving;
  }
}
