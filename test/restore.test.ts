// `cora restore`: what it writes, what it leaves alone, and what it refuses. It never deletes a file
// that the snapshot does not hold, and a dry run writes nothing at all.

import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareTrees, readTree } from './helpers/compare-trees.ts';
import { Sandbox } from './support/sandbox.ts';

let sandbox: Sandbox;
let id = '';
const at = (path: string): string => join(sandbox.project, path);
const out = (): string => join(sandbox.root, 'out');
const read = (path: string): string => readFileSync(path, 'utf8');

const kinds = ['save', 'backup now'] as const;
/** Every test for saves and for backups: they are restored by different code. */
const forBoth = test.each(kinds);

beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
  mkdirSync(at('src/deep'), { recursive: true });
  writeFileSync(at('src/a.ts'), 'a as saved');
  writeFileSync(at('src/deep/b.ts'), 'b as saved');
  writeFileSync(at('src-other.ts'), 'other as saved');
  writeFileSync(at('CLAUDE.md'), 'memory as saved');
  writeFileSync(at('.env'), 'KEY=saved');
  symlinkSync('a.ts', at('src/link'));
});
afterEach(() => sandbox.remove());

async function make(kind: string): Promise<void> {
  ({ id } = await sandbox.snapshot(kind.split(' ')));
}

forBoth('%s: in place, without --yes and without a terminal: refused with 20, nothing changed', async (kind) => {
  await make(kind);
  writeFileSync(at('src/a.ts'), 'a changed');
  rmSync(at('CLAUDE.md'));
  const before = readTree(sandbox.project);
  const run = await sandbox.json(['restore', id]);
  expect(run).toMatchObject({ code: 20, ok: false, error: { code: 'refused' } });
  expect(compareTrees(before, readTree(sandbox.project))).toEqual([]);
});

forBoth('%s: a dry run tells what would be done and writes nothing', async (kind) => {
  await make(kind);
  writeFileSync(at('src/a.ts'), 'a changed');
  rmSync(at('CLAUDE.md'));
  const [project, vault] = [readTree(sandbox.project), readTree(sandbox.vault)];
  const inPlace = await sandbox.json(['restore', id, '--dry-run', '--overwrite', 'if-changed']);
  expect(inPlace).toMatchObject({ code: 0, result: { dry_run: true, in_place: true, create: 1 } });
  expect(inPlace.result['changes']).toContainEqual(expect.objectContaining({ action: 'create', path: 'CLAUDE.md' }));
  expect(inPlace.result['changes']).toContainEqual(expect.objectContaining({ action: 'replace', path: 'src/a.ts' }));
  expect(inPlace.result['changes']).toContainEqual(expect.objectContaining({ action: 'keep', path: 'src/deep/b.ts' }));
  expect(await sandbox.json(['restore', id, '--dry-run', '--to', out()])).toMatchObject({ code: 0, result: { in_place: false, replace: 0 } });
  expect(existsSync(out())).toBe(false);
  expect(compareTrees(project, readTree(sandbox.project))).toEqual([]);
  expect(compareTrees(vault, readTree(sandbox.vault))).toEqual([]);
});

forBoth('%s: in place everything is as it was, and files that the snapshot does not hold stay', async (kind) => {
  const saved = readTree(sandbox.project);
  await make(kind);
  writeFileSync(at('src/a.ts'), 'a changed');
  chmodSync(at('src/a.ts'), 0o777);
  rmSync(at('src/deep'), { recursive: true });
  rmSync(at('src/link'));
  writeFileSync(at('src/link'), 'a file now');
  writeFileSync(at('src/foreign.ts'), 'made later');
  mkdirSync(at('foreign'));
  writeFileSync(at('foreign/x'), 'made later');
  mkdirSync(at('node_modules'));
  writeFileSync(at('node_modules/x'), 'never saved');
  expect(await sandbox.cora(['restore', id, '--yes', '--modes', 'snapshot'])).toMatchObject({ code: 0 });
  for (const path of ['src/foreign.ts', 'foreign/x']) expect(read(at(path))).toBe('made later');
  expect(read(at('node_modules/x'))).toBe('never saved');
  const foreign = (path: string): boolean => /foreign|node_modules|^\.cora-restore/.test(path);
  expect(compareTrees(saved, readTree(sandbox.project, { skip: foreign }))).toEqual([]);
});

