// In each test file's process: a warning of Node (a listener leak, a descriptor closed by the
// garbage collector, a deprecation) is a failure, because in a backup it is a bug to come.

import { afterAll } from 'vitest';

const warnings: string[] = [];
process.on('warning', (warning) => warnings.push(`${warning.name}: ${warning.message}`));

afterAll(() => {
  if (warnings.length > 0) throw new Error(`Node warned: ${warnings.join('; ')}`);
});
