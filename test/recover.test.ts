// `cora recover`: a project back from a remote on a machine that has nothing else. The remote is a directory here (another disk, a
// mounted NAS) that `cora ship` filled for real; S3 is in test/offsite/.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { waitFor } from './support/container.ts';
import { execute, isRoot, type Run, Sandbox } from './support/sandbox.ts';

const missing = ['rclone', 'git', 'sqlite3', 'age-keygen'].filter((program) => findProgram(program) === undefined);
const repository = join(import.meta.dirname, '..');
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
  const { id: first } = await sandbox.snapshot(['backup', 'now']);
  await must(sandbox, 'echo 3 > src/new');
  const { id: latest } = await sandbox.snapshot(['backup', 'now', '-l', 'pre-move']);
  return { sandbox, remote, first, latest, identity, tree: await treeOf(sandbox, sandbox.project) };
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
    mkdirSync(join(this.root, 'home'), { recursive: true });
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
      expect(readdirSync(join(machine.vault, '.stage'))).toEqual([]);
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

    test('a second time it fetches nothing, an older one it adds in its place, and what is in the directory it leaves alone', async () => {
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
    });

    test.each(slow || encrypted ? [0, 1] : [0])(
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
    test.each(slow ? harms : harms.slice(0, encrypted ? 1 : 2))(
      'an object that was %s: 21, nothing is restored, and an older copy still comes',
      async (how, change) => {
        const object = objects()[1] ?? '';
        const harmed = await withHarm(old, `${copy(old.latest)}/${object}`, change);
        const run = await harmed.recover('--latest', '--to', harmed.to, ...key());
        expect(run).toMatchObject({ code: 21, error: { code: 'damaged', details: { objects: [object] } } });
        expect(run.stderr).toContain(object);
        harmed.expectNothing();
        if (how === 'deleted') expect(await harmed.recover(old.first, '--to', harmed.to, ...key())).toMatchObject({ code: 0 });
      },
    );

    test.skipIf(encrypted && !slow)('a copy without its marker is not offered', async () => {
      const harmed = await withHarm(old, `${copy(old.latest)}/COMPLETE.json`, () => undefined);
      const list = await harmed.recover();
      expect((list.result['copies'] as { snapshot_id: string }[]).map(({ snapshot_id }) => snapshot_id)).toEqual([old.first]);
      expect(await harmed.recover(old.latest, '--to', harmed.to, ...key())).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
      harmed.expectNothing();
    });

    test('kill -9 in the middle of the download: the next run goes on with what is there', async () => {
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
    }, 60_000);
  });
});
