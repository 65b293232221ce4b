// What the push hook costs when there is nothing to save: the same real push to a bare repository on this disk, with the
// hook and without, in turns, so that a busy moment hits both. `node bench/push.mjs [ROUNDS]`; nothing is kept.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const rounds = Number(process.argv[2] ?? 15);
const root = mkdtempSync(join(tmpdir(), 'cora-push-'));
const project = join(root, 'project');
const env = {
  PATH: process.env.PATH,
  HOME: root,
  CORA_VAULT: join(root, 'vault'),
  CORA_LOG: '',
};
const git = (...args) => execFileSync('git', args, { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'] });
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

try {
  mkdirSync(project);
  execFileSync('git', ['init', '-q', '--bare', join(root, 'remote.git')]);
  git('init', '-q', '-b', 'main');
  git('config', 'user.email', 'bench@example.org');
  git('config', 'user.name', 'bench');
  git('remote', 'add', 'origin', '../remote.git');
  git('config', 'cora.budget', '60s'); // no save goes on behind a push, into a directory that is being deleted
  for (let i = 0; i < 1000; i++) writeFileSync(join(project, `file-${i}.txt`), `file ${i}\n`);
  git('add', '.');
  git('commit', '-qm', 'first');
  const launcher = join(import.meta.dirname, '..', 'bin', 'cora');
  writeFileSync(join(project, '.git/hooks/pre-push'), `#!/bin/sh\nexec '${launcher}' hook pre-push "$@"\n`, { mode: 0o755 });
  git('push', '-q', 'origin', 'main');

  // An empty commit: something goes out, and no file has changed.
  const push = (...options) => {
    git('commit', '-q', '--allow-empty', '-m', 'empty');
    const started = performance.now();
    git('push', '-q', ...options, 'origin', 'main');
    return performance.now() - started;
  };
  const without = [];
  const withHook = [];
  for (let round = 0; round < rounds + 1; round++) {
    const times = [push('--no-verify'), push()];
    if (round === 0) continue; // warm now
    without.push(times[0]);
    withHook.push(times[1]);
  }
  const line = (name, values) =>
    console.log(
      `${name.padEnd(16)} median ${median(values).toFixed(0).padStart(4)} ms, quickest ${Math.min(...values)
        .toFixed(0)
        .padStart(4)} ms`,
    );
  line('without a hook', without);
  line('with the hook', withHook);
  console.log(
    `the hook costs   median ${(median(withHook) - median(without)).toFixed(0).padStart(4)} ms, quickest ${(Math.min(...withHook) - Math.min(...without)).toFixed(0).padStart(4)} ms (${rounds} rounds, 1,000 files)`,
  );
} finally {
  try {
    execFileSync('chattr', ['-R', '-i', '--', join(root, 'vault')], { stdio: 'ignore' }); // sealed, where we are root
  } catch {}
  rmSync(root, { recursive: true, force: true });
}
