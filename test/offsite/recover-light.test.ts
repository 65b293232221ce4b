// `cora recover`: a project back from a remote on a machine that has nothing else. The remote is a directory here (another disk, a
// mounted NAS) that `cora ship` filled for real; S3 is in test/offsite/.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { waitFor } from '../support/container.ts';
import { configureOffsite, copyPath } from '../support/offsite.ts';
import { s3Remote } from '../support/remotes.ts';
import { execute, isRoot, type Run, Sandbox } from '../support/sandbox.ts';

const missing = ['rclone', 'git', 'sqlite3', 'age-keygen'].filter((program) => findProgram(program) === undefined);
const repository = join(import.meta.dirname, '../..');
/** Over the size from which a download goes on in the middle of a file. */
const LARGE = 9 << 20;
const slow = process.env['CORA_TEST_SLOW'] === '1';

/** A project with a past and everything that git does not hold. */
const PROJECT = `
git init -q -b main . && git config user.name a && git config user.email a@b.c && git remote add origin https://u:secret@example.org/x.git
mkdir src && echo 1 > src/a && printf '#!/bin/sh\\n' > run && chmod 755 run && ln -s src/a link
printf '.env\\n*.db\\nbig\\n' > .gitignore && git add . && git commit -qm one && git tag v1
git checkout -qb feature && echo 2 > src/a && git commit -qam two
echo stashed > src/a && git stash -q
echo staged > staged && git add staged && echo later >> staged && echo new > untracked && echo KEY=1 > .env && chmod 600 .env
sqlite3 app.db 'pragma journal_mode=wal; create table t(n); insert into t values (1),(2)' > ../sqlite.out
head -c ${LARGE} /dev/urandom > big
`;

type Old = {
  readonly sandbox: Sandbox;
  readonly remote: string;
  readonly first: string;
  readonly latest: string;
  readonly identity: string;
  readonly tree: string;
};

/** The old machine: two backups at a remote. */
async function oldMachine(encrypted: boolean): Promise<Old> {
  const sandbox = new Sandbox({ fast: true });
  const remote = join(sandbox.root, 'nas');
  mkdirSync(remote);
  await must(sandbox, PROJECT);
  const identity = join(sandbox.root, 'key.txt');
  await must(sandbox, `umask 077; age-keygen -o ${identity} 2>/dev/null`);
  const recipient = (await must(sandbox, `age-keygen -y ${identity}`)).stdout.trim();
  const secret = encrypted ? `recipients = ["${recipient}"]` : 'allow_plaintext = true';
  writeFileSync(join(sandbox.project, 'cora.toml'), `[offsite]\nremote = "${remote}"\nenv = "prod"\n${secret}\n`);
  // One is enough where no test takes the older one.
  const older = encrypted && !slow ? undefined : await sandbox.snapshot(['backup', 'now', '-l', 'pre-move']);
  await must(sandbox, 'echo 3 > src/new');
  const { id: latest } = await sandbox.snapshot(['backup', 'now']);
  return { sandbox, remote, first: older?.id ?? latest, latest, identity, tree: await treeOf(sandbox, sandbox.project) };
}

async function must(sandbox: Sandbox, script: string, cwd = sandbox.project): Promise<Run> {
  const run = await execute('/bin/sh', ['-euc', script], { cwd, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: sandbox.home } });
  if (run.code !== 0) throw new Error(`${script}\nended with ${run.code}: ${run.stdout}${run.stderr}`);
  return run;
}

/** A new machine: a home and a vault of its own. Copies of the remote, so that it can be harmed. */
class NewMachine {
  readonly root: string;
  readonly remote: string;
  readonly to: string;
  readonly vault: string;
  readonly #old: Old;

  constructor(old: Old, remote = old.remote) {
    this.#old = old;
    this.root = join(old.sandbox.root, `new-${Math.random().toString(36).slice(2)}`);
    for (const path of [this.root, join(this.root, 'home')]) {
      mkdirSync(path);
      old.sandbox.own(path);
    }
    this.remote = remote;
    this.to = join(this.root, 'back');
    this.vault = join(this.root, 'vault');
  }

