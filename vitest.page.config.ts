// `npm run test:page`: the page in a real Chromium, and `cora serve` among clients that mean no good; one file after the other,
// since they measure.

import base from './vitest.config.ts';

export default {
  ...base,
  test: {
    ...base.test,
    include: ['test/page/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    maxWorkers: 1,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
};
