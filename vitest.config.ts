import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{bench,faults,contract,server,sdk,acceptance}/**/*.test.ts'],
    globalSetup: ['server/test/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
