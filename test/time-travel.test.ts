// cora diff, log, find and cat by the real program, against what the snapshots' listings say and what the disk had.

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { openFile } from '../src/actions/cat.ts';
import { why } from '../src/actions/why.ts';
import { fromText, joinBytes } from '../src/base/bytes.ts';
import { type Context, SILENT } from '../src/base/context.ts';
import { whyDocument } from '../src/cli/render-why.ts';
import type { VaultLocation } from '../src/vault/locate.ts';
import { findProject } from '../src/vault/project.ts';
import { execute, Sandbox } from './support/sandbox.ts';

const boxes: Sandbox[] = [];
function sandbox(): Sandbox {
  const box = new Sandbox({ fast: true });
  boxes.push(box);
  return box;
}
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.remove();
});

/** For what is asked many times: the same functions that the program calls. */
async function inProcess(box: Sandbox) {
  const project = await findProject(fromText(box.project), undefined);
  const location: VaultLocation = { path: box.vault, source: 'explicit', expectedId: undefined, memory: undefined };
  const ctx: Context = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 30_000, version: 'test' };
  return { project, location, ctx };
}

type Row = Record<string, unknown>;
const rows = (value: unknown): Row[] => value as Row[];
const noise = (size: number, seed: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8) * seed + seed) & 255));

describe('log', () => {
  test('folds identical versions, and tells of deletion and return', async () => {
    const box = sandbox();
    const file = join(box.project, 'a.txt');
    writeFileSync(join(box.project, 'other'), 'x');
    writeFileSync(file, 'one');
    const first = await box.snapshot(['save', '-m', '1']);
    utimesSync(file, 1_000_000, 1_000_000);
    const second = await box.snapshot(['save', '-m', '2']);
    writeFileSync(file, 'three');
    const third = await box.snapshot(['save', '-m', '3']);
    rmSync(file);
    const fourth = await box.snapshot(['save', '-m', '4']);
    writeFileSync(file, 'one');
    const fifth = await box.snapshot(['save', '-m', '5']);

    const { code, result } = await box.json(['log', 'a.txt']);
    expect(code).toBe(0);
    expect(
      rows(result['versions']).map(({ first: a, last: b, snapshots, size, gone_in }) => [
        (a as Row)['snapshot_id'],
        (b as Row)['snapshot_id'],
        snapshots,
        size,
        gone_in,
      ]),
    ).toEqual([
      [first.id, second.id, 2, 3, null],
      [third.id, third.id, 1, 5, fourth.id],
      [fifth.id, fifth.id, 1, 3, null],
    ]);
    expect(result['present']).toBe(true);
    expect((await box.json(['log', 'never.txt'])).error.code).toBe('not_found');
  });

  test('a large file: pieces are its content, also between a backup and the saves around it, with or without the cache', async () => {
    const box = sandbox();
    const file = join(box.project, 'big.bin');
    writeFileSync(file, noise(1_500_000, 3));
    const first = await box.snapshot(['save']);
    writeFileSync(file, noise(1_500_000, 4));
    const second = await box.snapshot(['save']);
    const backup = await box.snapshot(['backup', 'now']);
    writeFileSync(join(box.project, 'more'), 'more');
    const third = await box.snapshot(['save']);
    const expected = [
      [first.id, first.id, 1],
      [second.id, third.id, 3],
    ];
    const seen = async () =>
      rows((await box.json(['log', 'big.bin'])).result['versions']).map(({ first: a, last: b, snapshots }) => [
        (a as Row)['snapshot_id'],
        (b as Row)['snapshot_id'],
        snapshots,
      ]);
    expect(backup.id).not.toBe(second.id);
    expect(await seen()).toEqual(expected);
    expect(await seen()).toEqual(expected);
    rmSync(join(box.vault, '.cache'), { recursive: true });
    expect(await seen()).toEqual(expected);
  });

  test('of a directory: which snapshots changed something below it', async () => {
    const box = sandbox();
    mkdirSync(join(box.project, 'src'));
    writeFileSync(join(box.project, 'src/a'), 'a');
    const first = await box.snapshot(['save']);
    writeFileSync(join(box.project, 'elsewhere'), 'x');
    await box.snapshot(['save']);
    renameSync(join(box.project, 'src/a'), join(box.project, 'src/b'));
    const third = await box.snapshot(['save']);
    const { result } = await box.json(['log', 'src/']);
    expect(rows(result['changes']).map(({ snapshot_id, created, changed, deleted }) => [snapshot_id, created, changed, deleted])).toEqual([
      [first.id, 1, 0, 0],
      [third.id, 1, 0, 1],
    ]);
  });
});

