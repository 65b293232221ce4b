// One project, two workers, and the quick files first: a wrong import is known in a second,
// not after the kill tests. CORA_TEST_SLOW=1 is `npm run test:slow`.

import { statSync } from 'node:fs';
import { cpus } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const slow = process.env['CORA_TEST_SLOW'] === '1';

/** By the time the file took last, else by its length, which tells nearly as much; the checks of the tree come first. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const weight = (file: TestSpecification): number => {
      if (file.moduleId.endsWith('/architecture.test.ts')) return -1;
      return this.ctx.cache.getTestSpecificationResult(file)?.duration ?? statSync(file.moduleId).size / 10;
    };
    return files.toSorted((a, b) => weight(a) - weight(b));
  }
}

export default defineConfig({
  plugins: [
    {
      name: 'shell-scripts-as-text',
      transform: (code, id) => (id.endsWith('.sh') ? `export default ${JSON.stringify(code)};` : undefined),
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    // Faults, real servers and a real browser: `npm run test:faults`, `test:offsite` and `test:page`, each with a configuration of its own.
    exclude: ['**/node_modules/**', 'test/faults/**', 'test/offsite/**', 'test/page/**'],
    pool: 'forks',
    // Lines for people tell times of the machine's own clock.
    env: { TZ: 'UTC' },
    maxWorkers: Math.min(2, cpus().length),
    sequence: { sequencer: QuickFirst },
    // A second try, where nobody is there to make one; the closing lines name what needed it, and why.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    testTimeout: slow ? 1_800_000 : 60_000,
    hookTimeout: 60_000,
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/each-file.ts'],
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
});
