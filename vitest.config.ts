// Tests that need nothing run all in parallel; those that mount, or start other people's servers, two files at a time: half of
// their time they wait, and more would take the machine from whoever sits at it.

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
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 120 * SECOND,
          hookTimeout: 120 * SECOND,
        },
      },
    ],
  },
});
