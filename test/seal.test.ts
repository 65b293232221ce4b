// Sealed backups and append-only files: what the kernel then refuses, and that nothing is claimed
// where it does not.

import { spawn } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../src/base/bytes.ts';
import { readFlags } from '../src/os/chattr.ts';
import { findProgram } from '../src/os/run.ts';
import { sh } from './support/run-cora.ts';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const CORA = join(import.meta.dirname, '../bin/cora');
let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);

function fill(): void {
  writeFileSync(at('AI_WORK_LOG.md'), 'first line\n');
  writeFileSync(at('a.txt'), 'a\n');
  sh(
    "python3 -c \"import sqlite3; c = sqlite3.connect('notes.db'); c.execute('CREATE TABLE t (n)'); c.execute('INSERT INTO t VALUES (1)'); c.commit()\"",
    sandbox.project,
  );
  for (const path of ['AI_WORK_LOG.md', 'a.txt', 'notes.db']) sandbox.own(at(path));
}

const flagsOf = (path: string) => readFlags([fromText(path)])[0];
const entriesOf = (path: string): string[] => [path, ...readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name))];
const chain = () =>
  readFileSync(join(sandbox.vault, 'ledger/chain.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[1]);

/** A vault in the memory of the user whose sandbox it is. */
function remember(user: Sandbox, name: string, vault: string): void {
  const state = join(user.root, 'state/cora/projects');
  mkdirSync(state, { recursive: true });
  writeFileSync(join(state, `${name}.json`), JSON.stringify({ root: user.project, vault, vault_id: 'x' }));
}

/** What the cora-seal timer does: as the owner, with one ambient capability. */
async function sealEvery(user: Sandbox, ...more: readonly string[]) {
  remember(user, '9', user.vault);
  const args = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps=+linux_immutable', '--ambient-caps=+linux_immutable', '--'];
  const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', XDG_STATE_HOME: join(user.root, 'state'), CORA_LOG: '' };
  const run = await execute('setpriv', [...args, CORA, 'protect', '--seals', '--json', ...more], { cwd: '/', env });
  const document = JSON.parse(run.stdout) as { result: Record<string, unknown>; problems: { code: string; message: string }[] };
  return { code: run.code, stderr: run.stderr, ...document };
}

/** A shell command at a terminal, its questions answered. */
async function atTerminal(command: string, answer: string) {
  const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log') };
  return execute('/bin/sh', ['-c', `{ sleep 1; echo '${answer}'; } | script -qec '${command}' /dev/null`], { cwd: sandbox.project, env });
}

test.skipIf(!isRoot)('nothing that deletes or changes can touch a sealed backup, and every byte still verifies (needs root)', async () => {
  fill();
  const made = await sandbox.json(['backup', 'now']);
  expect([made.code, made.result['protection'], made.result['protection_reason']]).toEqual([0, 'kernel', null]);
  const path = String(made.result['path']);
  const name = path.split('/').at(-1) ?? '';
  for (const entry of entriesOf(path)) expect([entry, flagsOf(entry)?.immutable]).toEqual([entry, true]);
  const before = sh(`find '${path}' -type f -exec sha256sum {} + | sort`, '/');
  mkdirSync(join(sandbox.root, 'empty'));
  sh('git init -q .', dirname(path));
  for (const attack of [
    `rm -rf '${path}'`,
    `rm -rf '${sandbox.vault}/${name}'`,
    `mv '${path}' '${path}.gone'`,
    `mv '${path}/MANIFEST.txt' /tmp/`,
    `sh -c 'echo x > "${path}/REPORT.json"'`,
    `sh -c 'echo x >> "${path}/critical/AI_WORK_LOG.md"'`,
    `truncate -s 0 '${path}/db/notes.db'`,
    `cp '${at('a.txt')}' '${path}/SHA256SUMS.txt'`,
    `touch '${path}/intruder'`,
    `chmod 777 '${path}/MANIFEST.txt'`,
    `find '${path}' -delete`,
    `git -C '${dirname(path)}' clean -fdxq -- '${name}'`,
    ...(findProgram('rsync') === undefined ? [] : [`rsync -a --delete '${join(sandbox.root, 'empty')}/' '${path}/'`]),
  ]) {
    const { code } = await execute('/bin/sh', ['-c', attack]);
    expect([attack, code === 0]).toEqual([attack, false]);
    expect([attack, sh(`find '${path}' -type f -exec sha256sum {} + | sort`, '/')]).toEqual([attack, before]);
  }
  expect((await sandbox.cora(['verify', '--all', '--deep'])).code).toBe(0);
  expect((await sandbox.cora(['restore', 'latest', '--to', join(sandbox.root, 'out')])).code).toBe(0);
  const { result } = await sandbox.json(['list']);
  expect((result['snapshots'] as { protection: string | null }[]).map(({ protection }) => protection)).toEqual(['kernel']);
  expect(chain()).toEqual(['save', 'backup', 'seal', 'verify', 'verify']);
});

test.skipIf(!isRoot)('a flag that was lost is seen by verify, status and show, and protect sets it again (needs root)', async () => {
  fill();
  const { id, path } = await sandbox.snapshot(['backup', 'now']);
  await execute('chattr', ['-i', join(path, 'MANIFEST.txt')]);
  const verified = await sandbox.json(['verify', id]);
  expect([verified.code, verified.ok]).toEqual([3, true]);
  expect((verified.result['snapshots'] as { kind: string; seal_missing: boolean }[]).find(({ kind }) => kind === 'backup')?.seal_missing).toBe(true);
  expect((await sandbox.cora(['verify', id])).stdout).toMatch(/NOT SEALED ANY MORE: 1 of \d+ files.*cora protect/);
  expect((await sandbox.cora(['show', id])).stdout).toMatch(/^Sealed {4}no: only permissions protect it; 1 of /m);
  await execute('chattr', ['-R', '-i', path]);
  const { warnings } = (await sandbox.json(['status'])).result as { warnings: { message: string; next: string }[] };
  expect(warnings.filter(({ message }) => message.includes('immutable'))).toEqual([
    { message: 'A backup has lost the immutable flag', next: 'cora protect' },
  ]);
  const again = await sandbox.json(['protect', id]);
  expect([again.code, again.result['backups']]).toEqual([
    0,
    [{ vault: sandbox.vault, snapshot_id: id, protection: 'kernel', protection_reason: null }],
  ]);
  expect((await sandbox.cora(['verify', id])).code).toBe(0);
});

test.skipIf(!isRoot)('the next backup seals what a crash left unsealed, and not what a person unsealed (needs root)', async () => {
  fill();
  const first = await sandbox.snapshot(['backup', 'now']);
  const yes = await sandbox.cora(['unprotect', first.id, '--yes']);
  expect([yes.code, yes.stderr]).toEqual([20, expect.stringContaining('a person at a terminal has to say yes')]);
  expect(flagsOf(first.path)?.immutable).toBe(true);
  const asked = await atTerminal(`${CORA} unprotect ${first.id}`, 'y');
  expect(asked.stdout).toContain('no longer sealed');
  const second = await sandbox.snapshot(['backup', 'now']);
  expect([flagsOf(first.path)?.immutable, flagsOf(second.path)?.immutable]).toEqual([false, true]);
  // As after a crash between the rename and the seal: no flag and no line of the ledger.
  await execute('chattr', ['-R', '-i', second.path]);
  const chainFile = join(sandbox.vault, 'ledger/chain.log');
  writeFileSync(chainFile, readFileSync(chainFile, 'utf8').replace(/^\d+ seal \S+ .*\n$/m, ''));
  const lines = readFileSync(chainFile, 'utf8').trim().split('\n');
  expect(lines.at(-1)?.split(' ')[1]).toBe('backup');
  await sandbox.snapshot(['backup', 'now']);
  expect(flagsOf(second.path)?.immutable).toBe(true);
});

test.skipIf(!isRoot)('+a: a memory file can only grow; a restore over it works and leaves it protected (needs root)', async () => {
  fill();
  writeFileSync(at('AI_DISCUSSION_SPACE.md'), 'talk\n');
  sh('git init -q . && git -c user.name=t -c user.email=t@example.org add AI_WORK_LOG.md', sandbox.project);
  const { result } = await sandbox.json(['protect']);
  expect(result['files']).toEqual([
    { path: 'AI_DISCUSSION_SPACE.md', append_only: true, reason: null, warning: null },
    { path: 'AI_WORK_LOG.md', append_only: true, reason: null, warning: expect.stringContaining('git tracks it') },
  ]);
  expect(() => writeFileSync(at('AI_WORK_LOG.md'), 'x')).toThrow(/EPERM/);
  appendFileSync(at('AI_WORK_LOG.md'), 'second line\n');
  const { id } = await sandbox.snapshot(['save']);
  appendFileSync(at('AI_WORK_LOG.md'), 'third line\n');
  expect((await sandbox.cora(['restore', id, 'AI_WORK_LOG.md', '--yes'])).code).toBe(0);
  expect(readFileSync(at('AI_WORK_LOG.md'), 'utf8')).toBe('first line\nsecond line\n');
  expect(flagsOf(at('AI_WORK_LOG.md'))?.append).toBe(true);
  expect(existsSync(join(sandbox.vault, 'ledger/lifted.json'))).toBe(false);
  // A crash after lifting: the note is there, the flag is not; the next command that writes sets it.
  await execute('chattr', ['-a', at('AI_WORK_LOG.md')]);
  writeFileSync(join(sandbox.vault, 'ledger/lifted.json'), '[{"path":"AI_WORK_LOG.md"}]');
  await sandbox.cora(['save']);
  expect(flagsOf(at('AI_WORK_LOG.md'))?.append).toBe(true);
  expect((await atTerminal(`${CORA} unprotect`, 'y')).stdout).toContain('AI_WORK_LOG.md: no longer append-only');
  expect(flagsOf(at('AI_WORK_LOG.md'))?.append).toBe(false);
});

test.skipIf(!isRoot)(
  'protect says file by file why not: a live database, its -wal, a link, a directory, what is not there (needs root)',
  async () => {
    fill();
    sh('ln -s a.txt link && mkdir d && : > notes.db-wal', sandbox.project);
    const { code, result } = await sandbox.json(['protect', 'a.txt', 'notes.db', 'notes.db-wal', 'link', 'd']);
    expect(code).toBe(3);
    expect(
      (result['files'] as { path: string; append_only: boolean; reason: string | null }[]).map((file) => [file.path, file.append_only, file.reason]),
    ).toEqual([
      ['a.txt', true, null],
      ['notes.db', false, expect.stringContaining('live database')],
      ['notes.db-wal', false, expect.stringContaining('live database')],
      ['link', false, expect.stringContaining('symbolic link')],
      ['d', false, expect.stringContaining('directory')],
    ]);
    expect((await sandbox.cora(['protect', 'nothing-here'])).code).toBe(2);
    expect((await sandbox.cora(['protect', '/etc/hostname'])).code).toBe(20);
  },
);

test.skipIf(!isRoot)('seal = "off" leaves backups as they are and says so (needs root)', async () => {
  fill();
  writeFileSync(at('cora.toml'), 'seal = "off"\n');
  const { result } = await sandbox.json(['backup', 'now']);
  expect([result['protection'], result['protection_reason']]).toEqual(['permissions', 'sealing is switched off (seal = "off")']);
});

test.skipIf(!isRoot || findProgram('setpriv') === undefined)('root without the capability claims nothing (needs root and setpriv)', async () => {
  fill();
  const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
  const args = ['--bounding-set=-linux_immutable', '--inh-caps=-linux_immutable', '--', CORA, 'backup', 'now', '--json'];
  const run = await execute('setpriv', args, { cwd: sandbox.project, env });
  const { result } = JSON.parse(run.stdout) as { result: Record<string, unknown> };
  expect([run.code, result['protection']]).toEqual([0, 'permissions']);
  expect(result['protection_reason']).toMatch(/may not set such flags/);
  expect(flagsOf(String(result['path']))?.immutable).toBe(false);
});

const noNobody = whyNotNobody();
test.skipIf(noNobody !== undefined)(`an ordinary user gets a backup and no claim${noNobody === undefined ? '' : ` (${noNobody})`}`, async () => {
  const user = new Sandbox({ nobody: true });
  try {
    writeFileSync(join(user.project, 'AI_WORK_LOG.md'), 'x\n');
    user.own(join(user.project, 'AI_WORK_LOG.md'));
    const { code, result } = await user.json(['backup', 'now']);
    expect([code, result['protection']]).toEqual([0, 'permissions']);
    expect((await user.cora(['list'])).stdout).not.toContain('sealed');
    const protectedNow = await user.json(['protect']);
    expect([protectedNow.code, protectedNow.result['files']]).toEqual([
      3,
      [{ path: 'AI_WORK_LOG.md', append_only: false, reason: expect.stringContaining('only root'), warning: null }],
    ]);
    // DESIGN: the cora-seal timer runs as the owner with one ambient capability.
    if (!isRoot) return;
    const sealed = await sealEvery(user);
    expect([sealed.code, sealed.stderr]).toEqual([0, '']);
    expect(flagsOf(String(result['path']))?.immutable).toBe(true);
    expect((await user.cora(['verify', '--all'])).code).toBe(0);
  } finally {
    await user.remove();
  }
});

test.skipIf(!isRoot)('a file system without flags: the backup stands, and says that nothing but permissions protects it (needs root)', async () => {
  fill();
  const disk = join(sandbox.root, 'disk');
  mkdirSync(disk);
  expect((await execute('mount', ['-t', 'ramfs', 'none', disk])).code).toBe(0);
  try {
    const env = { CORA_VAULT: join(disk, 'vault') };
    const { code, result } = await sandbox.json(['backup', 'now'], { env });
    expect([code, result['protection'], result['protection_reason']]).toEqual([0, 'permissions', 'this file system has no such flags']);
    expect((await sandbox.cora(['verify', '--all', '--deep'], { env })).code).toBe(0);
  } finally {
    await execute('umount', [disk]);
  }
});

test.skipIf(!isRoot)('names that look like the answer of lsattr do not fool it (needs root)', async () => {
  const odd = ['a\n----i---------e------- x', ' b', '-c', 'd\\e', 'ü'].map((name) => at(name));
  for (const path of odd) writeFileSync(path, '');
  const gone = at('gone');
  await execute('chattr', ['+i', '--', odd[1] ?? '', odd[4] ?? '']);
  const flags = readFlags([odd[0], gone, ...odd.slice(1)].map((path) => fromText(path ?? '')));
  expect(flags.map((flag) => flag?.immutable)).toEqual([false, undefined, true, false, false, true]);
});

test.skipIf(!isRoot)('protect seals again what lost the flag of one file inside, as verify says it does (needs root)', async () => {
  fill();
  const { id, path } = await sandbox.snapshot(['backup', 'now']);
  await execute('chattr', ['-i', join(path, 'MANIFEST.txt')]);
  expect((await sandbox.cora(['verify', id])).code).toBe(3);
  const { code, result } = await sandbox.json(['protect']);
  expect([code, (result['backups'] as { snapshot_id: string; protection: string }[]).map((one) => [one.snapshot_id, one.protection])]).toEqual([
    0,
    [[id, 'kernel']],
  ]);
  expect((await sandbox.cora(['verify', id])).code).toBe(0);
});

test.skipIf(!isRoot)('a file that cannot be sealed keeps the whole backup from being called sealed (needs root)', async () => {
  const user = new Sandbox({ nobody: true });
  try {
    writeFileSync(join(user.project, 'AI_WORK_LOG.md'), 'x\n');
    const { path } = await user.snapshot(['backup', 'now']);
    // The one capability does not let an owner flag what is another's.
    chownSync(join(path, 'MANIFEST.txt'), 0, 0);
    chmodSync(join(path, 'MANIFEST.txt'), 0o644);
    const { code, result } = await sealEvery(user);
    expect([code, result['backups']]).toEqual([3, [expect.objectContaining({ protection: 'permissions' })]]);
    expect((result['backups'] as { protection_reason: string }[])[0]?.protection_reason).toMatch(/^2 of \d+ files and directories have no flag/);
    const { snapshots } = (await user.json(['list'])).result as { snapshots: { protection: string }[] };
    expect(snapshots.map(({ protection }) => protection)).toEqual(['permissions']);
    expect(flagsOf(path)?.immutable).toBe(false);
    chownSync(join(path, 'MANIFEST.txt'), 65534, 65534);
    expect((await sealEvery(user)).code).toBe(0);
    expect(flagsOf(path)?.immutable).toBe(true);
  } finally {
    await user.remove();
  }
});

test.skipIf(!isRoot)(
  'protect --seals: a vault that is away or locked is named and does not keep the others from their seals (needs root)',
  async () => {
    const user = new Sandbox({ nobody: true });
    const lock = join(user.vault, '.lock');
    try {
      writeFileSync(join(user.project, 'a'), 'x\n');
      const { path } = await user.snapshot(['backup', 'now']);
      const busy = join(user.root, 'busy');
      expect((await user.cora(['backup', 'now', '--vault', busy])).code).toBe(0);
      remember(user, '0', join(user.root, 'away'));
      remember(user, '1', busy);
      const holder = spawn('flock', [join(busy, '.lock'), 'sleep', '60'], { stdio: 'ignore', detached: true });
      try {
        while ((await execute('flock', ['-n', join(busy, '.lock'), 'true'])).code === 0) await sleep(20);
        const { code, problems } = await sealEvery(user, '--lock-wait', '0s');
        expect(code).toBe(3);
        expect(problems.map((problem) => [problem.code, problem.message])).toEqual([
          ['vault_skipped', expect.stringContaining('There is no vault at')],
          ['vault_skipped', expect.stringContaining('Another Cora is working')],
        ]);
      } finally {
        if (holder.pid !== undefined) process.kill(-holder.pid);
      }
      expect(existsSync(lock)).toBe(true);
      expect(flagsOf(path)?.immutable).toBe(true);
    } finally {
      await user.remove();
    }
  },
);

test.skipIf(!isRoot)('neither a seal nor a verification takes the place of the line that a crash kept out of the ledger (needs root)', async () => {
  for (const command of [
    ['protect', '--seals'],
    ['verify', '--all'],
  ]) {
    const user = new Sandbox({ nobody: true });
    try {
      writeFileSync(join(user.project, 'a'), 'x\n');
      const { id } = await user.snapshot(['backup', 'now']);
      const file = join(user.vault, 'ledger/chain.log');
      const lines = readFileSync(file, 'utf8').trim().split('\n');
      expect(lines.at(-1)).toContain(`backup ${id}`);
      // As after a crash between the rename and the append; the table of runs comes after both.
      rmSync(join(user.vault, 'ledger/cora.db'));
      writeFileSync(file, `${lines.slice(0, -1).join('\n')}\n`);
      if (command[0] === 'protect') await sealEvery(user);
      else expect((await user.cora(command)).code).toBe(0);
      const kinds = readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[1]);
      expect([command, kinds.slice(0, 2)]).toEqual([command, ['save', 'backup']]);
      expect(kinds.length).toBeGreaterThan(2);
    } finally {
      await user.remove();
    }
  }
});

test.skipIf(!isRoot)('a person who may not unseal leaves the seal, its record and the next verify as they were (needs root)', async () => {
  fill();
  const { id, path } = await sandbox.snapshot(['backup', 'now']);
  const asked = await atTerminal(`setpriv --bounding-set=-linux_immutable --inh-caps=-linux_immutable -- ${CORA} unprotect ${id}`, 'y');
  expect(asked.stdout).toContain('still sealed');
  expect(chain()).toEqual(['save', 'backup', 'seal']);
  await execute('chattr', ['-R', '-i', path]);
  expect((await sandbox.cora(['verify', id])).code).toBe(3);
  expect((await sandbox.json(['status'])).result['warnings']).toContainEqual({
    message: 'A backup has lost the immutable flag',
    next: 'cora protect',
  });
});

test.skipIf(!isRoot)(
  'a restore in place over any file with +a works, whoever set it, and is refused whole where it cannot be lifted (needs root)',
  async () => {
    fill();
    sh('ln a.txt hard', sandbox.project);
    const save = await sandbox.snapshot(['save']);
    const backup = await sandbox.snapshot(['backup', 'now']);
    for (const { id } of [save, backup]) {
      await execute('chattr', ['+a', at('a.txt')]);
      appendFileSync(at('a.txt'), 'more\n');
      const held = await execute(
        'setpriv',
        ['--bounding-set=-linux_immutable', '--inh-caps=-linux_immutable', '--', CORA, 'restore', id, '--yes', '--confirm-service-stopped'],
        {
          cwd: sandbox.project,
          env: { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' },
        },
      );
      expect([held.code, held.stderr]).toEqual([20, expect.stringContaining('a.txt is append-only')]);
      expect(readFileSync(at('a.txt'), 'utf8')).toBe('a\nmore\n');
      expect(existsSync(join(sandbox.vault, 'ledger/lifted.json'))).toBe(false);
      const run = await sandbox.cora(['restore', id, 'a.txt', 'hard', 'AI_WORK_LOG.md', '--yes']);
      expect([run.code, run.stderr]).toEqual([0, expect.not.stringContaining('error')]);
      expect(readFileSync(at('hard'), 'utf8')).toBe('a\n');
      expect(flagsOf(at('a.txt'))?.append).toBe(true);
      await execute('chattr', ['-a', at('a.txt')]);
    }
    await execute('chattr', ['+i', at('a.txt')]);
    const immutable = await sandbox.cora(['restore', save.id, '--yes', '--confirm-service-stopped']);
    expect([immutable.code, immutable.stderr]).toEqual([20, expect.stringContaining('a.txt is immutable')]);
    expect(readdirSync(sandbox.project).filter((name) => name.startsWith('.cora-restore'))).toEqual(['.cora-restore']);
  },
);

test.skipIf(!isRoot)('a flag that a crash left lifted waits for a run that may set it (needs root)', async () => {
  fill();
  await sandbox.cora(['protect']);
  await execute('chattr', ['-a', at('AI_WORK_LOG.md')]);
  writeFileSync(join(sandbox.vault, 'ledger/lifted.json'), '[{"path":"AI_WORK_LOG.md"},{"path":"gone"}]');
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
  const weak = await execute('setpriv', ['--bounding-set=-linux_immutable', '--inh-caps=-linux_immutable', '--', CORA, 'save'], {
    cwd: sandbox.project,
    env,
  });
  expect([weak.code, weak.stderr]).toEqual([0, expect.stringContaining('AI_WORK_LOG.md was append-only')]);
  expect(flagsOf(at('AI_WORK_LOG.md'))?.append).toBe(false);
  expect((await sandbox.cora(['save'])).stderr).not.toContain('append-only');
  expect(flagsOf(at('AI_WORK_LOG.md'))?.append).toBe(true);
  expect(existsSync(join(sandbox.vault, 'ledger/lifted.json'))).toBe(false);
});

test.skipIf(!isRoot)('protect keeps inside the project, passes settings by, and seals no save (needs root)', async () => {
  fill();
  const outside = join(sandbox.root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'f'), '');
  sh(`ln -s '${outside}' way-out && echo K=1 > .env`, sandbox.project);
  writeFileSync(at('cora.toml'), '[critical]\nappend_only = [".env*", "notes.db"]\n');
  expect((await sandbox.cora(['protect', 'way-out/f'])).code).toBe(20);
  expect(flagsOf(join(outside, 'f'))?.append).toBe(false);
  const { code, result } = await sandbox.json(['protect']);
  expect([code, result['files']]).toEqual([
    3,
    [
      { path: '.env', append_only: false, reason: expect.stringContaining('settings'), warning: null },
      { path: 'notes.db', append_only: false, reason: expect.stringContaining('live database'), warning: null },
    ],
  ]);
  const save = await sandbox.snapshot(['save']);
  const named = await sandbox.cora(['protect', save.id]);
  expect([named.code, named.stderr]).toEqual([20, expect.stringContaining('is a save')]);
  expect((await sandbox.cora(['protect', save.path])).code).toBe(20);
  expect(flagsOf(save.path)?.immutable).toBe(false);
});

test.skipIf(!isRoot)('unprotect makes no vault, and a vault that others reach is not called protected (needs root)', async () => {
  fill();
  expect((await atTerminal(`${CORA} unprotect`, 'y')).stdout).toContain('There is no vault');
  expect(existsSync(sandbox.vault)).toBe(false);
  await sandbox.cora(['save']);
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
  const weak = async () => {
    const args = ['--bounding-set=-linux_immutable', '--inh-caps=-linux_immutable', '--', CORA, 'backup', 'now', '--json'];
    const { result } = JSON.parse((await execute('setpriv', args, { cwd: sandbox.project, env })).stdout) as { result: Record<string, unknown> };
    return [result['protection'], result['protection_reason']];
  };
  expect(await weak()).toEqual(['permissions', expect.stringMatching(/may$/)]);
  chmodSync(sandbox.vault, 0o777);
  expect(await weak()).toEqual(['none', expect.stringContaining('others may write')]);
  chmodSync(sandbox.vault, 0o700);
  chownSync(sandbox.vault, 65534, 65534);
  expect(await weak()).toEqual(['none', expect.stringContaining('belongs to another user')]);
});
