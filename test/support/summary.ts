// A vitest reporter that counts what happened for scripts/test: "passed failed skipped", to the file in
// NINEFS_TEST_SUMMARY. A file that does not load, an error outside of any test and a test that never ran count as
// failed; under CI=true so does a skipped mount test, since a machine without /dev/fuse has shown nothing.

import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';

function isMountTest(test: TestCase): boolean {
  return test.module.relativeModuleId.startsWith('test/mount/');
}

export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const strict = process.env['CI'] === 'true';
    let passed = 0;
    let failed = errors.length;
    let skipped = 0;
    for (const module of modules) {
      failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'skipped' && strict && isMountTest(test)) {
          failed++;
          process.stdout.write(`FAILED: skipped, although CI=true: ${test.fullName}\n`);
        } else if (state === 'skipped') skipped++;
        else failed++;
      }
    }
    const file = process.env['NINEFS_TEST_SUMMARY'];
    if (file !== undefined) writeFileSync(file, `${passed} ${failed} ${skipped}\n`);
  }
}

// biome-ignore lint/style/noDefaultExport: vitest loads a reporter by its default export
export default SummaryReporter;
