// scripts/save.sh: the save where the engine cannot start, in the vault that the engine uses.

import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEFAULT_EXCLUDES, defaultConfig } from '../../src/base/config.ts';
import { findProgram } from '../../src/os/run.ts';
import { type Document, execute, isRoot, type Run, Sandbox, whyNotNobody } from '../support/sandbox.ts';

const repository = join(import.meta.dirname, '../..');
const TOOLS =
  'sh base64 cat chmod chown comm cp cut date df dirname env find flock grep gzip head iconv id join mkdir mktemp mv od readlink rm sed sha256sum sort sqlite3 stat sync tail tar timeout touch tr truncate uname wc xargs';

const lacking = findProgram('sqlite3') === undefined ? ' (skipped: sqlite3 is missing)' : '';
const noUser = whyNotNobody();

let box: Sandbox;
/** A copy of Cora's tree as a broken install leaves it: no node_modules; and a PATH without Node. */
let broken: string;
let path: string;

beforeEach(() => {
  box = new Sandbox();
  broken = join(box.root, 'cora');
  for (const name of ['bin', 'scripts', 'dist', 'package.json']) cpSync(join(repository, name), join(broken, name), { recursive: true });
  path = join(box.root, 'path');
  mkdirSync(path);
  for (const tool of TOOLS.split(' ')) {
    const program = findProgram(tool);
    if (program !== undefined) symlinkSync(realpathSync(program), join(path, tool));
  }
  writeFileSync(join(box.project, 'one.txt'), 'one\n');
  writeFileSync(join(box.project, '.env'), 'SECRET=1\n');
});
afterEach(() => box.remove());

/** `cora ARGS` of the broken install. */
function brokenCora(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const all = { PATH: path, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: join(box.root, 'cora.log'), ...env };
  return execute(join(broken, 'bin', 'cora'), args, { cwd: box.project, env: all });
}

function checkpoints(): string[] {
  const found = existsSync(join(box.vault, 'progress')) ? readdirSync(join(box.vault, 'progress'), { recursive: true, encoding: 'utf8' }) : [];
  return found.filter((name) => name.endsWith('checkpoint.tar.gz')).map((name) => join(box.vault, 'progress', name));
}

const staged = () => readdirSync(join(box.vault, '.stage')).filter((name) => name.startsWith('run-'));

test('its defaults are the engine’s', () => {
  const script = readFileSync(join(repository, 'scripts', 'save.sh'), 'utf8');
  const list = (name: string) => new RegExp(`^${name}='(.*)'$`, 'm').exec(script)?.[1]?.split(' ');
  expect(list('CRITICAL')).toEqual(defaultConfig.critical.patterns);
  expect(list('EXCLUDED')?.map((name) => `${name}/`)).toEqual(DEFAULT_EXCLUDES);
});

