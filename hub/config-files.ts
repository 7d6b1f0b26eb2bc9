/** Files that the configuration names: certificates, keys and secrets must be there before the hub starts. */
import type { ConfigSource } from './config.ts';
import type { Mistake } from './config-doors.ts';

type ReadFile = ConfigSource['readFile'];

/** A section with a certificate. */
type Certified = { certFile?: string; keyFile?: string };

/** A certificate and its key come together. `path`: of the section. */
export function checkPair({ certFile, keyFile }: Certified, path: string): Mistake[] {
  if ((certFile === undefined) === (keyFile === undefined)) return [];
  return [{ path, message: 'needs both certFile and keyFile, or neither' }];
}

/** Whether those that are named can be read and hold PEM; what they are is told by TLS itself. */
export function checkPems<Key extends string>(
  section: { [key in Key]?: string },
  keys: readonly Key[],
  path: string,
  readFile: ReadFile,
): Mistake[] {
  return keys.flatMap((key) => {
    const file = section[key];
    if (file === undefined) return [];
    const own = `${path}/${key}`;
    const text = readOr(file, own, readFile);
    if (typeof text !== 'string') return [text];
    return text.includes('-----BEGIN ') ? [] : [{ path: own, message: `holds no PEM: ${file}` }];
  });
}

/** The text of a file, or why there is none. `path`: of the option that names it. */
export function readOr(file: string, path: string, readFile: ReadFile): string | Mistake {
  try {
    return readFile(file);
  } catch (error) {
    return { path, message: `cannot be read: ${(error as Error).message}` };
  }
}
