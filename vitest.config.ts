import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{acceptance,bench,contract,embedded,faults,scripts,sdk,server,testkit,web}/**/*.test.ts'],
    globalSetup: ['testkit/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
