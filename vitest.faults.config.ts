// `npm run test:faults`: kills, power cuts, full disks, random trees and live databases; the slower half of the tests.

import base from './vitest.config.ts';

export default {
  ...base,
  test: { ...base.test, include: ['test/faults/**/*.test.ts'], exclude: ['**/node_modules/**'] },
};
