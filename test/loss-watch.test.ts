// The loss watch: what was there and is gone is said by the next save with a command that, pasted into a
// shell, brings it back; what only looks like a loss is not.

import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lossOf, type Watched } from '../src/source/loss.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

const CORA = join(import.meta.dirname, '../bin/cora');
let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

type Loss = {
  readonly path: string;
  readonly kind: string;
  readonly before: number;
  readonly after: number;
  readonly last_good: string;
  readonly restore: string;
};

const at = (path: string) => join(sandbox.project, path);
const LOG = 'AI_WORK_LOG.md';
const LINES = Array.from({ length: 200 }, (_, n) => `line ${n}\n`).join('');

function makeDatabase(name: string, rows: number): void {
  const db = new Database(at(name));
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE IF NOT EXISTS agents (n, pad); CREATE TABLE IF NOT EXISTS other (n)');
  const insert = db.prepare('INSERT INTO agents VALUES (?, ?)');
  for (let n = 0; n < rows; n++) insert.run(n, 'x'.repeat(50));
  db.exec('INSERT INTO other SELECT n FROM agents LIMIT 20');
  db.close();
}

function sql(name: string, statement: string): unknown {
  const db = new Database(at(name));
  try {
    return db.prepare(statement).reader ? db.prepare(statement).pluck().get() : db.exec(statement);
  } finally {
    db.close();
  }
}

