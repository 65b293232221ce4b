// The loss watch where it is easily wrong: what it cannot look at, what a restore or a new rule explains,
// odd names, caches and reports that are gone, and commands pasted where nothing is set.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sh } from './support/run-cora.ts';
import { execute, Sandbox, whyNotNobody } from './support/sandbox.ts';

const CORA = join(import.meta.dirname, '../bin/cora');
const LOG = 'AI_WORK_LOG.md';
const LINES = Array.from({ length: 200 }, (_, n) => `line ${n}\n`).join('');
let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
});
afterEach(() => sandbox.remove());

type Loss = { readonly path: string; readonly kind: string; readonly last_good: string; readonly restore: string; readonly accept: string };

const at = (path: string) => join(sandbox.project, path);
const lost = async () => (await sandbox.json(['lost'])).result['losses'] as Loss[];

/** A save's exit code and status, and what it lost. */
async function save(...args: string[]): Promise<[number | null, unknown, string[]]> {
  const { code, result } = await sandbox.json(['save', ...args]);
  return [code, result['status'] ?? result['outcome'], (result['losses'] as Loss[]).map(({ path, kind }) => `${path} ${kind}`)];
}

const good = (status = 'complete') => [0, status, []];

/** Neither a vault's name nor a project is known there: all that a pasted command has is PATH. */
function paste(command: string) {
  const bin = join(sandbox.root, 'bin');
  if (!existsSync(bin)) {
    mkdirSync(bin);
    symlinkSync(CORA, join(bin, 'cora'));
  }
  return execute('/bin/sh', ['-c', command], { cwd: '/', env: { PATH: `${bin}:/usr/bin:/bin`, HOME: sandbox.home, CORA_LOG: '' } });
}

function makeDatabase(name: string, rows: number): void {
  const db = new Database(at(name));
  db.pragma('journal_mode = WAL');
  db.exec(`CREATE TABLE t (n); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${rows}) INSERT INTO t SELECT n FROM c`);
  db.close();
}

function rowsOf(name: string): unknown {
  const db = new Database(at(name), { readonly: true });
  try {
    return [db.prepare('SELECT count(*) FROM t').pluck().get(), db.pragma('integrity_check', { simple: true })];
  } finally {
    db.close();
  }
}

test('a restore answers for what it brought back, and for nothing else', async () => {
  writeFileSync(at(LOG), LINES.slice(0, 100));
  writeFileSync(at('.env'), LINES);
  for (let n = 0; n < 120; n++) writeFileSync(at(`f${n}.txt`), `${n}\n`);
  const small = await sandbox.snapshot(['save']);
  writeFileSync(at(LOG), LINES);
  expect(await save()).toEqual(good());
  // An older and smaller one in place of what was deleted is what a person wanted.
  rmSync(at(LOG));
  expect((await sandbox.cora(['restore', small.id, '--yes', '--', LOG])).code).toBe(0);
  expect(await save()).toEqual(good());
  // What is lost after the restore, and before the next save, is lost.
  writeFileSync(at(LOG), LINES);
  expect(await save()).toEqual(good());
  expect((await sandbox.cora(['restore', small.id, '--yes', '--', LOG])).code).toBe(0);
  rmSync(at(LOG));
  expect(await save()).toEqual([3, 'suspect', [`${LOG} gone`]]);
  expect(await save()).toEqual([3, 'unchanged', [`${LOG} gone`]]);
  // A restore of other files, many or critical, leaves the loss standing.
  for (let n = 0; n < 120; n++) writeFileSync(at(`f${n}.txt`), `changed ${n}\n`);
  truncateSync(at('.env'), 10);
  const rest = readdirSync(sandbox.project).filter((name) => name !== '.cora-restore');
  expect((await sandbox.cora(['restore', small.id, '--yes', '--', ...rest])).code).toBe(0);
  expect((await lost()).map(({ path }) => path)).toEqual([LOG]);
  expect((await save())[2]).toEqual([`${LOG} gone`]);
});

