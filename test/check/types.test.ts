/** The types of the wire and the configuration are those of the JSON Schemas. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { generate } from '../../schemas/generate-types.ts';

it('types.gen.ts is what `npm run generate` would write', async () => {
  expect(readFileSync('schemas/types.gen.ts', 'utf8')).toBe(await generate());
});
