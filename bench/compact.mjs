// What it costs to clean up: saves of 10,000 files (1 % of them changed from one to the next), of which every second one goes.
// Prints times, peak memory and bytes of `compactSaves` alone, then of `cora prune` for the older half of what is left.
// `node bench/compact.mjs [SAVES]`; nothing is kept.

import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesBelow } from '../src/actions/list.ts';

const saves = Number(process.argv[2] ?? 200);
const root = mkdtempSync(join(tmpdir(), 'cora-compact-'));
const project = join(root, 'project');
const vault = join(root, 'vault');
const env = { PATH: process.env.PATH, HOME: root, CORA_VAULT: vault, CORA_LOG: '' };
const repository = join(import.meta.dirname, '..');
const cora = (...args) =>
  execFileSync(join(repository, 'bin/cora'), args, { cwd: project, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const size = () => bytesBelow(vault) - bytesBelow(join(vault, '.cache')) - bytesBelow(join(vault, 'ledger'));

/** Runs a program under GNU time: wall and processor seconds, and peak memory. */
function measured(program, ...args) {
  const run = spawnSync('time', ['-f', '%e %U %S %M', program, ...args], { cwd: project, env, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  const [wall, user, system, peak] = run.stderr.trim().split('\n').at(-1).split(' ').map(Number);
  return `${wall.toFixed(1)} s (${(user + system).toFixed(1)} s of processor), peak ${(peak / 1024).toFixed(0)} MB`;
}

const mega = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

try {
  mkdirSync(project);
  for (let i = 0; i < 10_000; i++) {
    if (i % 100 === 0) mkdirSync(join(project, `d${i / 100}`));
    writeFileSync(join(project, `d${Math.floor(i / 100)}`, `f${i}`), `${randomBytes(1500).toString('base64')}\n`);
  }
  for (let save = 0; save < saves; save++) {
    for (let n = 0; n < 100; n++) {
      const i = (save * 37 + n * 101) % 10_000;
      writeFileSync(join(project, `d${Math.floor(i / 100)}`, `f${i}`), `${randomBytes(1500).toString('base64')}\n`);
    }
    cora('save');
  }
  const ids = JSON.parse(cora('list', '--saves', '--json')).result.snapshots.map((one) => one.snapshot_id);
  const gone = ids.filter((_, i) => i % 2 === 0 && i < ids.length - 1);
  const first = size();
  console.log(`${ids.length} saves, ${mega(first)}; ${gone.length} of them go`);
  console.log(`every second one: ${measured(process.execPath, join(repository, 'test/support/compact-driver.ts'), vault, ...gone)}`);
  const second = size();
  console.log(`  ${mega(first - second)} less, ${readdirSync(join(vault, 'progress/packs')).length} files gathered`);
  console.log(
    `cora prune, the older half: ${measured(join(repository, 'bin/cora'), 'prune', '--keep-last', String(Math.ceil(ids.length / 4)), '--confirm')}`,
  );
  console.log(`  ${mega(second - size())} less`);
  console.log(`verify --all: ${measured(join(repository, 'bin/cora'), 'verify', '--all')}`);
} finally {
  rmSync(root, { recursive: true, force: true });
}