test('find: gone ones first, odd names exactly, and none of their control characters on a terminal', async () => {
  const box = sandbox();
  const odd = Buffer.from('esc\u001b[31m\n\tx\\.db', 'latin1');
  writeFileSync(Buffer.concat([Buffer.from(`${box.project}/`), odd]), '1');
  writeFileSync(Buffer.concat([Buffer.from(`${box.project}/`), Buffer.from([0xff, 0xfe, 0x2e, 0x64, 0x62])]), '2');
  mkdirSync(join(box.project, 'd'));
  writeFileSync(join(box.project, 'd/gone.db'), '3');
  writeFileSync(join(box.project, 'é.db'), '4');
  const first = await box.snapshot(['save']);
  rmSync(join(box.project, 'd'), { recursive: true });
  const second = await box.snapshot(['save']);
  const { result } = await box.json(['find', '*.db']);
  const found = rows(result['found']);
  expect(found.map(({ path, path_base64, gone, last_seen }) => [path_base64 ?? path, gone, (last_seen as Row)['snapshot_id']])).toEqual([
    ['d/gone.db', true, first.id],
    [odd.toString('latin1'), false, second.id],
    ['é.db', false, second.id],
    [Buffer.from([0xff, 0xfe, 0x2e, 0x64, 0x62]).toString('base64'), false, second.id],
  ]);
  expect(rows((await box.json(['find', '?.db'])).result['found']).map(({ path }) => path)).toEqual(['é.db']);
  expect(rows((await box.json(['find', 'd/**'])).result['found']).map(({ path }) => path)).toEqual(['d/gone.db']);
  const { stdout } = await box.cora(['find', '*.db']);
  expect(stdout).not.toMatch(/\u001b/);
  expect(stdout.split('\n')).toHaveLength(6);
});

describe('cat', () => {
  test('exact bytes of every kind of file, from a save and from a backup whose save is gone', async () => {
    const box = sandbox();
    const contents: Record<string, Buffer> = { empty: Buffer.alloc(0), small: noise(3000, 1), large: noise(2_300_001, 7) };
    for (const [name, content] of Object.entries(contents)) writeFileSync(join(box.project, name), content);
    linkSync(join(box.project, 'small'), join(box.project, 'twin'));
    symlinkSync('small', join(box.project, 'link'));
    const backup = await box.snapshot(['backup', 'now']);
    for (const name of Object.keys(contents)) writeFileSync(join(box.project, name), 'changed');
    await box.snapshot(['save']);
    const { project, location, ctx } = await inProcess(box);
    const check = async () => {
      for (const [name, content] of [...Object.entries(contents), ['twin', contents['small'] as Buffer] as const]) {
        const { file, close } = await openFile(location, backup.id, fromText(name), joinBytes(project.root, fromText(name)), ctx);
        const parts: Uint8Array[] = [];
        for await (const chunk of file.chunks()) parts.push(chunk);
        close();
        expect([name, Buffer.concat(parts).equals(content)]).toEqual([name, true]);
      }
    };
    await check();
    const { result } = await box.json(['show', backup.id]);
    const save = rows(result['forms']).find(({ kind }) => kind === 'save');
    if (save !== undefined) rmSync(save['path'] as string, { recursive: true });
    await check();
    const link = await box.json(['cat', backup.id, 'link']);
    expect([link.code, link.error.code]).toEqual([1, 'not_found']);
    expect((await box.json(['cat', 'latest:nothing'])).error.code).toBe('not_found');
  });

  test('bytes on stdout alone, relative to the project and seen from below it', async () => {
    const box = sandbox();
    mkdirSync(join(box.project, 'sub'));
    writeFileSync(join(box.project, 'sub/t'), 'tëxt\n');
    await box.snapshot(['save']);
    expect((await box.cora(['cat', 'latest', 'sub/t'])).stdout).toBe('tëxt\n');
    expect((await box.cora(['cat', 'latest:t'], { cwd: join(box.project, 'sub') })).stdout).toBe('tëxt\n');
  });
});