describe.skipIf(lacking !== '')(`without Node${lacking}`, () => {
  test('a save is a checkpoint that tar restores and the engine lists, verifies, restores and goes on from', async () => {
    const odd = Buffer.from('a\\b "q"\tn\nx\xff', 'latin1');
    writeFileSync(Buffer.concat([Buffer.from(`${box.project}/`), odd]), 'odd');
    mkdirSync(join(box.project, 'node_modules', 'x'), { recursive: true });
    writeFileSync(join(box.project, 'node_modules', 'x', 'y'), 'left out');
    mkdirSync(join(box.project, 'x'.repeat(120)));
    writeFileSync(join(box.project, 'x'.repeat(120), 'deep'), 'deep');
    symlinkSync('one.txt', join(box.project, 'link'));
    await execute('sqlite3', [join(box.project, 'notes.db'), 'pragma journal_mode=wal; create table t(a); insert into t values (1), (2)']);
    const run = await brokenCora(['save', '-m', 'a "note"']);
    expect(run).toMatchObject({ code: 0 });
    expect(run.stderr).toMatch(
      /^cora: no Node was found: this is a plain tar checkpoint made without the engine \(the whole project\); repair Cora: run `npm ci` in /,
    );
    expect(readFileSync(join(box.root, 'cora.log'), 'utf8')).toMatch(/level=info command="save" .*exit=0/);

    const [archive] = checkpoints();
    const out = join(box.root, 'out');
    mkdirSync(out);
    expect(await execute('tar', ['-xzpf', archive ?? '', '-C', out])).toMatchObject({ code: 0 });
    const same = await execute('diff', ['-r', '--no-dereference', '--exclude=node_modules', '--exclude=notes.db', box.project, out]);
    expect(same).toMatchObject({ code: 0, stdout: '' });
    expect((await execute('sqlite3', [join(out, 'notes.db'), 'select count(*) from t; pragma integrity_check'])).stdout).toBe('2\nok\n');

    const listed = await box.json(['list']);
    expect(listed.result['snapshots']).toMatchObject([
      { kinds: ['fallback'], status: 'complete', sequence: 1, note: 'a "note"', total_files_processed: 5 },
    ]);
    expect((await box.json(['list', 'one.txt'])).result['total']).toBe(1);
    expect((await box.json(['list', 'gone.txt'])).result['total']).toBe(0);
    expect(await box.json(['verify'])).toMatchObject({ code: 0, result: { snapshots: [{ kind: 'fallback', ok: true }] } });
    const restored = join(box.root, 'restored');
    expect(await box.cora(['restore', 'latest', '--to', restored])).toMatchObject({ code: 0 });
    expect((await execute('diff', ['-r', '--no-dereference', '--exclude=notes.db', out, restored])).stdout).toBe('');
    expect((await execute('sqlite3', [join(restored, 'notes.db'), 'select count(*) from t; pragma journal_mode'])).stdout).toBe('2\nwal\n');
    const byScript = await box.restoreScript(['latest', join(box.root, 'script')]);
    expect(byScript).toMatchObject({ code: 0 });
    expect((await execute('diff', ['-r', '--no-dereference', out, join(box.root, 'script')])).stdout).toBe('');

    const saved = await box.snapshot(['save']);
    expect(await box.json(['verify', '--all', '--deep'])).toMatchObject({ code: 0 });
    expect((await box.json(['show'])).result['snapshot_id']).toBe(saved.id);
    expect((await box.json(['status'])).result).toMatchObject({ saves: 1, fallbacks: 1 });
    expect(await box.json(['save'])).toMatchObject({ result: { outcome: 'unchanged', snapshot_id: saved.id } });
    expect(staged()).toEqual([]);
  });

  test('a second one on the same day holds critical files and databases alone, says so, and is not latest', async () => {
    await execute('sqlite3', [join(box.project, 'notes.db'), 'create table t(a)']);
    expect(await brokenCora(['save'])).toMatchObject({ code: 0 });
    writeFileSync(join(box.project, '.env'), 'SECRET=2\n');
    const second = await brokenCora(['save', '--json']);
    expect(second.code).toBe(3);
    const { result } = JSON.parse(second.stdout) as { result: { snapshot_id: string; path: string } };
    expect(result).toMatchObject({ kind: 'fallback', scope: 'critical', status: 'partial', changed: true });
    expect((await execute('tar', ['-tzf', join(result.path, 'checkpoint.tar.gz')])).stdout.split('\n').sort()).toEqual(['', './.env', './notes.db']);
    expect((await box.json(['show'])).result['snapshot_id']).not.toBe(result.snapshot_id);
    expect(await box.cora(['restore', result.snapshot_id, '--to', join(box.root, 'critical')])).toMatchObject({ code: 0 });
    expect(readFileSync(join(box.root, 'critical', '.env'), 'utf8')).toBe('SECRET=2\n');
    // Nothing changed: no third one.
    expect(JSON.parse((await brokenCora(['save', '--json'])).stdout)).toMatchObject({
      result: { outcome: 'unchanged', snapshot_id: result.snapshot_id },
    });
    expect(checkpoints()).toHaveLength(2);
    expect(await brokenCora(['save', '--if-older', '1h'])).toMatchObject({ code: 75 });
  });

  test('a database under write load is a consistent copy', async () => {
    const database = join(box.project, 'live.db');
    await execute('sqlite3', [database, 'pragma journal_mode=wal; create table a(n); create table b(n)']);
    const writer = spawn('sqlite3', [database], { stdio: ['pipe', 'ignore', 'ignore'] });
    writer.stdin.on('error', () => {});
    let stop = false;
    const feed = () => {
      if (!stop)
        writer.stdin.write(
          'begin; insert into a values (randomblob(500)); insert into b select n from a where rowid = last_insert_rowid(); commit;\n'.repeat(50),
          () => setImmediate(feed),
        );
    };
    feed();
    try {
      while (!existsSync(`${database}-wal`)) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await brokenCora(['save'])).toMatchObject({ code: 0 });
    } finally {
      stop = true;
      const ended = new Promise((resolve) => writer.once('exit', resolve));
      writer.kill('SIGKILL');
      await ended;
    }
    const out = join(box.root, 'out');
    await box.cora(['restore', 'latest', 'live.db', '--to', out]);
    const check = 'select (select count(*) from a) = (select count(*) from b), (select count(*) from a) > 0; pragma integrity_check';
    expect((await execute('sqlite3', [join(out, 'live.db'), check])).stdout).toBe('1|1\nok\n');
  });

  test('without the sqlite3 program an open database is stored raw, with its -wal, and marked', async () => {
    const database = join(box.project, 'live.db');
    const holder = spawn('sqlite3', [database], { stdio: ['pipe', 'ignore', 'ignore'] });
    holder.stdin.write('pragma journal_mode=wal; create table a(n); insert into a values (1);\n');
    try {
      while (!existsSync(`${database}-wal`)) await new Promise((resolve) => setTimeout(resolve, 20));
      await new Promise((resolve) => setTimeout(resolve, 200));
      rmSync(join(path, 'sqlite3'));
      const run = await brokenCora(['save', '--json']);
      expect(run.code).toBe(3);
      expect(JSON.parse(run.stdout)).toMatchObject({ problems: [{ code: 'db_raw', path: 'live.db', severity: 'error' }] });
    } finally {
      const ended = new Promise((resolve) => holder.once('exit', resolve));
      holder.kill('SIGKILL');
      await ended;
    }
    const out = join(box.root, 'out');
    expect(await box.restoreScript(['latest', out])).toMatchObject({ code: 0 });
    expect((await execute('sqlite3', [join(out, 'live.db'), 'select * from a'])).stdout).toBe('1\n');
  });

  test('a lock that is held is exit 11, and nothing is left', async () => {
    await brokenCora(['save']);
    const holder = spawn('flock', ['-x', join(box.vault, '.lock'), 'sleep', '20'], { stdio: 'ignore', detached: true });
    try {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const run = await brokenCora(['save', '--lock-wait', '1s', '-m', 'x']);
      expect(run.code).toBe(11);
      expect(run.stderr).toContain('Another Cora is working in this vault');
    } finally {
      if (holder.pid !== undefined) process.kill(-holder.pid, 'SIGKILL');
    }
    expect(checkpoints()).toHaveLength(1);
    expect(staged()).toEqual([]);
  });

  test('kill -9 in the middle leaves nothing visible, and the next run clears it away', async () => {
    await execute('sh', ['-c', 'head -c 25000000 /dev/urandom >big'], { cwd: box.project });
    const child = spawn(join(broken, 'bin', 'cora'), ['save'], {
      cwd: box.project,
      env: { PATH: path, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '' },
      stdio: 'ignore',
      detached: true,
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const archive = () =>
      existsSync(join(box.vault, '.stage')) && staged().some((name) => existsSync(join(box.vault, '.stage', name, 'snapshot', 'checkpoint.tar.gz')));
    while (!archive() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await ended;
    expect(staged()).not.toEqual([]);
    expect((await box.json(['list'])).result['total']).toBe(0);
    expect((await brokenCora(['save'])).code).toBe(0);
    expect(staged()).toEqual([]);
    expect((await box.json(['list'])).result['total']).toBe(1);
  });

  test('a checkpoint whose ledger line was lost in a crash is adopted by the next run', async () => {
    await brokenCora(['save']);
    const chain = join(box.vault, 'ledger', 'chain.log');
    const line = readFileSync(chain, 'utf8');
    writeFileSync(chain, line.slice(0, 30));
    await box.snapshot(['save']);
    const [first, second] = readFileSync(chain, 'utf8').split('\n');
    expect(first).toMatch(/^1 fallback /);
    expect(first?.split(' ').slice(4)).toEqual(line.trimEnd().split(' ').slice(4));
    expect(second).toMatch(/^2 save /);
  });

  test('a directory that is no vault, or another project’s, is exit 10', async () => {
    mkdirSync(box.vault);
    expect((await brokenCora(['save'])).code).toBe(10);
    expect(readdirSync(box.vault)).toEqual([]);
    rmSync(box.vault, { recursive: true });
    await box.snapshot(['save']);
    const other = join(box.root, 'other');
    mkdirSync(other);
    const env = { PATH: path, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '' };
    expect((await execute(join(broken, 'bin', 'cora'), ['save'], { cwd: other, env })).code).toBe(10);
  });

  test.skipIf(!isRoot)('a disk without room for twice the size ends with 1, or with critical files alone', async () => {
    const disk = join(box.root, 'disk');
    mkdirSync(disk);
    expect(await execute('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk])).toMatchObject({ code: 0 });
    try {
      const env = { CORA_VAULT: join(disk, 'vault') };
      writeFileSync(join(box.project, 'big.bin'), Buffer.alloc(6 << 20, 1));
      const part = await brokenCora(['save'], env);
      expect(part.code).toBe(3);
      expect(part.stderr).toContain('not twice its size');
      writeFileSync(join(box.project, '.env'), Buffer.alloc(6 << 20, 1));
      const none = await brokenCora(['save'], env);
      expect(none.code).toBe(1);
      expect(none.stderr).toContain('Not enough space');
      expect(readdirSync(join(disk, 'vault', '.stage')).filter((name) => name.startsWith('run-'))).toEqual([]);
    } finally {
      await execute('umount', [disk]);
    }
  });

  test('a critical file that is gone or halved makes it SUSPECT, and so not latest', async () => {
    writeFileSync(join(box.project, 'AI_WORK_LOG.md'), 'a line\n'.repeat(100));
    writeFileSync(join(box.project, 'own.txt'), 'critical by configuration');
    writeFileSync(join(box.project, 'cora.toml'), '[critical]\npatterns = ["own.txt", ".env*", "*.md"]\n');
    const good = await box.snapshot(['save']);
    rmSync(join(box.project, '.env'));
    writeFileSync(join(box.project, 'AI_WORK_LOG.md'), 'a line\n');
    const run = await brokenCora(['save', '--json']);
    expect(run.code).toBe(3);
    const { problems, result } = JSON.parse(run.stdout) as Document & { result: { snapshot_id: string } };
    expect(result['status']).toBe('suspect');
    expect(problems.map(({ code, path: name }) => `${code} ${name}`).sort()).toEqual(['lost .env', 'lost AI_WORK_LOG.md']);
    expect((await box.json(['show'])).result['snapshot_id']).toBe(good.id);
    expect(await box.cora(['list'])).toMatchObject({ code: 0, stdout: expect.stringContaining('SUSPECT') });
    expect(await box.cora(['show', result.snapshot_id])).toMatchObject({ code: 0 });
  });

  test('a project that is empty now and has a history is refused', async () => {
    await box.snapshot(['save']);
    rmSync(join(box.project, 'one.txt'));
    rmSync(join(box.project, '.env'));
    expect((await brokenCora(['save'])).code).toBe(20);
    expect(checkpoints()).toEqual([]);
  });

  test('under busybox, with options that only the engine knows', async () => {
    const env = { PATH: path, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '', CORA_FALLBACK: '1' };
    const busybox = findProgram('busybox');
    const [shell, first] = busybox === undefined ? ['sh', []] : [busybox, ['sh']];
    const run = await execute(shell, [...first, join(broken, 'scripts', 'save.sh'), 'save', '--not-known-yet', '-vvv'], { cwd: box.project, env });
    expect(run).toMatchObject({ code: 0 });
    expect(run.stderr).toContain('--not-known-yet is passed over');
  });

  test.skipIf(noUser !== undefined)(
    `an ordinary user has a vault of their own, and what they may not read is named${noUser === undefined ? '' : ` (skipped: ${noUser})`}`,
    async () => {
      const user = new Sandbox({ nobody: true });
      try {
        for (const name of ['readable', 'private']) writeFileSync(join(user.project, name), name);
        user.own(join(user.project, 'readable'));
        chmodSync(join(user.project, 'private'), 0o600);
        const command = ['sh', join(repository, 'scripts', 'save.sh'), '--json'];
        const drop = isRoot ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] : [];
        const [program = '', ...args] = [...drop, ...command];
        const all = { PATH: process.env['PATH'], HOME: user.home, CORA_LOG: '', CORA_FALLBACK: '1' };
        const own = await execute(program, args, { cwd: user.project, env: all });
        const document = JSON.parse(own.stdout) as Document;
        expect(document.result['path']).toContain(`${user.home}/.local/state/cora/project/progress/`);
        expect(document.result['total_files_processed']).toBe(isRoot ? 1 : 2);
        expect(document.problems.map(({ code, path: name }) => `${code} ${name}`)).toEqual(isRoot ? ['unreadable private'] : []);
        expect(own.code).toBe(isRoot ? 3 : 0);
      } finally {
        await user.remove();
      }
    },
  );

  test.skipIf(!isRoot)('wherever the inodes of the disk end, or where it is read-only, it fails with a sentence and nothing is visible', async () => {
    for (const name of ['a.db', 'b.db', 'c.db']) await execute('sqlite3', [join(box.project, name), 'create table t(a)']);
    const disk = join(box.root, 'disk');
    mkdirSync(disk);
    const env = { CORA_VAULT: join(disk, 'vault') };
    for (const inodes of [8, 14, 18, 22, 26, 29]) {
      await execute('mount', ['-t', 'tmpfs', '-o', `size=8m,nr_inodes=${inodes}`, 'tmpfs', disk]);
      try {
        const run = await brokenCora(['save'], env);
        expect(run.code).toBe(1);
        expect(run.stderr).toMatch(/^(?:.*\n)*cora: .*(?:Cannot|No space|could not|cannot be read)/);
        expect(existsSync(join(disk, 'vault')) ? readdirSync(join(disk, 'vault', 'progress')) : []).toEqual([]);
      } finally {
        await execute('umount', [disk]);
      }
    }
    await execute('mount', ['-t', 'tmpfs', 'tmpfs', disk]);
    try {
      expect((await brokenCora(['save'], env)).code).toBe(0);
      await execute('mount', ['-o', 'remount,ro', disk]);
      const run = await brokenCora(['save'], env);
      expect(run.code).toBe(1);
      expect(run.stderr).toContain('read-only');
    } finally {
      await execute('umount', [disk]);
    }
  });

  test('other commands say in one sentence what is missing', async () => {
    const run = await brokenCora(['list']);
    expect(run).toMatchObject({ code: 70, stdout: '' });
    expect(run.stderr).toMatch(/^cora: no Node was found: /);
    expect(checkpoints()).toEqual([]);
  });
});

describe.skipIf(lacking !== '')(`a broken engine${lacking}`, () => {
  /** The tree of this clone with one thing broken. */
  function tree(breakIt: (root: string) => void): (args: readonly string[]) => Promise<Run> {
    mkdirSync(join(broken, 'node_modules', 'better-sqlite3'), { recursive: true });
    const here = process.arch === 'arm64' ? 'arm64' : 'x64';
    mkdirSync(join(broken, 'node_modules', `node-linux-${here}`, 'bin'), { recursive: true });
    symlinkSync(process.execPath, join(broken, 'node_modules', `node-linux-${here}`, 'bin', 'node'));
    rmSync(join(broken, 'node_modules', 'better-sqlite3'), { recursive: true });
    symlinkSync(join(repository, 'node_modules', 'better-sqlite3'), join(broken, 'node_modules', 'better-sqlite3'));
    breakIt(broken);
    return brokenCora;
  }
  const node = () => join(broken, 'node_modules', `node-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}`, 'bin', 'node');

  test.each<readonly [string, (root: string) => void]>([
    ['dist/main.js is missing', (root) => rmSync(join(root, 'dist'), { recursive: true })],
    ['dist/cli.js is missing', (root) => rmSync(join(root, 'dist/cli.js'))],
    [
      'the carried Node does not start',
      () => {
        rmSync(node());
        copyFileSync('/bin/false', node());
        chmodSync(node(), 0o755);
      },
    ],
    ['the SQLite module is missing', (root) => rmSync(join(root, 'node_modules', 'better-sqlite3'))],
    [
      'the SQLite module has no binary',
      (root) => {
        rmSync(join(root, 'node_modules', 'better-sqlite3'));
        cpSync(join(repository, 'node_modules', 'better-sqlite3'), join(root, 'node_modules', 'better-sqlite3'), {
          recursive: true,
          filter: (from) => !from.endsWith('.node'),
        });
      },
    ],
  ])('%s: a save is a checkpoint', async (_what, breakIt) => {
    await execute('sqlite3', [join(box.project, 'notes.db'), 'create table t(a)']);
    const run = await tree(breakIt)(['save']);
    expect(run.stderr).toContain('this is a plain tar checkpoint made without the engine');
    expect(run.code).toBe(0);
    expect(checkpoints()).toHaveLength(1);
    expect(staged()).toEqual([]);
  });

  test('nothing broken: save.sh lets the engine save', async () => {
    tree(() => {});
    const env = { PATH: path, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '' };
    const run = await execute(join(broken, 'scripts', 'save.sh'), ['-m', 'by hand'], { cwd: box.project, env });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect((await box.json(['list'])).result['snapshots']).toMatchObject([{ kinds: ['save'], note: 'by hand' }]);
  });
});
