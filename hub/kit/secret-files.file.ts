/** Finds the files of secrets that everybody on this machine can read. */
import { statSync } from 'node:fs';

/** Options of these names hold the path of a file with a password, a token, an address with a token in it, or a private key. */
const SECRET_FILE = /^(password|token|url|key)File$/;
const OTHERS_READ = 0o004;

/** Their paths, each once; what cannot be looked at is left out. `config`: the configuration, or a part of it. */
export function exposedSecretFiles(config: object): string[] {
  return [...new Set(secretFilesIn(config))].filter((path) => {
    const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
    return (mode & OTHERS_READ) !== 0;
  });
}

function secretFilesIn(part: object): string[] {
  return Object.entries(part).flatMap(([name, value]: [string, unknown]) => {
    if (typeof value === 'string') return SECRET_FILE.test(name) ? [value] : [];
    return typeof value === 'object' && value !== null ? secretFilesIn(value) : [];
  });
}
