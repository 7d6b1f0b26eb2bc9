/** The streams of the contract, and `probe`, which has every type of field. */
import { join } from 'node:path';
import { loadCatalog } from '../../schemas/index.ts';

export const { streams } = loadCatalog(join(import.meta.dirname, '../fixtures/schemas'));
