// What a save does where nothing changed, and what counts as a change: no unchanged file is opened,
// whatever its kind; times of directories alone are nothing; what could hide a change is read again.

import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { test } from 'vitest';
import { compareTrees, readTree } from './helpers/compare-trees.ts';
import { sh } from './support/run-cora.ts';
import { Sandbox } from './support/sandbox.ts';
import { canTrace, traceCora } from './support/trace-opens.ts';

type Project = { readonly sandbox: Sandbox; readonly at: (path: string) => string };

/** Files of every kind that a save keeps. The tests of this file wait more than they work, so they run side by side. */
function makeProject(afterwards: (work: () => Promise<void>) => void): Project {
  const sandbox = new Sandbox({ fast: true });
  afterwards(() => sandbox.remove());
  const at = (path: string): string => join(sandbox.project, path);
  for (let n = 0; n < 200; n++) {
    mkdirSync(at(`d${n % 10}/e`), { recursive: true });
    writeFileSync(at(`d${n % 10}/e/f${n}.txt`), `file ${n}\n`.repeat(20));
  }
  writeFileSync(at('big.bin'), Buffer.alloc(3_000_001, 'cora'));
  writeFileSync(at('.env'), 'KEY=value\n');
  writeFileSync(at('app.log'), 'line\n'.repeat(1000));
  linkSync(at('big.bin'), at('d0/hard.bin'));
  symlinkSync('../nowhere', at('link'));
  const sparse = openSync(at('sparse.img'), 'w');
  ftruncateSync(sparse, 2 << 20);
  closeSync(sparse);
  sh('mkfifo pipe', sandbox.project);
  sh('git init -q . && git -c user.name=t -c user.email=t@example.org commit -q --allow-empty -m first', sandbox.project);
  for (const [name, mode] of [
    ['small.db', 'delete'],
    ['idle.db', 'wal'],
  ] as const) {
    const db = new Database(at(name));
    db.pragma(`journal_mode = ${mode}`);
    db.exec('CREATE TABLE t (n)');
    if (name === 'idle.db')
      db.exec('WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) INSERT INTO t SELECT zeroblob(1000) FROM c');
    db.close();
  }
  return { sandbox, at };
}

/** From then on what was written before is trusted without a look. */
function waitOutRacy(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2100));
}

function saves(sandbox: Sandbox): string[] {
  return sh('find progress -name SHA256SUMS.txt | sort', sandbox.vault).trim().split('\n');
}

function lastLine(sandbox: Sandbox): string[] {
  return (readFileSync(join(sandbox.vault, 'ledger/chain.log'), 'utf8').trim().split('\n').at(-1) ?? '').split(' ');
}

test.skipIf(!canTrace)(
  'a save with nothing changed opens no file of any kind, a database that is in use included (needs strace)',
  { concurrent: true },
  async ({ expect, onTestFinished }) => {
    const { sandbox, at } = makeProject(onTestFinished);
    const open = new Database(at('open.db'));
    try {
      open.pragma('journal_mode = wal');
      open.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)');
      await waitOutRacy();
      const first = await sandbox.snapshot(['save']);
      const before = saves(sandbox);
      const run = await traceCora(sandbox, ['save', '--json']);
      expect([run.code, run.opened.filter((path) => !path.startsWith('.git/'))]).toEqual([0, []]);
      expect((JSON.parse(run.stdout) as { result: object }).result).toMatchObject({ outcome: 'unchanged', changed: false, snapshot_id: first.id });
      expect(saves(sandbox)).toEqual(before);
      expect(lastLine(sandbox)).toMatchObject({ 1: 'unchanged', 2: first.id, 5: '-' });
      // One changed file is the only one that is opened.
      writeFileSync(at('d3/e/f3.txt'), 'changed\n');
      const changed = await traceCora(sandbox, ['save', '--json']);
      expect([changed.code, new Set(changed.opened.filter((path) => !path.startsWith('.git/')))]).toEqual([0, new Set(['d3/e/f3.txt'])]);
      expect(readdirSync(join(sandbox.vault, '.stage')).filter((name) => name.startsWith('run-'))).toEqual([]);
    } finally {
      open.close();
    }
  },
);

test.skipIf(!canTrace)(
  'a file that changed within two seconds of the save is read again, and once only (needs strace)',
  { concurrent: true },
  async ({ expect, onTestFinished }) => {
    const { sandbox, at } = makeProject(onTestFinished);
    await waitOutRacy();
    writeFileSync(at('d1/e/f1.txt'), 'just now\n');
    await sandbox.snapshot(['save']);
    const before = saves(sandbox);
    const opens = async (): Promise<string[]> => {
      const run = await traceCora(sandbox, ['save', '--json']);
      expect([run.code, (JSON.parse(run.stdout) as { result: { outcome: string } }).result.outcome]).toEqual([0, 'unchanged']);
      return [...new Set(run.opened.filter((path) => !path.startsWith('.git/')))];
    };
    await waitOutRacy();
    expect(await opens()).toEqual(['d1/e/f1.txt']);
    expect(await opens()).toEqual([]);
    expect(saves(sandbox)).toEqual(before);
  },
);