test('diff: what came, went and changed, between snapshots and against now; exit codes', async () => {
  const box = sandbox();
  const at = (name: string) => join(box.project, name);
  for (const name of ['keep', 'change', 'gone']) writeFileSync(at(name), name);
  writeFileSync(at('big'), noise(1_400_000, 1));
  const first = await box.snapshot(['save']);
  writeFileSync(at('change'), 'changed');
  rmSync(at('gone'));
  writeFileSync(at('new'), 'gone');
  const big = noise(1_400_000, 1);
  big[700_000] = (big[700_000] ?? 0) ^ 1;
  const { atime, mtime } = statSync(at('big'));
  writeFileSync(at('big'), big);
  utimesSync(at('big'), atime, mtime);
  const expected = [
    ['big', 'changed'],
    ['change', 'changed'],
    ['gone', 'deleted'],
    ['new', 'created'],
  ];
  const changes = (result: Row) => rows(result['files']).map(({ path, change }) => [path, change]);
  const live = await box.json(['diff', first.id]);
  expect([live.code, changes(live.result)]).toEqual([0, expected]);
  const second = await box.snapshot(['save']);
  expect(changes((await box.json(['diff', first.id, second.id])).result)).toEqual(expected);
  expect(rows(live.result['files']).map((file) => file['renamed_from'])).toEqual([undefined, undefined, undefined, 'gone']);
  expect(changes((await box.json(['diff', second.id, first.id])).result)).toEqual(
    expected.map(([path, change]) => [path, change === 'deleted' ? 'created' : change === 'created' ? 'deleted' : change]),
  );
  expect((await box.cora(['diff', first.id, second.id, '--exit-code'])).code).toBe(1);
  const same = await box.json(['diff', '--exit-code']);
  expect([same.code, same.result['different']]).toEqual([0, false]);
  // Without the stat cache everything is read, and the answer is the same.
  rmSync(join(box.vault, '.cache'), { recursive: true });
  expect((await box.json(['diff', second.id])).result['different']).toBe(false);
  expect(changes((await box.json(['diff', first.id])).result)).toEqual(expected);
  expect(readFileSync(at('keep'), 'utf8')).toBe('keep');
  // Of two that have the content of the one that went, neither is it under a new name.
  rmSync(at('new'));
  for (const twin of ['twin 1', 'twin 2']) writeFileSync(at(twin), 'gone');
  const third = await box.snapshot(['save']);
  const twins = await box.json(['diff', second.id, third.id]);
  expect(rows(twins.result['files']).map(({ path, change, renamed_from: from }) => [path, change, from])).toEqual([
    ['new', 'deleted', undefined],
    ['twin 1', 'created', undefined],
    ['twin 2', 'created', undefined],
  ]);
});

/** `box.json` for a command line that ends with paths after `--`. */
async function documentOf(
  box: Sandbox,
  args: readonly string[],
  cwd = box.project,
): Promise<{ code: number | null; result: Row; error: { code: string } }> {
  const run = await box.cora(['--json', ...args], { cwd });
  return { code: run.code, ...(JSON.parse(run.stdout) as { result: Row; error: { code: string } }) };
}

