// The full run of the crash matrix, in parts: node test/faults/harness/run.mjs [--scenario NAME]... [--slice 3/10] [--seed 1]
// [--fault KILL]... [--count 50] [--out FILE]. Each trial is a line of JSON; points that FILE has already are not tried again.

import { runMatrix } from './matrix.ts';

process.exitCode = await runMatrix(process.argv.slice(2));
