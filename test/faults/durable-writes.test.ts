// What Cora claims is on the disk when it claims it: each command under strace, and a model of a power cut that forgives
// nothing. A journal that happens to carry a name along (ext4, xfs) hides a missing fsync from a real cut; not from this.

import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { CORA } from '../support/run-cora.ts';
import { execute, isRoot, PATH, Sandbox, whyNotNobody } from '../support/sandbox.ts';
import { type SyncRun, syncTrace } from '../support/sync-trace.ts';
import { canTrace } from '../support/trace-opens.ts';

const why = canTrace ? '' : ' (needs strace, and to be allowed to trace)';

describe.skipIf(!canTrace)(`everything claimed is synced, bytes and names${why}`, () => {
  let sandbox: Sandbox;
  let number = 0;

  beforeAll(() => {
    sandbox = new Sandbox();
    const { project } = sandbox;
    mkdirSync(join(project, 'src/deep'), { recursive: true });
    writeFileSync(join(project, 'a.txt'), 'a');
    writeFileSync(join(project, 'src/deep/big.bin'), Buffer.alloc(3 << 20, 7));
    writeFileSync(join(project, 'src/holes.bin'), 'x');
    truncateSync(join(project, 'src/holes.bin'), 4 << 20);
    writeFileSync(join(project, 'app.log'), 'a line\n'.repeat(60_000));
    const database = new DatabaseSync(join(project, 'app.db'));
    database.exec("CREATE TABLE t (a); INSERT INTO t VALUES ('one')");
    database.close();
    writeFileSync(join(project, 'cora.toml'), '[critical]\npatterns = ["a.txt"]\n');
  });
  afterAll(() => sandbox.remove());

  const change = () => writeFileSync(join(sandbox.project, 'a.txt'), `${number++}`);

  /** Two saves and a backup, where no test before this one has made them: each runs alone too. */
  async function ready(): Promise<void> {
    if (number > 0) return;
    expect((await sandbox.cora(['save'])).code).toBe(0);
    change();
    expect((await sandbox.cora(['backup', 'now'])).code).toBe(0);
  }

  async function trace(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<SyncRun> {
    const run = await syncTrace(sandbox, args, env === undefined ? {} : { env });
    expect(run.unsafe).toEqual([]);
    return run;
  }

  async function works(...args: readonly string[]): Promise<SyncRun> {
    const run = await trace(args);
    expect({ code: run.code, stderr: run.code === 0 ? '' : run.stderr }).toEqual({ code: 0, stderr: '' });
    return run;
  }

  it('the first save, and the vault that it makes', async () => {
    expect((await works('save')).syncs).toBeGreaterThan(10);
  });

  it('a save of a change, and one that finds nothing', async () => {
    await ready();
    change();
    await works('save');
    await works('save');
    await works('save', '-m', 'a note');
  });

  it('a backup, its plain copies, its archive and its seal', async () => {
    await ready();
    change();
    await works('backup', 'now', '--label', 'one');
  });

  it('verification, which writes a line of the ledger', async () => {
    await ready();
    await works('verify', '--all');
  });

  it('what is restored to a new directory, from a save and from a backup', async () => {
    await ready();
    await works('restore', 'latest', '--to', join(sandbox.root, 'out'));
    change();
    await works('save');
    await works('restore', 'latest', '--to', join(sandbox.root, 'out-of-save'));
  });

  it('what is restored in place, what it moved away, and the way back', async () => {
    await ready();
    change();
    await works('restore', 'latest~1', '--yes', '--confirm-service-stopped');
    await works('restore', '--undo', '--yes', '--confirm-service-stopped');
  });

  it('what is restored into a database that a program has open', async () => {
    await ready();
    const database = new DatabaseSync(join(sandbox.project, 'app.db'));
    try {
      database.exec("PRAGMA journal_mode = WAL; INSERT INTO t VALUES ('since')");
      await works('restore', 'latest', 'app.db', '--yes', '--live');
      expect(database.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 1 });
      await works('restore', '--undo', '--yes', '--live');
      expect(database.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 2 });
    } finally {
      database.close();
    }
  });

  it('a log that was cut, and what was cut off', async () => {
    await ready();
    appendFileSync(join(sandbox.project, 'app.log'), 'more\n');
    await works('rotate', 'app.log');
  });

  it('pins', async () => {
    await ready();
    await works('pin', 'latest');
    await works('unpin', 'latest');
  });

  it.skipIf(!isRoot)(`append-only flags${isRoot ? '' : ' (needs root)'}`, async () => {
    await ready();
    writeFileSync(join(sandbox.project, 'only-grows.log'), 'x');
    await trace(['protect', 'only-grows.log']);
    await execute('chattr', ['-a', join(sandbox.project, 'only-grows.log')]);
  });

  it('clean-up: packs and keyframes gathered before saves are removed', async () => {
    await ready();
    for (let round = 0; round < 3; round++) {
      change();
      writeFileSync(join(sandbox.project, `round-${round}`), 'kept '.repeat(2000 + round));
      expect((await sandbox.cora(['save'])).code).toBe(0);
    }
    await works('prune', '--keep-last', '1', '--confirm', '--yes');
    // What a run that was killed had gathered, and nobody needs.
    writeFileSync(join(sandbox.vault, 'progress/packs', `${'0'.repeat(64)}.tar.zst`), 'left over');
    for (let round = 0; round < 3; round++) rmSync(join(sandbox.project, `round-${round}`));
    for (let round = 0; round < 2; round++) {
      change();
      expect((await sandbox.cora(['save'])).code).toBe(0);
    }
    await works('prune', '--keep-last', '1', '--confirm', '--yes');
    expect(readdirSync(join(sandbox.vault, 'progress/packs'))).not.toContain(`${'0'.repeat(64)}.tar.zst`);
    expect((await sandbox.cora(['verify', '--all'])).code).toBe(0);
  });

  it('copies of single databases, and those that are restored', async () => {
    await ready();
    const copy = join(sandbox.root, 'copy.db');
    await works('db', 'backup', 'app.db', '--backup', copy);
    await works('db', 'restore', copy, 'app.db', '--force');
    await works('db', 'restore', copy, 'other.db');
  });

  it('a loss that was accepted', async () => {
    await ready();
    change();
    expect((await sandbox.cora(['save'])).code).toBe(0);
    await execute('rm', [join(sandbox.project, 'a.txt')]);
    await sandbox.cora(['save']);
    await trace(['lost', '--accept', 'a.txt', '--yes']);
    change();
    await sandbox.cora(['save']);
  });

  it('trust in the commands of a project', async () => {
    await ready();
    appendFileSync(join(sandbox.project, 'cora.toml'), '[[checks]]\nname = "c"\ncommand = "true"\n');
    await trace(['trust', '--yes']);
  });

  const noNobody = isRoot ? whyNotNobody() : undefined;
  it.skipIf(noNobody !== undefined)(
    `what is written for a person: a configuration, a hook over one that was there, a key, units, and what another tool had backed up${noNobody === undefined ? '' : ` (${noNobody})`}`,
    async () => {
      const own = new Sandbox({ nobody: isRoot });
      try {
        await execute('git', ['init', '-q'], { cwd: own.project, env: { PATH, HOME: own.home } });
        writeFileSync(join(own.project, '.git/hooks/pre-push'), '#!/bin/sh\ntrue\n', { mode: 0o755 });
        writeFileSync(join(own.project, 'AI_WORK_LOG.md'), 'x');
        mkdirSync(join(own.root, 'foreign'));
        const foreign = join(own.root, 'foreign/notes-backup-20260502-080910.db');
        const database = new DatabaseSync(foreign);
        database.exec('CREATE TABLE t (a)');
        database.close();
        if (isRoot) await execute('chown', ['-R', '65534:65534', own.root]);
        const as = isRoot ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] : [];
        for (const args of [
          ['init', '--yes', '--no-timers', '--no-hook'],
          ['hooks', 'install'],
          ['key', 'new', '--write'],
          ['timers', 'install', '--unit-dir', join(own.root, 'units')],
          ['adopt', join(own.root, 'foreign')],
          ['restore', foreign, '--to', join(own.root, 'out')],
        ]) {
          const run = await syncTrace(own, args, { as });
          expect([args, run.code, run.unsafe]).toEqual([args, 0, []]);
        }
      } finally {
        await own.remove();
      }
    },
  );

  const noRclone = findProgram('rclone') === undefined;
  it.skipIf(noRclone)(
    `the files of a copy on a disk are synced before the marker that vouches for them${noRclone ? ' (needs rclone)' : ''}`,
    async () => {
      await ready();
      const file = join(sandbox.root, 'programs');
      const args = ['ship', '--remote', join(sandbox.root, 'marked')];
      const env = { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
      mkdirSync(join(sandbox.root, 'marked'));
      const run = await execute('strace', ['-f', '--seccomp-bpf', '-qq', '-s', '400', '-e', 'trace=execve', '-o', file, CORA, ...args], {
        cwd: sandbox.project,
        env,
      });
      expect([run.code, run.stderr]).toEqual([0, '']);
      const order = readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line.endsWith(' = 0'))
        .flatMap((line) => {
          if (/sync", "-f"/.test(line)) return ['sync'];
          if (!line.includes('/rclone"')) return [];
          return line.includes('COMPLETE.json"') && line.includes('"copyto"') ? ['marker'] : line.includes('"copy"') ? ['files'] : [];
        });
      expect(order.join(' ')).toMatch(/^(?:(?:files )+sync marker sync ?)+$/);
    },
  );

  // rclone's threads under strace take their time.
  const asked = process.env['CORA_TEST_SLOW'] === '1' || process.env['CORA_TEST_MUTANTS'] === '1';
  const whyNot = findProgram('rclone') === undefined ? ' (needs rclone)' : asked ? '' : ' (slow)';
  it.skipIf(whyNot !== '')(`copies at a remote that is a directory, and what comes back from them${whyNot}`, async () => {
    await ready();
    const remote = join(sandbox.root, 'remote');
    mkdirSync(remote);
    appendFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "${remote}"\n`);
    // Large enough to come back in a part of its own.
    writeFileSync(join(sandbox.project, 'huge.bin'), randomBytes(10 << 20));
    const { id } = await sandbox.snapshot(['backup', 'now']);
    await works('ship', '--saves');
    const vault = join(sandbox.root, 'vault-again');
    await works('recover', remote, id, '--vault', vault, '--to', join(sandbox.root, 'out-recovered'), '--yes');
    const key = join(sandbox.root, 'key.txt');
    const { recipient } = (await sandbox.json(['key', 'new', '--out', key])).result;
    const encrypted = join(sandbox.root, 'encrypted');
    mkdirSync(encrypted);
    appendFileSync(join(sandbox.project, 'cora.toml'), `recipients = ["${String(recipient)}"]\n`);
    await works('ship', '--remote', encrypted);
    const again = join(sandbox.root, 'vault-decrypted');
    const args = ['recover', encrypted, '--identity', key, '--vault', again, '--to', join(sandbox.root, 'out-decrypted'), '--yes'];
    const run = await syncTrace(sandbox, args);
    // What is in a stage is compared with its sums before anybody sees it, and synced as a whole then.
    expect([run.code, run.stderr, run.unsafe.filter((line) => !/\/\.stage\/fetch-.* when it was renamed to .*\/\.stage\/fetch-/.test(line))]).toEqual(
      [0, '', []],
    );
  });

  it('the ledger that was made again', async () => {
    await ready();
    await works('ledger', 'rebuild');
  });

  it.each(['REPORT.json', 'MANIFEST.txt', 'SHA256SUMS.txt'])('a disk that stores nothing of %s and says it did makes no snapshot', async (name) => {
    await ready();
    change();
    const before = (await sandbox.json(['list'])).result['snapshots'];
    const env = { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '', CORA_WORKERS: '0', CORA_TEST_LIES: name };
    const argv = ['--require', join(import.meta.dirname, '../support/lying-write.cjs'), join(import.meta.dirname, '../../dist/main.js'), 'save'];
    const run = await execute(process.execPath, argv, { cwd: sandbox.project, env });
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/does not hold what was written/)]);
    expect((await sandbox.json(['list'])).result['snapshots']).toEqual(before);
    expect((await sandbox.cora(['verify', '--all'])).code).toBe(0);
  });

  it.each([
    ['a backup', ['backup', 'now', '--label', 'refused']],
    ['a restore', ['restore', 'latest', '--to', 'OUT']],
  ])('%s whose sync the disk refuses has failed, and says so', async (_, args) => {
    await ready();
    change();
    const before = (await sandbox.json(['list'])).result['snapshots'];
    const refused = args.map((word) => (word === 'OUT' ? join(sandbox.root, 'refused') : word));
    const strace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=syncfs', '-e', 'inject=syncfs:error=EIO'];
    const env = { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
    const run = await execute('/usr/bin/env', ['strace', ...strace, CORA, ...refused], { cwd: sandbox.project, env });
    expect(run.stderr).toMatch(/The disk did not take all that was written below .*Input\/output error/);
    expect(run.code).toBe(1);
    // The save that a backup is made of was there before the sync.
    const backups = (list: unknown) => (list as { kind: string }[]).filter(({ kind }) => kind === 'backup').length;
    expect(backups((await sandbox.json(['list'])).result['snapshots'])).toBe(backups(before));
  });
});