test('to take a restore back accepts no loss: what it had brought back is missed again, until a person says so', async () => {
  writeFileSync(at(LOG), LINES);
  makeDatabase('app.db', 100);
  const { id } = await sandbox.snapshot(['save']);
  const db = new Database(at('app.db'));
  db.exec('DELETE FROM t WHERE n > 50');
  db.close();
  writeFileSync(at(LOG), '');
  const both = [3, 'suspect', [`${LOG} emptied`, 'app.db rows']];
  expect(await save()).toEqual(both);
  expect((await sandbox.cora(['restore', id, '--yes', '--live'])).code).toBe(0);
  expect([rowsOf('app.db'), await save()]).toEqual([[100, 'ok'], good()]);
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--live'])).code).toBe(0);
  expect([rowsOf('app.db'), await save()]).toEqual([[50, 'ok'], both]);
  // Without a save in between, too.
  expect((await sandbox.cora(['restore', id, '--yes', '--live'])).code).toBe(0);
  expect((await sandbox.cora(['restore', '--undo', '--yes', '--live'])).code).toBe(0);
  expect(await save()).toEqual(both);
});

test('a rotation answers for its cut, and for nothing that happens after it', async () => {
  writeFileSync(at('cora.toml'), '[rotate]\nmax_lines = 50\n');
  writeFileSync(at(LOG), LINES);
  expect(await save()).toEqual(good());
  expect((await sandbox.cora(['rotate', LOG])).code).toBe(0);
  expect(readFileSync(at(LOG)).length * 2).toBeLessThan(LINES.length);
  expect(await save()).toEqual(good());
  writeFileSync(at(LOG), LINES);
  expect(await save()).toEqual(good());
  expect((await sandbox.cora(['rotate', LOG])).code).toBe(0);
  rmSync(at(LOG));
  expect(await save()).toEqual([3, 'suspect', [`${LOG} gone`]]);
});

test('a database that is damaged for a while, or overwritten, is compared with its last good rows', async () => {
  makeDatabase('app.db', 1000);
  const first = await sandbox.snapshot(['save']);
  const sound = readFileSync(at('app.db'));
  const damaged = Buffer.from(sound);
  damaged.fill('garbage', 4096, 6000);
  writeFileSync(at('app.db'), damaged);
  expect(await save()).toEqual([3, 'partial', []]);
  // Without the cache, what the last save could not count is known from the one before.
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  rmSync(at('app.db'));
  makeDatabase('app.db', 1);
  expect(await save()).toEqual([3, 'suspect', ['app.db rows']]);
  writeFileSync(at('app.db'), 'no database at all\n'.repeat(2000));
  expect((await save())[2]).toEqual(['app.db rows']);
  truncateSync(at('app.db'), 0);
  expect((await save())[2]).toEqual(['app.db emptied']);
  const [loss] = await lost();
  expect(loss?.last_good).toBe(first.id);
  expect((await paste(loss?.restore ?? 'false')).code).toBe(0);
  expect(rowsOf('app.db')).toEqual([1000, 'ok']);
  expect(await save()).toEqual(good());
});

