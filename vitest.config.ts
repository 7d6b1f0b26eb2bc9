import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/helpers/patience.ts';

const patience = {
  testTimeout: 2 * PATIENCE_MS,
  hookTimeout: 2 * PATIENCE_MS,
  expect: { poll: { timeout: PATIENCE_MS } },
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Hubs and their programs start hundreds of times: Node keeps what it compiled.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') },
    projects: [
      { test: { name: 'check', include: ['test/check/*.test.ts'] } },
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...patience } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...patience } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...patience } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...patience } },
    ],
  },
});