test('diff of one file as a patch, and of one database by rows', async () => {
  const box = sandbox();
  const at = (name: string) => join(box.project, name);
  const lines = Array.from({ length: 40 }, (_, n) => `line ${n}`);
  writeFileSync(at('t'), `${lines.join('\n')}\n`);
  writeFileSync(at('bin'), Buffer.from([1, 0, 2]));
  const sql = (text: string) => execute('sqlite3', [at('app.db'), text]);
  await sql(
    "CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES(1,'Ada'),(2,'Bob'); CREATE TABLE same(x); INSERT INTO same VALUES(1)",
  );
  const first = await box.snapshot(['save']);
  writeFileSync(at('t'), `${[...lines.slice(0, 5), 'tab\t\u001b[31mred', ...lines.slice(6, 30), ...lines.slice(31)].join('\n')}`);
  writeFileSync(at('bin'), Buffer.from([1, 0, 3]));
  await sql("UPDATE people SET name='Bea' WHERE id=2; INSERT INTO people VALUES(3,'Cyd')");
  const check = async (...sides: string[]) => {
    const text = await documentOf(box, ['diff', ...sides, '--', 't']);
    const { kind, unified } = text.result['content'] as { kind: string; unified: string };
    expect(kind).toBe('text');
    writeFileSync(join(box.root, 'patch'), unified);
    writeFileSync(join(box.root, 'old'), `${lines.join('\n')}\n`);
    expect((await execute('patch', ['-s', join(box.root, 'old'), join(box.root, 'patch')])).code).toBe(0);
    expect(readFileSync(join(box.root, 'old')).equals(readFileSync(at('t')))).toBe(true);
    expect((await documentOf(box, ['diff', ...sides, '--', 'bin'])).result['content']).toEqual({ kind: 'none', reason: 'it is not text' });
    const rowsOf = await documentOf(box, ['diff', ...sides, '--rows', '--', 'app.db']);
    expect(rowsOf.result['content']).toEqual({
      kind: 'rows',
      tables: [
        {
          table: 'people',
          columns: ['id', 'name'],
          before: [[2, 'Bob']],
          after: [
            [2, 'Bea'],
            [3, 'Cyd'],
          ],
          more: false,
        },
      ],
    });
    expect(rows(rowsOf.result['databases'])).toMatchObject([
      { path: 'app.db', change: 'changed', rows: { before: 3, after: 4 }, tables: [{ table: 'people', before: 2, after: 3 }] },
    ]);
  };
  await check(first.id);
  const second = await box.snapshot(['save']);
  await check(first.id, second.id);
  const { stdout } = await box.cora(['diff', first.id, second.id, 't']);
  expect(stdout).toContain('+tab\t\\x1b[31mred\n');
  expect((await box.cora(['diff', first.id, '--rows'])).code).toBe(2);
});