test('a deleted database comes back beside a -wal of its own, and while a program keeps it open', async () => {
  makeDatabase('app.db', 100);
  await sandbox.snapshot(['save']);
  const writer = "const D=require('better-sqlite3');const d=new D(process.argv[1]);d.pragma('wal_autocheckpoint=0');d.exec('DELETE FROM t');";
  sh(`${process.execPath} -e "${writer}process.kill(process.pid,'SIGKILL')" ${at('app.db')} || true`, join(import.meta.dirname, '..'));
  expect(existsSync(at('app.db-wal'))).toBe(true);
  rmSync(at('app.db'));
  expect((await save())[2]).toEqual(['app.db gone']);
  const [loss] = await lost();
  expect(await paste(loss?.restore ?? 'false')).toMatchObject({ code: 0, stderr: '' });
  expect(rowsOf('app.db')).toEqual([100, 'ok']);
  expect(await save()).toEqual(good());
  expect(readdirSync(at('.cora-restore')).length).toBeGreaterThan(1);
  // A program that keeps the database open, the change in its -wal alone.
  const db = new Database(at('app.db'));
  try {
    db.pragma('wal_autocheckpoint = 0');
    db.exec('DELETE FROM t');
    expect((await save())[2]).toEqual(['app.db rows']);
    expect((await paste((await lost())[0]?.restore ?? 'false')).code).toBe(0);
    expect(rowsOf('app.db')).toEqual([100, 'ok']);
  } finally {
    db.close();
  }
  expect(await save()).toEqual(good());
});

test('names of any bytes: no false alarm without the cache, and commands that work when pasted', async () => {
  const names = ['-dash.md', 'new\nline.md', 'uni ü$(x)`y`"z".md', "quote's.md", '100%.md', 'bell\x07\x1b[31m.md'].map((name) => Buffer.from(name));
  names.push(Buffer.from('raw\xff\\.md', 'latin1'));
  const path = (name: Buffer) => Buffer.concat([Buffer.from(`${sandbox.project}/`), name]);
  writeFileSync(at('cora.toml'), '[critical]\npatterns = ["*.md"]\n');
  for (const name of names) writeFileSync(path(name), Buffer.concat([name, Buffer.from(LINES)]));
  expect(await save()).toEqual(good());
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  writeFileSync(at('other.txt'), 'other\n');
  expect(await save()).toEqual(good());
  for (const name of names) rmSync(path(name));
  expect((await save())[2]).toHaveLength(names.length);
  const losses = await lost();
  // In a terminal the commands have no byte that it would act on, so they can be copied from there.
  const shown = (await sandbox.cora(['lost'])).stdout;
  for (const { restore, accept } of losses) {
    expect(shown).toContain(restore);
    expect(shown).toContain(accept);
    expect(await paste(restore)).toMatchObject({ code: 0, stderr: '' });
  }
  for (const name of names) expect(readFileSync(path(name)).subarray(0, name.length)).toEqual(name);
  expect(await save()).toEqual(good());
  for (const name of names) rmSync(path(name));
  await save();
  // A dash, a printed newline, and bytes that are no text: one of each kind of word.
  const meant = losses.filter(({ path }) => /^-dash|^new|^raw/.test(path));
  expect(meant).toHaveLength(3);
  for (const { accept } of meant) {
    const command = accept.replace('cora ', `${CORA} `);
    const run = await paste(`cd '${sandbox.project}' && { sleep 0.3; echo y; } | script -qec ${quoted(command)} /dev/null`);
    expect(run.stdout).toContain('Accepted: 1 loss');
  }
  expect((await lost()).map(({ path }) => path).toSorted()).toEqual(
    losses
      .filter((loss) => !meant.includes(loss))
      .map(({ path }) => path)
      .toSorted(),
  );
});

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

test('rules and names that are no loss; a report that is damaged hides none', async () => {
  writeFileSync(at('cora.toml'), '[critical]\npatterns = ["*.md"]\n');
  writeFileSync(at('old.md'), LINES);
  writeFileSync(at('kept.md'), LINES);
  writeFileSync(at('constructor'), 'not critical\n');
  expect(await save()).toEqual(good());
  writeFileSync(at('cora.toml'), '[critical]\npatterns = ["kept.md"]\n');
  expect(await save()).toEqual(good());
  rmSync(at('old.md'));
  rmSync(at('constructor'));
  const last = await sandbox.snapshot(['save']);
  expect(await lost()).toEqual([]);
  writeFileSync(join(last.path, 'REPORT.json'), '{');
  rmSync(join(sandbox.vault, '.cache'), { recursive: true });
  rmSync(at('kept.md'));
  expect(await save()).toEqual([3, 'suspect', ['kept.md gone']]);
});

