// Phrases about one path are answered about that path: whether it is saved, when it was, its versions, also by its bare name and from
// below the project; and a path given to `cora diff` is no snapshot's name.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { execute, Sandbox } from './support/sandbox.ts';

let box: Sandbox;
const at = (name: string) => join(box.project, name);
const say = (phrase: string, cwd = box.project) => box.cora(['say', phrase], { cwd });

beforeAll(async () => {
  box = new Sandbox({ fast: true });
  for (const directory of ['data', 'a', 'b', 'node_modules/x']) mkdirSync(at(directory), { recursive: true });
  writeFileSync(at('cora.toml'), '');
  writeFileSync(at('data/notes.md'), 'one\n');
  writeFileSync(at('a/same.txt'), 'a\n');
  writeFileSync(at('b/same.txt'), 'b\n');
  writeFileSync(at('node_modules/x/index.js'), '1\n');
  expect((await box.cora(['save'])).code).toBe(0);
  expect((await box.cora(['backup', 'now'])).code).toBe(0);
});

afterAll(() => box.remove());

test('"is PATH saved?" is answered of the path, not of the project', async () => {
  expect((await say('is node_modules saved?')).stdout).toMatch(/^node_modules is NOT saved: /);
  expect((await say('is data/notes.md saved?')).stdout).toMatch(/^data\/notes\.md is saved\.\n/);
  expect((await say('is data/never.md backed up?')).stdout).toMatch(
    /^data\/never\.md is not there now; when it is, it is saved\.\nLast saved {3}never\n$/,
  );
  const explained = await box.json(['say', '--explain', 'is data/notes.md saved?']);
  expect(explained.result).toMatchObject({ intent: 'health', command: 'cora why -- data/notes.md' });
});

test('"when was PATH last saved?" is answered of the path, by its bare name too', async () => {
  expect((await say('when was data/notes.md last saved?')).stdout).toMatch(/^data\/notes\.md was last saved .* \(\d{8}-\d{6}-[\w-]+\)\.\n$/);
  expect((await say('when was notes.md last saved?')).stdout).toMatch(/^data\/notes\.md was last saved /);
});

test('a bare name means the one path that has it, from wherever it is said; of several it asks', async () => {
  expect((await say('versions of notes.md')).stdout).toMatch(/^1 save \(/);
  expect((await say('versions of notes.md', at('data'))).stdout).toMatch(/^1 save \(/);
  const restore = await say('restore notes.md', at('b'));
  expect([restore.code, restore.stdout]).toEqual([20, expect.stringContaining('replace data/notes.md')]);
  const several = await say('restore same.txt');
  expect([several.code, several.stderr]).toEqual([64, expect.stringMatching(/same\.txt can be a\/same\.txt or b\/same\.txt; say the whole path/)]);
  expect((await say('restore same.txt', at('b'))).stdout).toContain('replace b/same.txt');
});

test('of a name that no snapshot has it says so, and not that there is no snapshot', async () => {
  const run = await say('versions of nosuch.db');
  expect([run.code, run.stdout]).toEqual([0, 'No snapshot has nosuch.db; cora find NAME looks for names.\n']);
});

test('"since monday" is from then until now, and a save is no backup', async () => {
  const listed = await box.json(['say', 'list backups since yesterday']);
  expect(listed.result).toMatchObject({ total: 1 });
  expect((await say('did we back up since yesterday?')).stdout).toMatch(/^Yes: 1 backup, /);
});

test.each([
  ['what changed since yesterday', 'cora diff'],
  ['where is data/notes.md', 'cora find NAME'],
  ['why is node_modules not saved', 'cora why PATH'],
  ['show me data/notes.md from yesterday', 'cora cat @WHEN PATH'],
  ['I lost data/notes.md', 'cora lost'],
  ['what did the agent delete?', 'cora lost'],
  ['help', 'cora --help'],
  ['go back two saves', 'cora list'],
  ['go back one save', 'cora list'],
  ['upload my backups', 'cora ship'],
  ['pin the last backup', 'cora pin ID'],
  ['delete old backups', 'cora prune'],
])('%s: nothing is done, and %s is named first', async (phrase, command) => {
  const { code, error } = (await box.json(['say', phrase])) as unknown as { code: number; error: { details: { nearest: string[] } } };
  expect([code, error.details.nearest[0]]).toEqual([64, command]);
});

test('cora diff takes a path that is there for a path, before or after snapshots', async () => {
  writeFileSync(at('data/notes.md'), 'one\ntwo\n');
  for (const args of [['data/notes.md'], ['latest', 'data/notes.md'], ['latest', 'data'], ['--', 'data/notes.md']])
    expect((await box.cora(['diff', ...args])).stdout).toContain('M data/notes.md');
  expect((await box.cora(['diff', 'notes.md'], { cwd: at('data') })).stdout).toContain('+two');
  expect((await box.cora(['diff', 'a'])).stdout).toContain('nothing differs');
  expect((await box.cora(['diff', 'nosuch'])).code).toBe(2);
  expect((await box.cora(['diff', 'same.txt'], { cwd: at('b') })).stdout).toContain('nothing differs');
  const unknown = await box.cora(['diff', 'latest', '--', 'nosuch']);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('Nothing is or was at nosuch; cora find NAME')]);
  expect((await box.cora(['diff', '--', 'notes.md'])).stderr).toContain('; cora diff -- data/notes.md');
  for (const command of ['diff', 'restore']) expect((await box.cora([command, 'n'.repeat(300)])).stderr).toContain('There is no snapshot nnn');
});

