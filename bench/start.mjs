// How long `cora --version` takes beside a bare Node: the best of many runs in turn. The aim
// is at most 1.5. Prints one line; never fails. Takes some ten seconds.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const program = join(import.meta.dirname, '..', 'bin', 'cora');
const time = (file, args) => {
  const start = process.hrtime.bigint();
  spawnSync(file, args);
  return Number(process.hrtime.bigint() - start) / 1e6;
};
time(program, ['--version']); // fills the compile cache
let bare = Number.POSITIVE_INFINITY;
let ours = Number.POSITIVE_INFINITY;
for (let round = 0; round < 40; round++) {
  bare = Math.min(bare, time(process.execPath, ['-e', '0']));
  ours = Math.min(ours, time(program, ['--version']));
}
console.log(`cora --version ${ours.toFixed(1)} ms, node -e 0 ${bare.toFixed(1)} ms, ratio ${(ours / bare).toFixed(2)} (at most 1.5)`);
