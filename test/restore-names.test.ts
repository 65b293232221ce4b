// What the words of `cora restore` name: moments, types, paths, directories; two readings ask.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DocumentRun, jsonHere } from './support/in-process.ts';
import { Sandbox } from './support/sandbox.ts';

const sandbox = new Sandbox({ fast: true });
afterAll(() => sandbox.remove());

let first: { readonly id: string; readonly path: string };
let second: { readonly id: string; readonly path: string };
let backup: { readonly id: string; readonly path: string };

const json = (args: readonly string[], cwd = ''): Promise<DocumentRun> => jsonHere(sandbox, args, cwd);
const text = (name: string): string => readFileSync(join(sandbox.project, name), 'utf8');
let number = 0;
const target = (): string => join(sandbox.root, `out-${++number}`);

beforeAll(async () => {
  execFileSync('git', ['init', '-q'], { cwd: sandbox.project });
  mkdirSync(join(sandbox.project, 'src'));
  writeFileSync(join(sandbox.project, 'src', 'old.txt'), 'old\n');
  writeFileSync(join(sandbox.project, 'a.txt'), 'one\n');
  first = await sandbox.snapshot(['save', '-l', 'milestone']);
  rmSync(join(sandbox.project, 'src', 'old.txt'));
  writeFileSync(join(sandbox.project, 'a.txt'), 'two\n');
  second = await sandbox.snapshot(['save']);
  writeFileSync(join(sandbox.project, 'b.txt'), 'b\n');
  backup = await sandbox.snapshot(['backup', 'now']);
}, 30_000);

test('a moment: said first, with the document', async () => {
  const to = target();
  const run = await sandbox.json(['restore', '@now', 'a.txt', '--to', to]);
  expect(run).toMatchObject({ code: 0, result: { snapshot_id: backup.id, moment: { said: 'now', snapshot_id: backup.id } } });
  expect(run.stderr).toMatch(new RegExp(`^now = \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d \\S+: ${backup.id}, \\d+ s before it\n`));
  expect(readFileSync(join(to, 'a.txt'), 'utf8')).toBe('two\n');
  expect(await sandbox.json(['restore', '@march', '--to', target()])).toMatchObject({ code: 2, error: { code: 'ambiguous_moment' } });
});

test('with --at and --latest every word is a path', async () => {
  const to = target();
  expect(await json(['restore', '--at', `before ${backup.id}`, 'a.txt', '--to', to])).toMatchObject({
    code: 0,
    result: { snapshot_id: second.id },
  });
  expect(await json(['restore', '--latest', 'manual', 'b.txt', '--to', target()])).toMatchObject({
    code: 0,
    result: { snapshot_id: backup.id },
  });
  expect(await json(['restore', 'latest', '--at', 'now', '--to', target()])).toMatchObject({ code: 2, error: { code: 'usage' } });
  expect(await json(['restore', '--latest', 'weekly', '--to', target()])).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
});

test('a moment in place', async () => {
  writeFileSync(join(sandbox.project, 'a.txt'), 'broken\n');
  const run = await json(['restore', '@before milestone', 'a.txt', '--yes']);
  expect(run).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
  expect(text('a.txt')).toBe('broken\n');
  expect((await sandbox.cora(['restore', `@before ${second.id}`, 'a.txt', '--yes'])).code).toBe(0);
  expect(text('a.txt')).toBe('one\n');
});

test('a path: the newest good snapshot that has it, also where it is gone', async () => {
  const run = await sandbox.cora(['restore', 'src/old.txt', '--yes']);
  expect(run.code).toBe(0);
  expect(run.stderr).toContain(`src/old.txt = ${first.id}, the newest good snapshot that has it`);
  expect(text('src/old.txt')).toBe('old\n');
  // As it is seen from a directory below.
  rmSync(join(sandbox.project, 'src', 'old.txt'));
  expect((await json(['restore', 'old.txt', '--yes'], 'src')).code).toBe(0);
  expect(text('src/old.txt')).toBe('old\n');
  expect(await json(['restore', 'never-was.txt', '--to', target()])).toMatchObject({ code: 2, error: { code: 'unknown_snapshot' } });
});

test('what a restore was about to replace is not the newest good one', async () => {
  const good = await sandbox.snapshot(['save', '-m', 'good']);
  writeFileSync(join(sandbox.project, 'a.txt'), 'broken again\n');
  expect((await json(['restore', 'a.txt', '--yes'])).code).toBe(0);
  expect(await json(['restore', 'a.txt', '--to', target()])).toMatchObject({ code: 0, result: { snapshot_id: good.id } });
  expect(await json(['restore', '@now', '--to', target()])).toMatchObject({ code: 0, result: { snapshot_id: good.id } });
});

test("a snapshot's directory and archive, by their paths", async () => {
  expect(await json(['restore', first.path, 'a.txt', '--to', target()])).toMatchObject({ code: 0, result: { snapshot_id: first.id } });
  expect(await json(['restore', join(backup.path, 'project-full.tar.gz'), 'a.txt', '--to', target()])).toMatchObject({
    code: 0,
    result: { snapshot_id: backup.id },
  });
});

test('a path that begins with @ is a path, unless it is a moment too', async () => {
  mkdirSync(join(sandbox.project, '@types'));
  mkdirSync(join(sandbox.project, '@yesterday'));
  writeFileSync(join(sandbox.project, '@types', 'x.d.ts'), 'x\n');
  const { id } = await sandbox.snapshot(['save']);
  expect(await json(['restore', '@types', '--to', target()])).toMatchObject({ code: 0, result: { snapshot_id: id, files: 1 } });
  expect(await json(['restore', '@yesterday', '--to', target()])).toMatchObject({ code: 2, error: { code: 'ambiguous_snapshot' } });
});

test('a name that is a label and a path asks, and -- means the path', async () => {
  writeFileSync(join(sandbox.project, 'milestone'), 'a file\n');
  const { id } = await sandbox.snapshot(['save']);
  const run = await json(['restore', 'milestone', '--to', target()]);
  expect(run).toMatchObject({ code: 2, error: { code: 'ambiguous_snapshot' } });
  const to = target();
  expect(await json(['restore', '--to', to, '--', 'milestone'])).toMatchObject({ code: 0, result: { snapshot_id: id } });
  expect(readFileSync(join(to, 'milestone'), 'utf8')).toBe('a file\n');
  expect(await json(['restore', first.id, '--to', target()])).toMatchObject({ code: 0, result: { snapshot_id: first.id } });
  expect(await json(['restore', 'latest:milestone', '--to', target()])).toMatchObject({ code: 0, result: { snapshot_id: id } });
});