test('a save or backup that names a path says where that is not in it', async () => {
  expect((await say('save data/notes.md')).stdout).not.toContain('in it:');
  expect((await say('save nosuch.txt')).stdout).toMatch(/nosuch\.txt is not in it: there is no such file\.\n/);
  expect((await say('back up node_modules')).stdout).toMatch(/^Done: .* node_modules is NOT in it: directories named node_modules/);
});

test('a vector store comes back whole by the command of cora lost', async () => {
  const own = new Sandbox({ fast: true });
  try {
    writeFileSync(join(own.project, 'cora.toml'), '');
    mkdirSync(join(own.project, 'store/abc'), { recursive: true });
    writeFileSync(join(own.project, 'store/abc/data_level0.bin'), 'vectors');
    const made = await execute('sqlite3', [
      join(own.project, 'store/chroma.sqlite3'),
      'create table embeddings (id); insert into embeddings values (1), (2);',
    ]);
    expect(made.code).toBe(0);
    expect((await own.cora(['save'])).code).toBe(0);
    rmSync(join(own.project, 'store'), { recursive: true });
    expect((await own.cora(['save'])).code).toBe(3);
    const [loss] = (await own.json(['lost'])).result['losses'] as { restore: string }[];
    expect(loss?.restore).toMatch(/ --live -- store$/);
    const id = / restore (\S+) /.exec(loss?.restore ?? '')?.[1] ?? '';
    expect((await own.cora(['restore', id, '--yes', '--live', '--', 'store'])).code).toBe(0);
    expect(readFileSync(join(own.project, 'store/abc/data_level0.bin'), 'utf8')).toBe('vectors');
    expect((await own.cora(['save'])).code).toBe(0);
  } finally {
    await own.remove();
  }
});

test('why: a name like node_modules is the directory, also where it is not there', async () => {
  expect((await box.json(['why', 'b/node_modules'])).result).toMatchObject({ saved: false, reason: 'excluded_by_default' });
  expect((await box.cora(['why', 'nosuch'])).stdout).toBe('nosuch is not there now; when it is, it is saved\nLast saved   never\n');
});

test('a loss begins with its path on a terminal', async () => {
  const own = new Sandbox({ fast: true });
  try {
    writeFileSync(join(own.project, '.env'), 'SECRET=0123456789\n');
    expect((await own.cora(['save'])).code).toBe(0);
    writeFileSync(join(own.project, '.env'), '');
    expect((await own.cora(['save'])).stderr).toMatch(/^error: \.env: LOST: it had 18 B in /m);
  } finally {
    await own.remove();
  }
});
