// Tests that need nothing run in parallel; those that mount, or start other people's servers, one file at a time: two
// mounts at once on a small machine would measure each other.

import { defineConfig } from 'vitest/config';

const SECOND = 1000;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'pure',
          include: ['test/{unit,protocol,corners}/**/*.test.ts'],
          exclude: ['test/unit/cli/command-*.test.ts', 'test/corners/mounted-*.test.ts'],
          pool: 'forks',
          testTimeout: 30 * SECOND,
        },
      },
      {
        test: {
          name: 'system',
          include: [
            'test/{mount,interop,posix}/**/*.test.ts',
            'test/unit/cli/command-*.test.ts',
            'test/corners/mounted-*.test.ts',
          ],
          pool: 'forks',
          globalSetup: ['test/support/build.ts'],
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: 120 * SECOND,
          hookTimeout: 120 * SECOND,
        },
      },
    ],
  },
});