forBoth('%s: overwrite modes decide by what is there', async (kind) => {
  for (const name of ['same', 'touched', 'changed', 'newer', 'gone']) {
    writeFileSync(at(name), `${name} as saved`);
    utimesSync(at(name), 1_700_000_000, 1_700_000_000);
  }
  await make(kind);
  const spoil = (): void => {
    for (const [name, time] of [
      ['touched', 1_600_000_000],
      ['changed', 1_600_000_000],
      ['newer', 1_800_000_000],
    ] as const) {
      writeFileSync(at(name), name === 'touched' ? 'touched as saved' : `${name} since`);
      utimesSync(at(name), time, time);
    }
    rmSync(at('gone'), { force: true });
  };
  const states = async (mode: string): Promise<readonly string[]> => {
    spoil();
    const inode = lstatSync(at('same')).ino;
    expect(await sandbox.cora(['restore', id, '--overwrite', mode, '--yes'])).toMatchObject({ code: 0 });
    const kept = lstatSync(at('same')).ino === inode ? 'same kept' : 'same replaced';
    return [kept, ...['touched', 'changed', 'newer', 'gone'].map((name) => (existsSync(at(name)) ? read(at(name)) : `no ${name}`))];
  };
  expect(await states('always')).toEqual(['same replaced', 'touched as saved', 'changed as saved', 'newer as saved', 'gone as saved']);
  expect(await states('if-changed')).toEqual(['same kept', 'touched as saved', 'changed as saved', 'newer as saved', 'gone as saved']);
  expect(await states('if-newer')).toEqual(['same kept', 'touched as saved', 'changed as saved', 'newer since', 'gone as saved']);
  expect(await states('never')).toEqual(['same kept', 'touched as saved', 'changed since', 'newer since', 'gone as saved']);
  expect(lstatSync(at('touched')).mtimeMs).toBe(1_600_000_000_000);
});

forBoth('%s: a directory that is not empty is refused with 20 unless --overwrite says what happens', async (kind) => {
  await make(kind);
  mkdirSync(out());
  writeFileSync(join(out(), 'mine'), 'mine');
  expect(await sandbox.json(['restore', id, '--to', out()])).toMatchObject({ code: 20, error: { code: 'target_not_empty' } });
  expect(readdirSync(out())).toEqual(['mine']);
  expect(await sandbox.cora(['restore', id, '--to', out(), '--overwrite', 'never'])).toMatchObject({ code: 0 });
  expect(read(join(out(), 'mine'))).toBe('mine');
  expect(read(join(out(), 'src/a.ts'))).toBe('a as saved');
});

forBoth('%s: --critical restores the critical files alone', async (kind) => {
  mkdirSync(at('sub/dir'), { recursive: true });
  writeFileSync(at('sub/dir/AGENTS.md'), 'agents');
  await make(kind);
  expect(await sandbox.cora(['restore', id, '--critical', '--to', out()])).toMatchObject({ code: 0 });
  const files = [...readTree(out())].filter(([, { type }]) => type !== 'directory').map(([path]) => path);
  expect(files.sort()).toEqual(['.env', 'CLAUDE.md', 'sub/dir/AGENTS.md']);
});

forBoth('%s: single paths, and ID:path, restore what was named and what it holds', async (kind) => {
  writeFileSync(at('-rf'), 'no option');
  writeFileSync(at('odd\nname: x'), 'odd');
  await make(kind);
  const files = async (...args: string[]): Promise<string[]> => {
    rmSync(out(), { recursive: true, force: true });
    expect(await sandbox.cora(['restore', ...args, '--to', out()])).toMatchObject({ code: 0 });
    return [...readTree(out())].filter(([, { type }]) => type !== 'directory').map(([path]) => path);
  };
  expect(await files(id, 'src')).toEqual(['src/a.ts', 'src/deep/b.ts', 'src/link']);
  expect(await files(id, './src/deep/', 'CLAUDE.md')).toEqual(['CLAUDE.md', 'src/deep/b.ts']);
  expect(await files(`${id}:src/a.ts`)).toEqual(['src/a.ts']);
  expect(await files('latest:src/link')).toEqual(['src/link']);
  expect(await files(`${id}:odd\nname: x`)).toEqual(['odd\nname: x']);
  const typed = await sandbox.cora(['restore', '--to', join(sandbox.root, 'typed'), id, '--', '-rf']);
  expect(typed).toMatchObject({ code: 0 });
  expect(read(join(sandbox.root, 'typed/-rf'))).toBe('no option');
});

