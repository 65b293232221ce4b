// The closing lines of `npm test`: each skipped test by name with its reason, each that passed at its
// second try only with what the first one met, then one line of counts. Written to the file named by CORA_TEST_SUMMARY; scripts/test.sh prints it last.

import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node';

/** vitest makes it from the path in its configuration. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    const path = process.env['CORA_TEST_SUMMARY'];
    if (path === undefined) return;
    const lines: string[] = [];
    let passed = 0;
    let failed = errors.length;
    let skipped = 0;
    for (const module of modules) {
      // A file that does not load, or whose afterAll failed, fails without a test of its own.
      if (!module.ok() && [...module.children.allTests('failed')].length === 0) failed += 1;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') {
          passed += 1;
          if (test.diagnostic()?.flaky === true) {
            lines.push(`second try: ${test.fullName}: ${(result.errors?.[0]?.message ?? '').split('\n')[0]?.slice(0, 300)}`);
          }
        } else if (result.state === 'failed') failed += 1;
        else {
          skipped += 1;
          const note = result.state === 'skipped' ? result.note : undefined;
          lines.push(`skipped: ${test.fullName}${note === undefined ? '' : ` (${note})`}`);
        }
      }
    }
    if (reason !== 'passed' && failed === 0) failed = 1;
    writeFileSync(path, `${lines.join('\n')}${lines.length > 0 ? '\n' : ''}counts ${passed} ${failed} ${skipped}\n`);
  }
}
