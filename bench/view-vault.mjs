// A vault of 5,000 saves of 100,000 files, one every 15 minutes, a backup of each day and half (its archive is empty), for what `cora serve`
// is asked of it. `node bench/view-vault.mjs DIRECTORY [SAVES [FILES]]` makes DIRECTORY/project and DIRECTORY/vault, which stay.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { changesOf, writeProject, writeSaves } from './many-saves.mjs';

const root = resolve(process.argv[2] ?? '');
const saves = Number(process.argv[3] ?? 5000);
const files = Number(process.argv[4] ?? 100_000);
const WORK = { active: Math.min(files, 1000), changed: 8, minutes: 15, backupEvery: 150, verifyEvery: 40 };
const project = join(root, 'project');
const vault = join(root, 'vault');
const env = { PATH: process.env.PATH, HOME: root, CORA_VAULT: vault, CORA_LOG: join(root, 'cora.log'), GIT_CONFIG_NOSYSTEM: '1' };
const CORA = join(import.meta.dirname, '..', 'bin/cora');

mkdirSync(project, { recursive: true });
writeProject(project, files);
execFileSync(CORA, ['save'], { cwd: project, env });
const begun = Date.now();
writeSaves(vault, saves, WORK);
for (let save = 1; save < saves - 1; save++) {
  for (const [path, content] of changesOf(save, WORK.active, WORK.changed)) {
    if (content === undefined) rmSync(join(project, path));
    else writeFileSync(join(project, path), content);
  }
}
rmSync(join(vault, '.cache'), { recursive: true, force: true });
execFileSync(CORA, ['save', '-m', 'the last one'], { cwd: project, env });
console.log(`${saves} saves of ${files} files in ${vault}, written in ${((Date.now() - begun) / 1000).toFixed(0)} s`);
