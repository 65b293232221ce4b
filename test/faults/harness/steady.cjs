// Loaded into Cora before itself when its calls are counted: the same names in each run, so that a call is found again by
// what it works on. Random numbers are a sequence, and the clock stands at one second (CORA_FAULTS_NOW).

'use strict';
const crypto = require('node:crypto');

let drawn = 0;
crypto.randomBytes = (length) => {
  drawn += 1;
  return crypto.createHash('shake256', { outputLength: length }).update(`${drawn}`).digest();
};
const now = Number(process.env.CORA_FAULTS_NOW);
if (Number.isSafeInteger(now) && now > 0) {
  const started = performance.now();
  Date.now = () => now + Math.min(400, Math.floor(performance.now() - started));
}
