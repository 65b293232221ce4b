// cora diff, log, find and cat by the real program, against what the snapshots' listings say and what the disk had.

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Sandbox } from './support/sandbox.ts';

const boxes: Sandbox[] = [];
function sandbox(): Sandbox {
  const box = new Sandbox({ fast: true });
  boxes.push(box);
  return box;
}
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.remove();
});

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
    const check = async () => {
      for (const [name, content] of [...Object.entries(contents), ['twin', contents['small'] as Buffer] as const]) {
        const { code, result } = await box.json(['cat', backup.id, name]);
        expect([name, code]).toEqual([name, 0]);
        expect(Buffer.from(result['content_base64'] as string, 'base64').equals(content)).toBe(true);
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
  writeFileSync(at('new'), 'new');
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
});