forBoth('%s: a path that the snapshot does not hold is an error, and nothing is made', async (kind) => {
  await make(kind);
  for (const path of ['nowhere', 'src/a', 'src/a.ts/x', '../project/src']) {
    expect(await sandbox.json(['restore', id, path, '--to', out()])).toMatchObject({ code: 1, error: { code: 'not_found' } });
    expect(existsSync(out())).toBe(false);
  }
});

forBoth('%s: one path in place touches nothing else', async (kind) => {
  await make(kind);
  writeFileSync(at('src/a.ts'), 'a changed');
  writeFileSync(at('src/deep/b.ts'), 'b changed');
  chmodSync(at('src'), 0o700);
  utimesSync(at('src/deep'), 1_500_000_000, 1_500_000_000);
  const before = readTree(sandbox.project);
  expect(await sandbox.cora(['restore', id, 'src/a.ts', '--yes'])).toMatchObject({ code: 0 });
  expect(read(at('src/a.ts'))).toBe('a as saved');
  // A backup is unpacked beside its files, which the project's own directory remembers.
  const expected = /^(?:src\/a\.ts: |src: mtime|\.: mtime)/;
  const differences = compareTrees(before, readTree(sandbox.project, { skip: (path) => path.startsWith('.cora-restore') })).filter(
    (line) => !expected.test(line),
  );
  expect(differences).toEqual([]);
});

forBoth('%s: a link in the place of a directory is never followed, a directory in the place of a file never emptied', async (kind) => {
  await make(kind);
  const elsewhere = join(sandbox.root, 'elsewhere');
  mkdirSync(join(elsewhere, 'deep'), { recursive: true });
  writeFileSync(join(elsewhere, 'deep/b.ts'), 'not the project');
  rmSync(at('src'), { recursive: true });
  symlinkSync(elsewhere, at('src'));
  rmSync(at('src-other.ts'));
  mkdirSync(at('src-other.ts'));
  writeFileSync(at('src-other.ts/mine'), 'mine');
  writeFileSync(at('CLAUDE.md'), 'memory changed');
  const run = await sandbox.json(['restore', id, '--yes']);
  expect(run).toMatchObject({ code: 3 });
  expect(run.problems.map(({ code, path }) => `${code} ${path}`).sort()).toEqual(['type_conflict src', 'type_conflict src-other.ts']);
  expect(readdirSync(elsewhere)).toEqual(['deep']);
  expect(read(join(elsewhere, 'deep/b.ts'))).toBe('not the project');
  expect(read(at('src-other.ts/mine'))).toBe('mine');
  expect(read(at('CLAUDE.md'))).toBe('memory as saved');
});

test('a link at the place of a file is replaced, never written through', async () => {
  await make('save');
  const outside = join(sandbox.root, 'outside');
  writeFileSync(outside, 'not the project');
  rmSync(at('CLAUDE.md'));
  symlinkSync(outside, at('CLAUDE.md'));
  expect(await sandbox.cora(['restore', id, 'CLAUDE.md', '--yes'])).toMatchObject({ code: 0 });
  expect(read(outside)).toBe('not the project');
  expect(read(at('CLAUDE.md'))).toBe('memory as saved');
  expect(lstatSync(at('CLAUDE.md')).isFile()).toBe(true);
});

test('a place where the kernel makes no directories is an error, not an endless turn', async () => {
  const sandbox = new Sandbox();
  try {
    writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
    const { id } = await sandbox.snapshot(['save']);
    expect((await sandbox.cora(['restore', id, '--to', '/proc/none/out'])).code).toBe(1);
    const env = { CORA_VAULT: '/proc/none/vault', XDG_CACHE_HOME: '/proc/none' };
    expect((await sandbox.cora(['save'], { env })).code).toBe(1);
  } finally {
    await sandbox.remove();
  }
});

test('a file that is put together from parts comes back byte for byte', async () => {
  const large = Buffer.from(Array.from({ length: 9 << 20 }, (_, n) => (Math.imul(n, 2_654_435_761) >>> 13) & 255));
  writeFileSync(at('large.bin'), large);
  const saved = await sandbox.snapshot(['save']);
  expect((await sandbox.cora(['restore', saved.id, '--to', out()])).code).toBe(0);
  expect(readFileSync(join(out(), 'large.bin')).equals(large)).toBe(true);
  expect(readdirSync(out()).filter((name) => name.startsWith('.cora'))).toEqual([]);
});