test('why: each rule by its name, with the line of the configuration', async () => {
  const box = sandbox();
  const put = (name: string, content = name) => {
    mkdirSync(join(box.project, name, '..'), { recursive: true });
    writeFileSync(join(box.project, name), content);
  };
  put('cora.toml', '[scan]\nexclude = [\n  "*.tmp",\n  "build/", "!keep.tmp"\n]\n');
  for (const name of ['src/a.ts', 'node_modules/x/y.js', 'build/o.o', 'a.tmp', 'keep.tmp', '.env', 'logs/x.log', '.git/config', 'gone.txt'])
    put(name);
  symlinkSync('src', join(box.project, 'link'));
  await execute('mkfifo', [join(box.project, 'pipe')]);
  await execute('sqlite3', [join(box.project, 'n.db'), 'CREATE TABLE t(x)']);
  put('n.db-wal', '');
  await box.snapshot(['save']);
  rmSync(join(box.project, 'gone.txt'));
  put('src/a.ts', 'changed');
  await box.snapshot(['save']);
  const reasons: Record<string, unknown> = {};
  const { project, location } = await inProcess(box);
  const of = async (name: string) => {
    const word = fromText(name);
    return whyDocument(await why(project, location, word, name.startsWith('/') ? word : joinBytes(project.root, word)));
  };
  // Once by the real program, which says the same.
  expect((await box.json(['why', 'a.tmp'])).result).toEqual(await of('a.tmp'));
  for (const name of [
    'src/a.ts',
    'node_modules/x/y.js',
    'build/o.o',
    'a.tmp',
    'keep.tmp',
    'link/a.ts',
    'pipe',
    'n.db-wal',
    '.git/config',
    'never/was',
    '/etc/passwd',
    box.vault,
  ]) {
    const { saved, reason, decided_by, rule } = await of(name);
    const line = (rule as { line?: number } | null)?.line;
    reasons[name === box.vault ? 'VAULT' : name] = [
      saved,
      reason,
      ...(decided_by === name ? [] : [decided_by]),
      ...(line === undefined ? [] : [line]),
    ];
  }
  expect(reasons).toEqual({
    'src/a.ts': [true, 'saved'],
    'node_modules/x/y.js': [false, 'excluded_by_default', 'node_modules'],
    'build/o.o': [false, 'excluded', 'build', 4],
    'a.tmp': [false, 'excluded', 3],
    'keep.tmp': [true, 'saved'],
    'link/a.ts': [false, 'behind_link', 'link'],
    pipe: [true, 'special'],
    'n.db-wal': [false, 'database_companion'],
    '.git/config': [false, 'never', '.git'],
    'never/was': [true, 'saved'],
    '/etc/passwd': [false, 'outside'],
    VAULT: [false, 'vault'],
  });
  // What it says is what saves do.
  const listed = rows((await box.json(['find', '**'])).result['found']).map(({ path }) => path);
  for (const [name, [saved]] of Object.entries(reasons as Record<string, [boolean]>))
    if (!['never/was', '/etc/passwd', 'VAULT'].includes(name)) expect([name, listed.includes(name)]).toEqual([name, saved]);
  expect(await of('.env')).toMatchObject({ critical: { pattern: '.env*', file: null }, in_newest: true, changed_since: false });
  expect(await of('logs/x.log')).toMatchObject({ log: { key: 'logs' }, capped: false });
  expect(await of('gone.txt')).toMatchObject({ live: null, in_newest: false, last: { size: 8 } });
  put('src/a.ts', 'and again');
  expect(await of('src/a.ts')).toMatchObject({ changed_since: true });
});

test('restore of a path without a snapshot: from the newest good one that has it, also when it is long gone', async () => {
  const box = sandbox();
  // Else the directory below is taken for a project of its own.
  writeFileSync(join(box.project, 'cora.toml'), '');
  mkdirSync(join(box.project, 'sub'));
  writeFileSync(join(box.project, 'sub/gone.txt'), 'old');
  writeFileSync(join(box.project, 'stays'), '1');
  await box.snapshot(['save']);
  writeFileSync(join(box.project, 'sub/gone.txt'), 'newer');
  const second = await box.snapshot(['save']);
  rmSync(join(box.project, 'sub/gone.txt'));
  for (let n = 0; n < 3; n++) {
    writeFileSync(join(box.project, 'stays'), `more ${n}`);
    await box.snapshot(['save']);
  }
  const { code, result } = await box.json(['restore', 'sub/gone.txt', '--yes']);
  expect([code, result['snapshot_id']]).toEqual([0, second.id]);
  expect(readFileSync(join(box.project, 'sub/gone.txt'), 'utf8')).toBe('newer');
  rmSync(join(box.project, 'sub/gone.txt'));
  const again = await documentOf(box, ['restore', '--yes', '--', 'gone.txt'], join(box.project, 'sub'));
  expect([again.code, again.error]).toEqual([0, undefined]);
  expect(readFileSync(join(box.project, 'sub/gone.txt'), 'utf8')).toBe('newer');
  expect((await documentOf(box, ['restore', '--yes', '--', 'never.txt'])).error.code).toBe('not_found');
});
