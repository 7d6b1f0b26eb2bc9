import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const servers = { testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Hubs and their programs start hundreds of times: Node keeps what it compiled.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') },
    projects: [
      { test: { name: 'check', include: ['test/check/*.test.ts'] } },
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...servers } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...servers } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...servers } },
    ],
  },
});
