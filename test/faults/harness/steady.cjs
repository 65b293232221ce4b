// Loaded into Cora before itself when its calls are counted: the same names in each run, so that a call is found again by
// what it works on. Random numbers are a sequence, the process has one number, and the
// clock stands (CORA_FAULTS_NOW).

'use strict';
const crypto = require('node:crypto');

const STANDS_MS = 30_000;
let drawn = 0;
crypto.randomBytes = (length) => {
  drawn += 1;
  return crypto.createHash('shake256', { outputLength: length }).update(`${drawn}`).digest();
};
const now = Number(process.env.CORA_FAULTS_NOW);
if (Number.isSafeInteger(now) && now > 0) {
  const started = performance.now();
  // It goes on after a while: whoever waits for a time must not wait for ever.
  Date.now = () => now + Math.max(0, Math.floor(performance.now() - started) - STANDS_MS);
}
Object.defineProperty(process, 'pid', { value: 4_000_000 });