  get options() {
    return { cwd: '/', env: { HOME: join(this.root, 'home'), CORA_VAULT: this.vault, CORA_LOG: join(this.root, 'log') } };
  }

  recover(...args: readonly string[]) {
    return this.#old.sandbox.json(['recover', this.remote, ...args], this.options);
  }

  cora(...args: readonly string[]) {
    return this.#old.sandbox.json(args, { ...this.options, cwd: this.to });
  }

  /** Neither a snapshot nor the directory, and no vault either. */
  expectNothing(): void {
    expect(existsSync(this.to)).toBe(false);
    expect(existsSync(this.vault)).toBe(false);
  }
}

/** A new machine with a remote of its own, in which one file is changed (or is gone). */
async function withHarm(old: Old, file: string, change: (content: Buffer) => Buffer | undefined): Promise<NewMachine> {
  const remote = join(old.sandbox.root, `nas-${Math.random().toString(36).slice(2)}`);
  await must(old.sandbox, `cp -al ${old.remote} ${remote}`);
  const path = join(remote, file);
  const { atime, mtime } = statSync(path);
  const content = change(readFileSync(path));
  rmSync(path);
  if (content !== undefined) {
    writeFileSync(path, content);
    utimesSync(path, atime, mtime);
  }
  return new NewMachine(old, remote);
}

/** Types, modes, times, links and contents of everything but `.git` and what changes by itself. */
async function treeOf(sandbox: Sandbox, directory: string): Promise<string> {
  const what = `find . -name .git -prune -o -name '*.db*' -prune -o -printf '%p %y %m %T@ %l\\n' | sort; find . -name .git -prune -o -name '*.db*' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; sqlite3 app.db 'pragma journal_mode; select * from t'`;
  return (await must(sandbox, what, directory)).stdout;
}

const gitOf = `git status --porcelain; git for-each-ref --format='%(objectname) %(refname)' refs/heads refs/tags refs/stash; git stash list; git symbolic-ref HEAD; git diff --cached`;

