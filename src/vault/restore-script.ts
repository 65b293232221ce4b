// The text of restore.sh, which every vault carries. It lies beside this module, and beside the bundle.

import { readFileSync } from 'node:fs';

export function restoreScript(): string {
  return readFileSync(new URL('./restore.sh', import.meta.url), 'utf8');
}
