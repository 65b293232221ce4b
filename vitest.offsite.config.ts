// `npm run test:offsite`: the tests against real servers, one file after the other, since the servers are the same for all.

import { mergeConfig } from 'vitest/config';
import base from './vitest.config.ts';

const config = mergeConfig(base, { test: { maxWorkers: 1, testTimeout: 180_000, hookTimeout: 120_000 } });
config.test.include = ['test/offsite/**/*.test.ts'];
config.test.exclude = ['**/node_modules/**'];
config.test.globalSetup = ['test/support/global-setup.ts', 'test/offsite/servers.ts'];
export default config;