describe.skipIf(missing.length > 0)(`recover${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`, () => {
  describe.each([
    { kind: 'in the clear', encrypted: false },
    { kind: 'encrypted', encrypted: true },
  ])('a copy $kind', ({ encrypted }) => {
    let old: Old;
    let machine: NewMachine;
    const key = () => (encrypted ? ['--identity', old.identity] : []);
    /** Below the remote. */
    const copy = (id: string) => join('prod', `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`, id);
    /** An object that is small, and the archive. */
    const objects = () => (encrypted ? ['critical.tar.age', 'archive.tar.gz.age'] : ['critical/.env', 'project-full.tar.gz']);

    beforeAll(async () => {
      old = await oldMachine(encrypted);
    }, 60_000);
    afterAll(() => old?.sandbox.remove());

    test('comes back whole: tree, database, repository, and a vault that work goes on with', async () => {
      machine = new NewMachine(old);
      const run = await machine.recover('--latest', '--to', machine.to, ...key());
      expect(run).toMatchObject({ code: 0, result: { outcome: 'recovered', snapshot_id: old.latest, env: 'prod', encrypted, sealed: isRoot } });
      expect(run.result['git']).toMatchObject({ state: 'restored', branch: 'feature', branches: 2, stashes: 1 });
      expect(await treeOf(old.sandbox, machine.to)).toBe(old.tree);
      expect((await must(old.sandbox, gitOf, machine.to)).stdout).toBe((await must(old.sandbox, gitOf)).stdout);
      expect((await must(old.sandbox, 'git remote get-url origin', machine.to)).stdout).toBe('https://example.org/x.git\n');
      // The note of the last commit, of one name for ever.
      expect(readdirSync(join(machine.vault, '.stage'))).toEqual(['intent']);
      // The history goes on where the lost ledger ended.
      const chain = await machine.cora('verify', '--chain');
      expect(chain).toMatchObject({ code: 0, result: { chain: { ok: true, snapshots: 1 } } });
      const head = (JSON.parse(readFileSync(join(old.remote, copy(old.latest), 'COMPLETE.json'), 'utf8')) as { chain: object }).chain;
      expect((chain.result['chain'] as { goes_on_after: object }).goes_on_after).toMatchObject({ ...head, source: `${machine.remote}/prod` });
      expect(await machine.cora('verify', '--all', '--deep')).toMatchObject({ code: 0 });
      expect(await machine.cora('save')).toMatchObject({ code: 0, result: { outcome: 'saved' } });
      const vaultId = (vault: string) => (JSON.parse(readFileSync(join(vault, 'VAULT.json'), 'utf8')) as { vault_id: string }).vault_id;
      expect(vaultId(machine.vault)).toBe(vaultId(old.sandbox.vault));
      // What is there is not shipped again.
      const ship = await machine.cora('ship', old.latest);
      expect(ship.code).toBe(0);
      expect(JSON.stringify(ship.result)).not.toContain('"sent"');
    });

    test.skipIf(encrypted && !slow)(
      'a second time it fetches nothing, an older one it adds in its place, and what is in the directory it leaves alone',
      async () => {
        expect(await machine.recover('--latest', '--to', machine.to, ...key())).toMatchObject({ code: 20, error: { code: 'target_not_empty' } });
        rmSync(machine.to, { recursive: true });
        const again = await machine.recover('--latest', '--to', machine.to, ...key());
        expect(again).toMatchObject({ code: 0, result: { fetched: [], had: [old.latest], vault: { made: false } } });
        rmSync(machine.to, { recursive: true });
        const older = await machine.recover(old.first.slice(0, 15), '--vault-only', ...key());
        expect(older).toMatchObject({ code: 0, result: { outcome: 'fetched', snapshot_id: old.first, restore: null } });
        mkdirSync(machine.to);
        const list = await machine.cora('list', '--backups', '--vault', machine.vault);
        const ids = (list.result['snapshots'] as { snapshot_id: string }[]).map(({ snapshot_id }) => snapshot_id);
        expect(ids.filter((id) => id === old.first || id === old.latest)).toEqual([old.first, old.latest]);
        expect(await machine.cora('verify', '--all', '--vault', machine.vault)).toMatchObject({ code: 0 });
      },
    );

    test.each(slow ? [0, 1] : encrypted ? [1] : [0])(
      'one altered byte, of the same size, in object %i: 21, it is named, and nothing is restored',
      async (which) => {
        const object = objects()[which] ?? '';
        const harmed = await withHarm(old, `${copy(old.latest)}/${object}`, (content) => {
          content[content.length - 1] = (content[content.length - 1] ?? 0) ^ 1;
          return content;
        });
        const run = await harmed.recover('--latest', '--to', harmed.to, ...key());
        expect(run).toMatchObject({ code: 21, error: { code: 'damaged', details: { objects: [object] } } });
        harmed.expectNothing();
      },
    );

    const harms: readonly (readonly [string, (content: Buffer) => Buffer | undefined])[] = [
      ['deleted', () => undefined],
      ['cut', (content) => content.subarray(0, 1000)],
      ['grown', (content) => Buffer.concat([content, Buffer.from('x')])],
    ];
    test.each(slow ? harms : harms.slice(0, encrypted ? 0 : 1))(
      'an object that was %s: 21, nothing is restored, and an older copy still comes',
      async (how, change) => {
        const object = objects()[1] ?? '';
        const harmed = await withHarm(old, `${copy(old.latest)}/${object}`, change);
        const run = await harmed.recover('--latest', '--to', harmed.to, ...key());
        expect(run).toMatchObject({ code: 21, error: { code: 'damaged', details: { objects: [object] } } });
        expect(run.stderr).toContain(object);
        harmed.expectNothing();
        if (slow && how === 'deleted') expect(await harmed.recover(old.first, '--to', harmed.to, ...key())).toMatchObject({ code: 0 });
      },
    );

    test.skipIf(encrypted && !slow)('a copy without its marker is not offered', async () => {
      const harmed = await withHarm(old, `${copy(old.latest)}/COMPLETE.json`, () => undefined);
      const list = await harmed.recover();
      expect((list.result['copies'] as { snapshot_id: string }[]).map(({ snapshot_id }) => snapshot_id)).toEqual([old.first]);
      expect(await harmed.recover(old.latest, '--to', harmed.to, ...key())).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
      harmed.expectNothing();
    });

    test.skipIf(!encrypted && !slow)(
      'kill -9 in the middle of the download: the next run goes on with what is there',
      async () => {
        const cut = new NewMachine(old);
        const { cwd, env } = cut.options;
        // Slow enough to be met in its middle.
        const args = ['recover', cut.remote, '--latest', '--to', cut.to, '--bwlimit', '2M', ...key()];
        const child: ChildProcess = spawn(join(repository, 'bin/cora'), args, { cwd, env: { PATH: '/usr/bin:/bin', ...env }, stdio: 'ignore' });
        const parts = join(cut.vault, '.stage', `fetch-backup-${old.latest}`, 'parts');
        const had = () => (existsSync(parts) ? readdirSync(parts).map((name) => statSync(join(parts, name)).size) : []);
        await waitFor('a part of the archive', () => had().some((size) => size > 2 << 20 && size < LARGE - (2 << 20)));
        child.kill('SIGKILL');
        const [size = 0] = had().filter((one) => one > 1 << 20);
        expect(existsSync(cut.to)).toBe(false);
        expect(readdirSync(cut.vault).filter((name) => /^\d{8}-/.test(name))).toEqual([]);
        const run = await cut.recover('--latest', '--to', cut.to, ...key());
        expect(run).toMatchObject({ code: 0, result: { outcome: 'recovered' } });
        const [fetched] = run.result['fetched'] as { downloaded: number }[];
        expect(fetched?.downloaded).toBeLessThan(LARGE + 100_000 - size);
        expect(await treeOf(old.sandbox, cut.to)).toBe(old.tree);
      },
      60_000,
    );

    test.skipIf(!slow)('kill -9 in the middle of the restore: the next run ends it, and nothing of the first is left over', async () => {
      const cut = new NewMachine(old);
      const { cwd, env } = cut.options;
      const args = ['recover', cut.remote, '--latest', '--to', cut.to, ...key()];
      const child: ChildProcess = spawn(join(repository, 'bin/cora'), args, { cwd, env: { PATH: '/usr/bin:/bin', ...env }, stdio: 'ignore' });
      await waitFor('a part of the tree', () => existsSync(cut.to) && readdirSync(cut.to).length > 0);
      child.kill('SIGKILL');
      expect(await cut.recover('--latest', '--to', cut.to, ...key())).toMatchObject({ code: 0, result: { outcome: 'recovered' } });
      expect(await treeOf(old.sandbox, cut.to)).toBe(old.tree);
      expect((await must(old.sandbox, gitOf, cut.to)).stdout).toBe((await must(old.sandbox, gitOf)).stdout);
      expect(await cut.recover('--latest', '--to', cut.to, ...key())).toMatchObject({ code: 20, error: { code: 'target_not_empty' } });
    });
  });

  describe('several projects at one remote', () => {
    let sandbox: Sandbox;
    let other: Sandbox;
    let ids: { first: string; backup: string; save: string; other: string };
    let old: Old;
    const remote = () => join(sandbox.root, 'nas');
    const machine = () => new NewMachine(old, remote());

    beforeAll(async () => {
      sandbox = new Sandbox({ fast: true, nobody: true });
      other = new Sandbox({ fast: true, nobody: true });
      mkdirSync(remote());
      sandbox.own(remote());
      await must(sandbox, `chmod 777 ${sandbox.root} ${other.root}`);
      const configure = (one: Sandbox, env: string) => {
        writeFileSync(join(one.project, 'cora.toml'), `[offsite]\nremote = "${remote()}"\nenv = "${env}"\nsaves = true\n`);
        one.own(join(one.project, 'cora.toml'));
      };
      configure(sandbox, 'prod');
      configure(other, 'staging');
      const write = (name: string, text: string) => {
        writeFileSync(join(sandbox.project, name), text);
        sandbox.own(join(sandbox.project, name));
      };
      // Git looks only at a directory of whoever runs it.
      const commit = 'git init -q -b main . && git config user.name a && git config user.email a@b.c && git commit -q --allow-empty -m one';
      await must(sandbox, isRoot ? `chown 0 . && ${commit} && chown -R 65534:65534 .` : commit);
      write('a', '1');
      const { id: first } = await sandbox.snapshot(['save']);
      const { id: backup } = await sandbox.snapshot(['backup', 'now']);
      write('a', '2');
      write('b', 'new');
      const { id: save } = await sandbox.snapshot(['save']);
      expect(await sandbox.cora(['ship'])).toMatchObject({ code: 0 });
      ids = { first, backup, save, other: (await other.snapshot(['backup', 'now'])).id };
      old = { sandbox, remote: remote(), first, latest: backup, identity: '', tree: '' };
    }, 60_000);
    afterAll(async () => {
      await sandbox?.remove();
      await other?.remove();
    });

    test('are listed; none is taken by guess; an env or an id says which', async () => {
      const one = machine();
      const list = await one.recover();
      expect(list).toMatchObject({ code: 0, result: { outcome: 'listed', damaged: [] } });
      const found = list.result['copies'] as { env: string; snapshot_id: string; kind: string; encrypted: boolean }[];
      expect(found.map(({ env, kind }) => `${env} ${kind}`).sort()).toEqual(
        ['prod backup', 'prod save', 'prod save', 'staging backup', 'staging save'].slice(0, found.length),
      );
      const guess = await one.recover('--latest', '--to', one.to);
      expect(guess).toMatchObject({
        code: 20,
        error: { code: 'refused', details: { choices: expect.arrayContaining([expect.objectContaining({ env: 'prod' })]) } },
      });
      expect(guess.stderr).toContain('--env staging');
      one.expectNothing();
      expect(await one.recover('--env', 'staging', '--list')).toMatchObject({ result: { projects: [{ env: 'staging' }] } });
      expect(await one.recover(ids.other, '--env', 'staging', '--to', one.to)).toMatchObject({ code: 0, result: { env: 'staging' } });
      // The vault is another project's now.
      const taken = await one.recover(ids.backup, '--env', 'prod', '--to', `${one.to}2`);
      expect(taken).toMatchObject({ code: 20, error: { code: 'refused' } });
      expect(existsSync(`${one.to}2`)).toBe(false);
    });

    test('the newest is a save: it comes with the saves that it needs, and the repository out of the backup before it', async () => {
      const one = machine();
      const run = await one.recover('--latest', '--env', 'prod', '--to', one.to);
      expect(run).toMatchObject({ code: 0, result: { kind: 'save', snapshot_id: ids.save, git: { state: 'restored', from: ids.backup } } });
      expect([readFileSync(join(one.to, 'a'), 'utf8'), readFileSync(join(one.to, 'b'), 'utf8')]).toEqual(['2', 'new']);
      expect((run.result['fetched'] as { snapshot_id: string }[]).map(({ snapshot_id }) => snapshot_id).sort()).toEqual(
        [ids.first, ids.backup, ids.save].sort(),
      );
      expect(await one.cora('verify', '--all', '--deep')).toMatchObject({ code: 0 });
      expect(await one.cora('save')).toMatchObject({ code: 0, result: { outcome: 'saved' } });
      // A moment of before it.
      const before = machine();
      const at = await before.recover(`@before ${ids.save}`, '--env', 'prod', '--to', before.to);
      expect(at).toMatchObject({ code: 0, result: { snapshot_id: ids.backup } });
      expect(readFileSync(join(before.to, 'a'), 'utf8')).toBe('1');
    });

    test('what cannot be named is said, and nothing is made', async () => {
      const one = machine();
      const to = ['--to', one.to];
      const run = (...args: readonly string[]) => sandbox.json(['recover', ...args, ...to], one.options);
      expect(await run(':local:/tmp')).toMatchObject({ code: 2, error: { code: 'usage' } });
      expect(await run('nowhere:bucket')).toMatchObject({ code: 12, error: { code: 'remote_failed' } });
      expect(await run(join(one.root, 'unmounted'))).toMatchObject({ code: 12, error: { code: 'remote_missing' } });
      expect(await run()).toMatchObject({ code: 2, error: { code: 'usage' } });
      expect(await run(remote(), '20000101-000000-abcdef0', '--env', 'prod')).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
      expect(await run(remote(), '--at', '20000101', '--env', 'prod')).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
      expect(await run(remote(), 'latest', '--at', 'yesterday')).toMatchObject({ code: 2, error: { code: 'usage' } });
      one.expectNothing();
    });
  });

  test('from S3 with the keys of backup.env alone, encrypted; a key that does not fit opens nothing', async () => {
    const sandbox = new Sandbox({ fast: true });
    const remote = await s3Remote(sandbox);
    try {
      writeFileSync(join(sandbox.project, 'notes'), 'all that we have');
      const [identity, wrong] = [join(sandbox.root, 'key.txt'), join(sandbox.root, 'wrong.txt')];
      await must(sandbox, `umask 077; age-keygen -o ${identity} 2>/dev/null; age-keygen -o ${wrong} 2>/dev/null`);
      const recipient = (await must(sandbox, `age-keygen -y ${identity}`)).stdout.trim();
      configureOffsite(sandbox, [remote], `recipients = ["${recipient}"]`);
      const { id } = await sandbox.snapshot(['backup', 'now']);
      const one = new NewMachine({ sandbox, remote: remote.spec, first: id, latest: id, identity, tree: '' });
      const { endpoint, accessKey, secretKey } = remote.server;
      const keys = (secret: string) =>
        `SPACES_ACCESS_KEY=${accessKey}\nSPACES_SECRET_KEY=${secret}\nSPACES_ENDPOINT=${endpoint}\nBACKUP_BUCKET=${remote.bucket}\n`;
      const file = join(one.root, 'backup.env');
      const run = (secret: string, ...args: readonly string[]) => {
        writeFileSync(file, keys(secret), { mode: 0o600 });
        return sandbox.json(['recover', '--credentials', file, ...args], one.options);
      };
      const refused = await run('wrong-secret-canary', '--latest', '--to', one.to);
      expect(refused).toMatchObject({ code: 12, error: { code: 'remote_failed' } });
      expect(JSON.stringify(refused)).not.toContain('wrong-secret-canary');
      expect(await run(secretKey, '--latest', '--to', one.to)).toMatchObject({ code: 20, error: { code: 'key_wrong' } });
      const other = await run(secretKey, '--latest', '--to', one.to, '--identity', wrong);
      expect(other).toMatchObject({ code: 20, error: { code: 'key_wrong' } });
      expect(other.stderr).toContain(recipient);
      one.expectNothing();
      expect(await run(secretKey, id, '--to', one.to, '--identity', identity)).toMatchObject({ code: 0, result: { encrypted: true } });
      expect(readFileSync(join(one.to, 'notes'), 'utf8')).toBe('all that we have');
      // On S3 rclone ends well where an object is not there.
      await remote.delete(`${copyPath(id)}/records.tar.age`);
      const again = new NewMachine({ sandbox, remote: remote.spec, first: id, latest: id, identity, tree: '' });
      const gone = await sandbox.json(['recover', '--credentials', file, '--to', again.to, '--identity', identity], again.options);
      expect(gone).toMatchObject({ code: 21, error: { details: { objects: ['records.tar.age'] } } });
      again.expectNothing();
    } finally {
      await remote.stop();
      await sandbox.remove();
    }
  });
});