test('a loss that stands: --if-older and status say it, one backup of it is enough, an id accepts it', async () => {
  writeFileSync(at(LOG), LINES);
  writeFileSync(at('a.txt'), 'a\n');
  const before = await sandbox.snapshot(['save']);
  rmSync(at(LOG));
  const marked = await sandbox.snapshot(['save'], 3);
  expect(await save('--if-older', '1h')).toEqual([3, 'recent', [`${LOG} gone`]]);
  const outcomes: unknown[] = [];
  for (let n = 0; n < 2; n++) {
    const { code, result } = await sandbox.json(['backup', 'auto']);
    outcomes.push([code, result['outcome'], (result['losses'] as Loss[]).length]);
  }
  expect(outcomes).toEqual([
    [3, 'made', 1],
    [3, 'not_needed', 1],
  ]);
  const suspect = await sandbox.cora(['restore', marked.id, '--to', join(sandbox.root, 'out')]);
  expect([suspect.code, suspect.stderr]).toEqual([0, expect.stringContaining('is SUSPECT')]);
  const status = await sandbox.json(['status']);
  expect([(status.result['losses'] as Loss[]).map(({ path }) => path), status.result['frozen']]).toEqual([[LOG], true]);
  writeFileSync(at('a.txt'), 'b\n');
  expect((await save())[2]).toEqual([`${LOG} gone`]);
  // The id of any save that is marked for it, also an earlier one; a good one stands for no loss.
  const accept = (id: string) =>
    paste(`cd ${sandbox.project} && { sleep 0.3; echo y; } | script -qec '${CORA} lost --vault ${sandbox.vault} --accept ${id}' /dev/null`);
  expect((await accept(before.id)).stdout).toContain(`No loss of ${before.id} is known`);
  expect((await accept(marked.id)).stdout).toContain('Accepted: 1 loss');
  expect(await save()).toEqual(good('unchanged'));
  const after = await sandbox.json(['status']);
  expect([after.result['losses'], after.result['frozen']]).toEqual([[], false]);
  // Now a good backup is due again.
  expect((await sandbox.json(['backup', 'auto'])).result).toMatchObject({ outcome: 'made', status: 'complete' });
  expect(await save('--if-older', '1h')).toEqual([75, 'recent', []]);
});

test.skipIf(whyNotNobody() !== undefined)('what cannot be read is no loss, and is not forgotten (as an ordinary user)', async () => {
  const own = new Sandbox({ nobody: true });
  const run = async () => {
    const { code, result, problems } = await own.json(['save']);
    return [code, result?.['status'], problems.map((problem) => `${problem.code} ${problem.path}`)];
  };
  const put = (path: string) => {
    writeFileSync(join(own.project, path), LINES);
    own.own(join(own.project, path));
  };
  const mode = (path: string, bits: string) => execute('chmod', [bits, join(own.project, path)]);
  try {
    mkdirSync(join(own.project, 'd'));
    own.own(join(own.project, 'd'));
    for (const path of [`d/${LOG}`, '.env', 'a.txt']) put(path);
    expect(await run()).toEqual([0, 'complete', []]);
    await mode('d', '000');
    await mode('.env', '000');
    expect(await run()).toEqual([3, 'partial', ['unreadable d', 'unreadable .env']]);
    await mode('.', '311');
    expect(await run()).toEqual([3, 'partial', ['unreadable .']]);
    for (const path of ['.', 'd', '.env']) await mode(path, '755');
    truncateSync(join(own.project, '.env'), 0);
    rmSync(join(own.project, `d/${LOG}`));
    expect(await run()).toEqual([3, 'suspect', ['lost .env', `lost d/${LOG}`]]);
  } finally {
    await own.remove();
  }
});
