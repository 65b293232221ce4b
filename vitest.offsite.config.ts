// `npm run test:offsite`: the tests against real servers, one file after the other, since the servers are the same for all.

import base from './vitest.config.ts';

export default {
  ...base,
  test: {
    ...base.test,
    include: ['test/offsite/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: ['test/support/global-setup.ts', 'test/offsite/servers.ts'],
    maxWorkers: 1,
    testTimeout: process.env['CORA_TEST_SLOW'] === '1' ? 1_800_000 : 300_000,
    hookTimeout: 120_000,
  },
};