function shellEnv(): NodeJS.ProcessEnv {
  const bin = join(sandbox.root, 'bin');
  if (!existsSync(bin)) {
    mkdirSync(bin);
    symlinkSync(CORA, join(bin, 'cora'));
  }
  return { PATH: `${bin}:/usr/bin:/bin:/usr/sbin:/sbin`, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log') };
}

const paste = (command: string) => execute('/bin/sh', ['-c', command], { cwd: '/', env: shellEnv() });
/** A command at a terminal, its question answered. */
const answered = (command: string, answer: string) =>
  execute('/bin/sh', ['-c', `{ sleep 1; echo ${answer}; } | script -qec "${command}" /dev/null`], { cwd: sandbox.project, env: shellEnv() });
const lost = async () => (await sandbox.json(['lost'])).result['losses'] as Loss[];

/** The next save calls it SUSPECT, ends with 3 and says how it comes back; so does every later one. */
async function expectLoss(path: string, kind: string): Promise<Loss> {
  const { code, result, problems } = await sandbox.json(['save']);
  expect([code, result['status'], problems.map((problem) => [problem.code, problem.path])]).toEqual([3, 'suspect', [['lost', path]]]);
  const again = await sandbox.json(['save']);
  expect([again.code, again.result['outcome'], again.problems.map((problem) => problem.code)]).toEqual([3, 'unchanged', ['lost']]);
  const [loss] = await lost();
  if (loss === undefined) throw new Error('cora lost lists nothing');
  expect([loss.path, loss.kind]).toEqual([path, kind]);
  expect(problems[0]?.message).toContain(loss.restore);
  return loss;
}

async function expectGood(): Promise<void> {
  const { code, result, problems } = await sandbox.json(['save']);
  expect([code, problems]).toEqual([0, []]);
  if (result['outcome'] === 'saved') expect(result['status']).toBe('complete');
  const list = await sandbox.json(['lost']);
  expect([list.code, list.result['losses']]).toEqual([0, []]);
}

test.each([
  ['deleted', 'gone', (path: string) => rmSync(path)],
  ['emptied', 'emptied', (path: string) => truncateSync(path, 0)],
  ['halved', 'shrunk', (path: string) => truncateSync(path, LINES.length / 2)],
  [
    'replaced by a directory',
    'gone',
    (path: string) => {
      rmSync(path);
      mkdirSync(path);
    },
  ],
])('a memory file that was %s is reported, and comes back with the pasted command', async (_, kind, harm) => {
  writeFileSync(at(LOG), LINES);
  writeFileSync(at('a.txt'), 'a\n');
  const good = await sandbox.snapshot(['save']);
  harm(at(LOG));
  const loss = await expectLoss(LOG, kind);
  expect(loss.last_good).toBe(good.id);
  if (_ === 'replaced by a directory') rmSync(at(LOG), { recursive: true });
  const pasted = await paste(loss.restore);
  expect([pasted.code, pasted.stderr]).toEqual([0, '']);
  expect(readFileSync(at(LOG), 'utf8')).toBe(LINES);
  await expectGood();
});

test.each([
  ['DELETE FROM agents', 'rows'],
  ['DELETE FROM agents WHERE n >= 90', 'rows'],
  ['DROP TABLE other', 'table'],
  ['(the file is emptied)', 'emptied'],
])('%s in a live database is reported, and the rows come back', async (statement, kind) => {
  makeDatabase('app.db', 200);
  await sandbox.snapshot(['save']);
  if (statement.startsWith('(')) truncateSync(at('app.db'), 0);
  else sql('app.db', statement);
  const loss = await expectLoss('app.db', kind);
  const pasted = await paste(loss.restore);
  expect([pasted.code, pasted.stderr]).toEqual([0, '']);
  expect([sql('app.db', 'SELECT count(*) FROM agents'), sql('app.db', 'SELECT count(*) FROM other')]).toEqual([200, 20]);
  await expectGood();
  // What was left of it is not gone either.
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--live', '--confirm-service-stopped'])).code).toBe(2);
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--live'])).code).toBe(0);
  if (kind === 'rows') expect(sql('app.db', 'SELECT count(*) FROM agents')).toBeLessThan(100);
});

test('a deleted database comes back; names that a shell would take apart do too', async () => {
  const names = ["it's a $log.md", 'ü.db'];
  writeFileSync(at('cora.toml'), '[critical]\npatterns = ["*.md"]\n');
  writeFileSync(at(names[0] ?? ''), LINES);
  makeDatabase('ü.db', 30);
  await sandbox.snapshot(['save']);
  for (const name of names) rmSync(at(name));
  expect((await sandbox.json(['save'])).problems.map(({ path }) => path).toSorted()).toEqual(names.toSorted());
  for (const loss of await lost()) expect(await paste(loss.restore)).toMatchObject({ code: 0, stderr: '' });
  expect([readFileSync(at(names[0] ?? ''), 'utf8'), sql('ü.db', 'SELECT count(*) FROM agents')]).toEqual([LINES, 30]);
  await expectGood();
});

test('a suspect save is never the latest; backups of it are suspect too, and are not called good', async () => {
  writeFileSync(at(LOG), LINES);
  const good = await sandbox.snapshot(['backup', 'now']);
  rmSync(at(LOG));
  writeFileSync(at('b.txt'), 'b\n');
  const backup = await sandbox.json(['backup', 'now']);
  expect([backup.code, backup.result['status']]).toEqual([3, 'suspect']);
  const out = join(sandbox.root, 'out');
  expect((await sandbox.json(['restore', 'latest', '--to', out])).result['snapshot_id']).toBe(good.id);
  expect(existsSync(join(out, LOG))).toBe(true);
  const { result } = await sandbox.json(['status']);
  expect((result['last_backup'] as { ok: boolean }).ok).toBe(false);
  expect((result['warnings'] as { message: string; next: string }[]).filter(({ next }) => next === 'cora lost')).toHaveLength(1);
  expect((await sandbox.cora(['list'])).stdout).toContain('SUSPECT');
});

test('losing it in steps, or losing the cache, hides nothing', async () => {
  writeFileSync(at(LOG), LINES);
  writeFileSync(at('a.txt'), 'a\n');
  await sandbox.snapshot(['save']);
  truncateSync(at(LOG), LINES.length / 2);
  await expectLoss(LOG, 'shrunk');
  truncateSync(at(LOG), LINES.length / 2 - 10);
  expect((await sandbox.json(['save'])).code).toBe(3);
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  truncateSync(at(LOG), LINES.length / 2 - 20);
  const last = await sandbox.json(['save']);
  expect([last.code, (await lost())[0]?.before]).toEqual([3, LINES.length]);
  // At first without a cache at all: the report of the last save is the baseline.
  await paste((await lost())[0]?.restore ?? 'false');
  await expectGood();
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  rmSync(at(LOG));
  await expectLoss(LOG, 'gone');
});

test('a person accepts a loss at a terminal, nothing else does, and it is over', async () => {
  writeFileSync(at(LOG), LINES);
  makeDatabase('app.db', 100);
  await sandbox.snapshot(['save']);
  rmSync(at(LOG));
  sql('app.db', 'DELETE FROM agents');
  expect((await sandbox.json(['save'])).problems).toHaveLength(2);
  const refused = await sandbox.cora(['lost', '--accept', LOG, '--yes']);
  expect([refused.code, refused.stderr]).toEqual([20, expect.stringContaining('a person at a terminal')]);
  expect((await answered(`${CORA} lost --accept ${LOG}`, 'n')).stdout).toContain('No loss was accepted');
  expect(await lost()).toHaveLength(2);
  expect((await answered(`${CORA} lost --accept ${LOG}`, 'y')).stdout).toContain('Accepted: 1 loss');
  expect((await lost()).map(({ path }) => path)).toEqual(['app.db']);
  expect((await answered(`${CORA} lost --accept app.db`, 'y')).stdout).toContain('Accepted: 1 loss');
  await expectGood();
  // What comes later is watched again.
  writeFileSync(at(LOG), LINES);
  await expectGood();
  rmSync(at(LOG));
  await expectLoss(LOG, 'gone');
  expect((await answered(`${CORA} lost --accept no-such-file`, 'y')).stdout).toContain('No loss of no-such-file is known');
});

test.skipIf(!isRoot)('a project whose disk is not mounted: suspect, never the latest, and good again with the disk (needs root)', async () => {
  const away = join(sandbox.root, 'away');
  mkdirSync(away);
  try {
    expect((await execute('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'none', sandbox.project])).code).toBe(0);
    writeFileSync(at(LOG), LINES);
    writeFileSync(at('a.txt'), 'a\n');
    const good = await sandbox.snapshot(['save']);
    expect((await execute('mount', ['--move', sandbox.project, away])).code).toBe(0);
    const { code, problems } = await sandbox.json(['save']);
    expect([code, problems.map(({ path }) => path)]).toEqual([3, ['.', LOG]]);
    expect(problems[0]?.message).toContain('perhaps its disk is not mounted');
    const out = join(sandbox.root, 'out');
    expect((await sandbox.json(['restore', 'latest', '--to', out])).result['snapshot_id']).toBe(good.id);
    expect((await execute('mount', ['--move', away, sandbox.project])).code).toBe(0);
    await expectGood();
  } finally {
    // One of them is no mount.
    for (const path of [away, sandbox.project]) await execute('umount', [path]);
  }
});

test('what is no loss: growth, VACUUM, a checkpoint, other files, a rename by a new rule, a restore, a rotation', async () => {
  writeFileSync(at(LOG), LINES);
  writeFileSync(at('.env'), 'KEY=1\n');
  writeFileSync(at('notes.txt'), LINES);
  makeDatabase('app.db', 500);
  const first = await sandbox.snapshot(['save']);
  appendFileSync(at(LOG), LINES);
  sql('app.db', 'DELETE FROM agents WHERE n % 4 = 0');
  const db = new Database(at('app.db'));
  db.exec('VACUUM');
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  rmSync(at('notes.txt'));
  renameSync(at('.env'), at('env.txt'));
  const renamed = await sandbox.json(['save']);
  expect(renamed.problems.map(({ path }) => path)).toEqual(['.env']);
  renameSync(at('env.txt'), at('.env'));
  await expectGood();
  writeFileSync(at('cora.toml'), '[scan]\nexclude = ["/.env"]\n');
  await expectGood();
  expect((await sandbox.cora(['restore', first.id, LOG, '--yes'])).code).toBe(0);
  expect(readFileSync(at(LOG), 'utf8')).toBe(LINES);
  await expectGood();
  // As cora rotate writes it.
  const chain = join(sandbox.vault, 'ledger/chain.log');
  const { createHash } = await import('node:crypto');
  const lines = readFileSync(chain, 'utf8').trim().split('\n');
  const previous = createHash('sha256')
    .update(lines.at(-1) ?? '')
    .digest('hex');
  appendFileSync(chain, `${lines.length + 1} rotate ${first.id} ${new Date().toISOString()} ${previous} - ${LOG}\n`);
  truncateSync(at(LOG), 50);
  await expectGood();
});

test('the arithmetic of a loss', () => {
  const file = (size: number): Watched => ({ size, id: 'x' });
  const rows = (...counts: number[]): Watched => ({
    size: 1,
    database: true,
    tables: Object.fromEntries(counts.map((count, n) => [`t${n}`, count])),
    id: 'x',
  });
  expect(lossOf('f', file(100), file(51))).toBeUndefined();
  expect(lossOf('f', file(100), file(50))?.kind).toBe('shrunk');
  expect(lossOf('f', file(0), file(0))).toBeUndefined();
  expect(lossOf('f', file(0), undefined)?.kind).toBe('gone');
  expect(lossOf('.', file(100), file(10))).toBeUndefined();
  expect(lossOf('.', file(100), file(0))?.kind).toBe('emptied');
  expect(lossOf('d', rows(10, 10), rows(6, 5))).toBeUndefined();
  expect(lossOf('d', rows(10, 10), rows(5, 5))).toMatchObject({ kind: 'rows', before: 20, after: 10 });
  expect(lossOf('d', rows(100, 9), rows(100))).toBeUndefined();
  expect(lossOf('d', rows(100, 10), rows(100))).toMatchObject({ kind: 'table', table: 't1' });
  // A copy that could not be counted says nothing; what is no database any more does.
  expect(lossOf('d', rows(10), { size: 1, database: true })).toBeUndefined();
  expect(lossOf('d', rows(10), { size: 1 })?.kind).toBe('rows');
  expect(lossOf('d', rows(10), { size: 0 })?.kind).toBe('emptied');
  expect(lossOf('d', file(100), { size: 1, database: true })).toBeUndefined();
});

test('a vault that lost all but its backups names the newest of them and how it is read by hand', async () => {
  writeFileSync(at('a'), 'a');
  const { id } = await sandbox.snapshot(['backup', 'now']);
  for (const name of ['VAULT.json', 'README.txt', 'restore.sh', 'ledger', 'progress']) rmSync(join(sandbox.vault, name), { recursive: true });
  const refused = await sandbox.json(['list']);
  expect(refused.code).toBe(10);
  expect(JSON.stringify(refused)).toContain(`${sandbox.vault}/${id} run sha256sum -c SHA256SUMS.txt`);
});
