// docs/reliability.md, security cases that no other test shows: what the environment, other users, links and names may not do.

import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { CORA, fault } from '../support/bad-input.ts';
import { execute } from '../support/sandbox.ts';

fault('S2', 'a restore beside the project makes its directory for its owner alone, and never fills one that is there', {}, async (s) => {
  await s.begin();
  const out = join(s.box.root, 'out');
  mkdirSync(out);
  writeFileSync(join(out, 'theirs.txt'), 'theirs\n');
  s.ends(await s.cora(['restore', s.old, '--to', out]), 20, /out is not empty; name a new directory/);
  expect(readdirSync(out)).toEqual(['theirs.txt']);
  await s.recovers();
});

fault('S3', 'a link that takes the place of a directory on the way of a restore is not followed', { root: true }, async (s) => {
  await s.begin();
  const outside = join(s.box.root, 'outside');
  mkdirSync(outside);
  rmSync(s.at('docs'), { recursive: true });
  symlinkSync(outside, s.at('docs'));
  s.ends(await s.cora(['restore', s.old, '--yes']), 3, /error: docs: a directory in the snapshot, something else now; move it away first/);
  expect(readdirSync(outside)).toEqual([]);
  rmSync(s.at('docs'));
  s.ends(await s.cora(['restore', s.old, '--yes']), 0, /Restored/);
  expect(readFileSync(s.at('docs/b.txt'), 'utf8')).toBe('docs/b.txt as saved\n');
  await s.recovers();
});

fault('S5', 'variables and programs in front of the path change nothing that Cora starts', { programs: ['git'] }, async (s) => {
  await execute('/usr/bin/git', ['init', '-q', s.box.project]);
  await s.begin();
  const evil = join(s.box.root, 'evil');
  mkdirSync(evil);
  const hurt = join(s.box.root, 'hurt');
  for (const name of ['git', 'flock', 'chattr', 'lsattr', 'tar', 'sync', 'gzip', 'rclone', 'sh', 'cp', 'mknod'])
    writeFileSync(join(evil, name), `#!/bin/sh\ntouch '${hurt}'\nexit 0\n`, { mode: 0o755 });
  s.write('x.sh', `touch '${hurt}'\n`);
  s.write('more.txt');
  const env = {
    PATH: `.:${evil}:/usr/bin:/bin`,
    TAR_OPTIONS: `--checkpoint=1 --checkpoint-action=exec=sh\\ ${s.at('x.sh')} --exclude=*`,
    GZIP: '-1',
    BASH_ENV: s.at('x.sh'),
    ENV: s.at('x.sh'),
    RCLONE_DRY_RUN: 'true',
    GIT_EXTERNAL_DIFF: s.at('x.sh'),
    GIT_SSH_COMMAND: s.at('x.sh'),
    LC_ALL: 'tr_TR.UTF-8',
  };
  s.ends(await s.run(CORA, ['backup', 'now'], { env }), 0, /Backup/);
  s.ends(await s.run(CORA, ['restore', 'latest', '--to', join(s.box.root, 'out')], { env }), 0, /Restored/);
  expect(existsSync(hurt)).toBe(false);
  expect(readFileSync(join(s.box.root, 'out/more.txt'), 'utf8')).toBe('more.txt as saved\n');
  await s.recovers();
});

fault(
  'S7',
  'nobody but its owner can read anything of a vault, its staging or a restore, at any time',
  { root: true, programs: ['setpriv'] },
  async (s) => {
    s.write('.env', 'CANARY=never\n');
    chmodSync(s.at('.env'), 0o600);
    chmodSync(s.box.root, 0o755);
    const look = s.loop(
      `setpriv --reuid=65534 --regid=65534 --clear-groups -- grep -rl CANARY '${s.box.vault}' '${join(s.box.root, 'out')}' >> '${join(s.box.root, 'seen')}'`,
    );
    await s.begin('backup');
    s.ends(await s.run('sh', ['-c', 'umask 000; exec "$0" restore latest --to "$1"', CORA, join(s.box.root, 'out')]), 0, /Restored/);
    look();
    expect(existsSync(join(s.box.root, 'seen')) ? readFileSync(join(s.box.root, 'seen'), 'utf8') : '').toBe('');
    const open = await execute('find', [s.box.vault, '-perm', '/077', '!', '-type', 'l']);
    expect(open.stdout).toBe('');
    await s.recovers();
  },
);

fault('S8', 'links that were planted where Cora stages, caches and locks lead nowhere', { root: true }, async (s) => {
  await s.begin();
  const outside = join(s.box.root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'precious'), 'precious');
  for (const name of ['.stage', '.cache', '.trash']) {
    rmSync(join(s.box.vault, name), { recursive: true, force: true });
    symlinkSync(outside, join(s.box.vault, name));
    s.write('a.txt', `with ${name}\n`);
    s.ends(await s.cora(['save']), 0, /Saved/);
    expect([name, readdirSync(outside), readFileSync(join(outside, 'precious'), 'utf8')]).toEqual([name, ['precious'], 'precious']);
    rmSync(join(s.box.vault, name), { force: true, recursive: true });
  }
  await s.recovers();
});

fault('S11', "a repository's configuration that others may write runs nothing as root", { root: true }, async (s) => {
  await s.begin();
  const hurt = join(s.box.root, 'hurt');
  s.write('cora.toml', `[[artefacts]]\nname = "x"\nkind = "command"\ncommand = "touch ${hurt}"\n`);
  chownSync(s.at('cora.toml'), 12_345, 12_345);
  chmodSync(s.at('cora.toml'), 0o666);
  s.ends(await s.cora(['backup', 'now']), 3, /do not run as root: root does not own it/);
  expect(existsSync(hurt)).toBe(false);
  rmSync(s.at('cora.toml'));
  await s.recovers();
});

fault('S12', 'a name cannot forge a line of the answer, the manifest or the log', {}, async (s) => {
  s.write('x\nVERIFIED OK\nSaved 20991231-235959-nogit\n\x1b[2K\rOK all.txt', '');
  s.write('.env\n20990101-000000 save ok', 'x');
  await s.begin('backup');
  const made = [await s.cora(['verify', '--all']), await s.cora(['show', s.old]), await s.cora(['find', '*']), await s.cora(['backup', 'now'])];
  for (const run of made) expect(run.stdout + run.stderr).not.toMatch(/^(VERIFIED OK|Saved 2099|OK all|20990101)|[\x1b\r]/m);
  const written = [join(s.box.vault, s.old, 'MANIFEST.txt'), join(s.box.vault, s.old, 'LARGE_FILES.txt'), join(s.box.root, 'cora.log')];
  for (const path of written) expect(readFileSync(path, 'utf8')).not.toMatch(/^(VERIFIED OK|Saved 2099|OK all|20990101)|[\x1b\r]/m);
  await s.recovers();
});
