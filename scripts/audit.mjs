// `npm run audit`: known holes in what Cora ships with. Asks the registry (npm audit), where it answers; where it does not, that is said
// and nothing is claimed. What needs no registry is always looked at: hashes, sources, install scripts, and the
// oldest versions without the holes that were found while Cora was written.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
/** Package, oldest version that is safe, and what was wrong before it. */
const OLDEST = [
  ['tar', '7.5.19', 'links that lead out of the directory (CVE-2026-23745, -23950, -24842, -26960), endless decompression (GHSA-23hp-3jrh-7fpw)'],
];
const LEVELS = ['info', 'low', 'moderate', 'high', 'critical'];

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
const shipped = Object.entries(lock.packages).filter(([path, one]) => path !== '' && one.dev !== true);
const wrong = [];
for (const [path, one] of shipped) {
  const name = path.replace(/^.*node_modules\//, '');
  if (!/^sha512-/.test(one.integrity ?? '')) wrong.push(`${path} has no sha512 in package-lock.json`);
  if (one.resolved !== undefined && !/^https:/.test(one.resolved)) wrong.push(`${path} does not come from a registry: ${one.resolved}`);
  if (one.hasInstallScript === true && JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).allowScripts?.[name] !== false)
    wrong.push(`${path} runs a script when it is installed`);
  for (const [known, oldest, why] of OLDEST)
    if (name === known && isOlder(one.version, oldest)) wrong.push(`${path} ${one.version} is older than ${oldest}: ${why}`);
}
console.log(`audit: ${shipped.length} packages that are shipped, ${wrong.length} faults by package-lock.json alone`);

const asked = spawnSync('npm', ['audit', '--omit=dev', '--json', '--fetch-retries=0', '--fetch-timeout=20000'], {
  cwd: root,
  encoding: 'utf8',
  timeout: 60_000,
});
const answer = parsed(asked.stdout);
if (answer?.vulnerabilities === undefined) {
  const why = answer?.message ?? asked.error?.message ?? asked.stderr?.trim().split('\n')[0] ?? 'no answer';
  console.log(`skipped: npm audit, for the registry does not answer (${why.replace(/https?:\S+/g, 'ADDRESS')}); known holes were NOT looked up`);
} else {
  const found = Object.values(answer.vulnerabilities);
  console.log(`audit: the registry knows ${found.length} of them with holes`);
  for (const { name, severity, range } of found) {
    const text = `${name} ${range}: ${severity}`;
    if (LEVELS.indexOf(severity) >= LEVELS.indexOf('moderate')) wrong.push(text);
    else console.log(`audit: ${text}`);
  }
}
for (const text of wrong) console.error(`audit: ${text}`);
process.exitCode = wrong.length === 0 ? 0 : 1;

function isOlder(version, than) {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number));
  const at = a.findIndex((part, index) => part !== b[index]);
  return at >= 0 && a[at] < b[at];
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