test.concurrent('with a note an unchanged project gets a point of its own, which restores and holds no objects', async ({
  expect,
  onTestFinished,
}) => {
  const { sandbox } = makeProject(onTestFinished);
  await sandbox.snapshot(['save']);
  const noted = await sandbox.snapshot(['save', '-m', 'before the migration']);
  expect(saves(sandbox)).toHaveLength(2);
  expect(readdirSync(noted.path).sort()).toEqual(['DELTA.tsv.zst', 'MANIFEST.txt', 'REPORT.json', 'SHA256SUMS.txt']);
  // The next one without a note finds that point, and makes none.
  expect((await sandbox.json(['save'])).result).toMatchObject({ outcome: 'unchanged', snapshot_id: noted.id });
  expect(saves(sandbox)).toHaveLength(2);
  for (const [name, to] of [
    ['before the migration', 'by-note'],
    [noted.id, 'by-id'],
  ] as const) {
    const target = join(sandbox.root, to);
    // Each look at an idle WAL database makes and removes a -wal beside it, later than the scan.
    const aside = (difference: string): boolean => !difference.startsWith('.: mtime');
    const run = await sandbox.cora(['restore', name, '--to', target]);
    expect([run.code, run.stderr.includes('error')]).toEqual([0, false]);
    const skip = (path: string): boolean => path === '.git' || path.endsWith('.db');
    expect(compareTrees(readTree(sandbox.project, { skip }), readTree(target, { skip }), { ignore: ['blocks'] }).filter(aside)).toEqual([]);
  }
});

test.concurrent("a directory's own times are no change; times, mode, name and presence of what is in it are", async ({ expect, onTestFinished }) => {
  const { sandbox, at } = makeProject(onTestFinished);
  let last = (await sandbox.snapshot(['save'])).id;
  const outcome = async (): Promise<unknown> => {
    const { code, result } = await sandbox.json(['save']);
    expect([code, result['outcome'] === 'unchanged' ? result['snapshot_id'] : 'new']).toEqual([0, result['outcome'] === 'unchanged' ? last : 'new']);
    last = String(result['snapshot_id']);
    return result['outcome'];
  };
  utimesSync(at('d1'), 1, 1);
  expect(await outcome()).toBe('unchanged');
  writeFileSync(at('d2/passing'), 'x');
  sh('rm d2/passing', sandbox.project);
  expect(await outcome()).toBe('unchanged');
  const changes: [string, () => void][] = [
    ['touched', () => utimesSync(at('d1/e/f1.txt'), 1_000_000_000, 1_000_000_000)],
    ['mode of a file', () => chmodSync(at('d1/e/f1.txt'), 0o600)],
    ['mode of a directory', () => chmodSync(at('d1'), 0o700)],
    ['empty file', () => writeFileSync(at('empty'), '')],
    ['empty directory', () => mkdirSync(at('nothing-in-it'))],
    ['rename', () => sh('mv empty renamed', sandbox.project)],
    ['target of a link', () => sh('ln -sfn elsewhere link', sandbox.project)],
    ['link taken away', () => sh('rm d0/hard.bin', sandbox.project)],
    ['empty directory gone', () => sh('rmdir nothing-in-it', sandbox.project)],
    ['file in place of a FIFO', () => sh('rm pipe; : > pipe', sandbox.project)],
    ['row of a database', () => new Database(at('small.db')).exec('INSERT INTO t VALUES (1)').close()],
  ];
  for (const [what, change] of changes) {
    change();
    expect([what, await outcome()]).toEqual([what, 'saved']);
    expect([what, await outcome()]).toEqual([what, 'unchanged']);
  }
  const target = join(sandbox.root, 'restored');
  expect((await sandbox.cora(['restore', 'latest', '--to', target])).code).toBe(0);
  const skip = (path: string): boolean => path === '.git' || path.endsWith('.db');
  // The times of the two directories that were left out above may be the older ones.
  const times = { ignore: ['mtime'] } as const;
  expect(compareTrees(readTree(sandbox.project, { skip }), readTree(target, { skip }), times)).toEqual([]);
});

test.concurrent('what could not be saved is said by every save, also where nothing changed since', async ({ expect, onTestFinished }) => {
  const { sandbox, at } = makeProject(onTestFinished);
  const damaged = readFileSync(at('idle.db'));
  damaged.fill(0x5a, 4096, 40_000);
  writeFileSync(at('damaged.db'), damaged);
  await waitOutRacy();
  const said = async (args: readonly string[]): Promise<unknown> => {
    const { code, problems } = await sandbox.json(args);
    return [code, problems.map((problem) => [problem.code, problem.path])];
  };
  expect(await said(['save'])).toEqual([3, [['db_corrupt', 'damaged.db']]]);
  expect(await said(['save'])).toEqual([3, [['db_corrupt', 'damaged.db']]]);
  expect(await said(['backup', 'now'])).toEqual([3, [['db_corrupt', 'damaged.db']]]);
  const { snapshots } = (await sandbox.json(['list'])).result as { snapshots: { kinds: string[]; status: string }[] };
  expect(snapshots.map(({ status }) => status)).toEqual(snapshots.map(() => 'partial'));
});
