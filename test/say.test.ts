// `cora say` against a real vault: the dialogues of the ancestors with figures that match --json, the plan
// of a restore, and what never does anything.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bytes } from '../src/base/bytes.ts';
import { formatBytes } from '../src/base/units.ts';
import { findProgram } from '../src/os/run.ts';
import { cli } from './support/cli-run.ts';
import { linesOf } from './support/phrases.ts';
import { execute, Sandbox } from './support/sandbox.ts';

let box: Sandbox;
const inProject = (name: string) => join(box.project, name);
const sentenceOf = (document: { readonly result: Record<string, unknown> }) => (document.result['answer'] as { sentence: string }).sentence;

beforeAll(async () => {
  box = new Sandbox({ fast: true });
  mkdirSync(inProject('src'));
  writeFileSync(inProject('src/app.ts'), 'export const one = 1;\n');
  writeFileSync(inProject('AI_WORK_LOG.md'), 'first\n');
  const rows =
    'create table notes (id integer primary key); with recursive c(i) as (select 1 union all select i + 1 from c where i < 1420) insert into notes select i from c;';
  expect((await execute('sqlite3', [inProject('notes.db'), rows])).code).toBe(0);
});

afterAll(() => box.remove());

async function planOf(phrase: string): Promise<string> {
  const planned = (await box.json(['say', phrase])) as unknown as { error: { details: { plan: string } } };
  return planned.error.details.plan;
}

/** Every file below the vault with its content; `.cache` and `.lock` are not part of it. */
function vaultPrint(): string {
  const hash = createHash('sha256');
  const walk = (directory: string) => {
    for (const name of readdirSync(directory).toSorted()) {
      const path = join(directory, name);
      const isDirectory = statSync(path).isDirectory();
      hash.update(`${path}\0`);
      if (isDirectory) walk(path);
      else hash.update(readFileSync(path));
    }
  };
  walk(box.vault);
  return hash.digest('hex');
}

test('"save our progress" saves, and says how much', async () => {
  const run = await box.cora(['save our progress']);
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/^Done: [\d.]+ kB, 1,420 records, [\d.]+ s \(save \d{8}-\d{6}-nogit\)\.\n$/);
  const again = await box.json(['say', 'save our progress']);
  expect(again).toMatchObject({ code: 0, command: 'save', result: { outcome: 'unchanged' } });
  expect(sentenceOf(again)).toContain(String(again.result['snapshot_id']));
});

test('"back yourself up" makes a labelled backup, with the figures of its document', async () => {
  const made = await box.json(['say', 'Atlas, back yourself up']);
  expect(made).toMatchObject({
    code: 0,
    command: 'backup auto',
    result: { outcome: 'made', label: 'user-requested', type: 'manual', status: 'complete' },
  });
  const { size, snapshot_id: id, path } = made.result as { size: number; snapshot_id: string; path: string };
  expect(sentenceOf(made)).toMatch(new RegExp(`^Done: ${formatBytes(size)}, 1,420 records, [\\d.]+ s \\(backup ${id}\\)\\.$`));
  expect(JSON.parse(readFileSync(join(path, 'REPORT.json'), 'utf8'))).toMatchObject({ trigger: 'say', label: 'user-requested' });
});

test('of a moment: this size, this list, and what a command cannot leave out is said', async () => {
  const size = await box.json(['say', "how big were today's backups, I'm running low on disk?"]);
  expect(sentenceOf(size)).toMatch(/^\d+ backups? of today: [\d.]+ kB/);
  expect(sentenceOf(await box.json(['say', "tell me how large yesterday's backup was"]))).toBe('There is no backup of yesterday.');
  const week = await box.json(['say', 'show me all the saves from this week']);
  expect((week.result['snapshots'] as unknown[]).length).toBeGreaterThan(0);
  expect(sentenceOf(await box.json(['say', 'did any files go missing since yesterday']))).toContain('"yesterday" was left out');
  expect(sentenceOf(await box.json(['say', 'did any files go missing']))).not.toContain('left out');
});

test('"how big are your backups?" is answered from the ledger, as list has it', async () => {
  const asked = await box.json(['say', 'how big are your backups?']);
  const { kept } = asked.result['answer'] as { kept: { type: string; count: number; size: number }[] };
  const listed = (await box.json(['list', '--backups'])).result['snapshots'] as { size: number }[];
  expect(kept).toMatchObject([{ type: 'manual', count: listed.length, size: listed.reduce((sum, { size }) => sum + size, 0) }]);
  expect(sentenceOf(asked)).toContain(`1 manual backup (${formatBytes(kept[0]?.size ?? 0)})`);
});

test('"when was the last backup?" is answered with the run that status names', async () => {
  const asked = await box.json(['say', 'when was the last backup?']);
  const status = await box.json(['status']);
  const last = status.result['last_backup'] as { snapshot_id: string };
  expect(asked.result['answer']).toMatchObject({ last: { snapshot_id: last.snapshot_id, rows: 1420, kind: 'backup' } });
  expect(sentenceOf(asked)).toMatch(/^The last backup was \d+ s ago \(.* UTC\): .*, 1,420 records, .* s /);
});

test('a span of time is asked about, and listed', async () => {
  const today = await box.json(['say', 'did we back up today?']);
  expect(sentenceOf(today)).toMatch(/^Yes: \d backups?, the last one /);
  expect(sentenceOf(await box.json(['say', 'did we back up yesterday?']))).toMatch(/^No: /);
  const listed = await box.json(['say', "list yesterday's backups"]);
  expect(listed).toMatchObject({ code: 0, command: 'list', result: { total: 0, snapshots: [] } });
  const now = await box.json(['say', "show me today's backups"]);
  expect(now.result['snapshots']).toEqual((await box.json(['list', '--backups'])).result['snapshots']);
  const size = await box.json(['say', 'how big is the last backup?']);
  expect(sentenceOf(size)).toContain(formatBytes((now.result['snapshots'] as { size: number }[]).at(-1)?.size ?? 0));
});

test('"backup and end session" is cora end with a backup', async () => {
  const run = await box.json(['say', 'backup and end session']);
  expect(run).toMatchObject({ code: 0, command: 'end' });
  expect(sentenceOf(run)).toMatch(/^Session ended: .*1,420 records, read back and whole \([\d.]+ s\)\.$/);
});

test('"restore from yesterday\'s backup" with nothing that old is an error that changes nothing', async () => {
  const run = await box.json(['say', "restore from yesterday's backup"]);
  expect(run.ok).toBe(false);
  expect([2, 20]).toContain(run.code);
});

test('a restore is a plan until it is applied, and the plan is good for these files alone', async () => {
  writeFileSync(inProject('AI_WORK_LOG.md'), 'spoilt\n');
  const phrase = 'restore AI_WORK_LOG.md';
  const planned = await box.json(['say', phrase]);
  expect(planned).toMatchObject({ code: 20, error: { code: 'refused', details: { dry_run: true, replace: 1 } } });
  const { plan } = (planned.error as unknown as { details: { plan: string } }).details;
  expect(readFileSync(inProject('AI_WORK_LOG.md'), 'utf8')).toBe('spoilt\n');

  expect((await box.cora(['say', '--yes', phrase])).code).toBe(20);
  expect((await box.cora(['say', '--apply', 'plan-0000000000000000'])).code).toBe(20);
  writeFileSync(inProject('AI_WORK_LOG.md'), 'spoilt again\n');
  const stale = await box.cora(['say', '--apply', plan]);
  expect(stale).toMatchObject({ code: 20, stdout: '' });
  expect(stale.stderr).toContain('changed');
  expect(readFileSync(inProject('AI_WORK_LOG.md'), 'utf8')).toBe('spoilt again\n');

  const other = await planOf(phrase);
  expect((await box.cora(['say', '--apply', other, 'restore src/app.ts'])).code).toBe(20);
  const fresh = await planOf(phrase);
  const applied = await box.json(['say', '--apply', fresh, phrase]);
  expect(applied).toMatchObject({ code: 0, command: 'restore', result: { files: 1 } });
  expect(readFileSync(inProject('AI_WORK_LOG.md'), 'utf8')).toBe('first\n');
  expect((await box.cora(['say', '--apply', fresh])).code).toBe(20);
});

test('a database comes back by a phrase, while its program may work', async () => {
  const count = async () => (await execute('sqlite3', [inProject('notes.db'), 'select count(*) from notes'])).stdout.trim();
  expect((await execute('sqlite3', [inProject('notes.db'), 'delete from notes'])).code).toBe(0);
  const plan = await planOf('restore notes.db');
  expect((await box.cora(['say', '--apply', plan])).code).toBe(20);
  expect(await count()).toBe('0');
  const applied = await box.cora(['say', '--apply', await planOf('restore notes.db'), '--live']);
  expect(applied).toMatchObject({ code: 0 });
  expect(await count()).toBe('1420');
});

test('--explain does nothing, and says it as JSON, in the envelope and beside it', async () => {
  const before = vaultPrint();
  const log = readFileSync(join(box.root, 'cora.log'), 'utf8');
  const run = await box.json(['say', '--explain', 'restore notes.db from yesterday into /tmp/look']);
  const slots = { path: 'notes.db', moment: 'yesterday', into: '/tmp/look' };
  expect(run).toMatchObject({ code: 0, intent: 'restore', slots, confidence: 1, needsConfirmation: true });
  expect(run.result).toEqual({
    intent: 'restore',
    command: 'cora restore @yesterday --to /tmp/look -- notes.db',
    slots,
    confidence: 1,
    needsConfirmation: true,
  });
  expect((await box.json(['say', '--explain', 'delete all backups'])).result).toMatchObject({
    intent: 'none',
    command: null,
    needsConfirmation: false,
  });
  expect(vaultPrint()).toBe(before);
  expect(readFileSync(join(box.root, 'cora.log'), 'utf8')).toBe(log);
});

test('what is refused or not understood ends with 64, names two commands, and touches nothing', async () => {
  const before = vaultPrint();
  for (const phrase of [
    'delete old backups',
    'unlock AI_WORK_LOG.md',
    'turn off autosave',
    "don't save this",
    'how do I save?',
    'write a function that saves a file',
  ]) {
    const run = await box.json(['say', phrase]);
    expect(run).toMatchObject({ code: 64, error: { code: 'phrase_unknown' } });
    expect((run.error as unknown as { details: { nearest: string[] } }).details.nearest).toHaveLength(2);
  }
  expect(vaultPrint()).toBe(before);
});

test('a sentence that is not for Cora changes nothing', async () => {
  const before = vaultPrint();
  for (const phrase of linesOf('not-for-cora.txt').filter((_, index) => index % 20 === 0)) expect((await box.cora(['say', phrase])).code).toBe(64);
  expect(vaultPrint()).toBe(before);
});

test('none of the hundred sentences gets as far as an action', async () => {
  for (const phrase of linesOf('not-for-cora.txt')) {
    const records: string[] = [];
    // An engine all of whose actions fail: nothing is saved, listed, planned or restored.
    const run = await cli(['say', phrase], {}, { HOME: box.home }, { cwd: () => bytes(box.project), record: (entry) => records.push(entry.command) });
    expect({ phrase, code: run.code, stdout: run.stdout }).toEqual({ phrase, code: 64, stdout: '' });
    expect(records).toEqual(['say']);
  }
});

test.skipIf(findProgram('strace') === undefined)('a sentence that is not for Cora starts no process', async () => {
  const trace = join(box.root, 'trace');
  const env = { PATH: process.env['PATH'] ?? '', HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '' };
  const cora = join(import.meta.dirname, '..', 'bin', 'cora');
  await execute('strace', ['-f', '-qq', '-e', 'trace=execve', '-o', trace, cora, 'say', 'restore faith in humanity'], { cwd: box.project, env });
  // The launcher's own steps end in one node; nothing is started from there.
  const started = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes('execve(') && line.includes(' = 0'));
  expect(started.at(-1)).toMatch(/node/);
});

test('words that are no command are a phrase only where they are understood as a whole', async () => {
  expect(await box.cora(['how', 'big', 'are', 'our', 'backups'])).toMatchObject({ code: 0 });
  expect((await box.cora(['bakcup'])).stderr).toContain('Unknown command: bakcup');
  expect((await box.cora(['frobnicate', 'everything'])).stderr).toContain('Unknown command: frobnicate');
  expect((await box.cora(['frobnicate everything'])).code).toBe(64);
  expect((await box.cora(['backup', 'everything'])).code).toBe(0);
});

test('two things are done in the order in which they were said', async () => {
  writeFileSync(inProject('src/app.ts'), 'export const one = 2;\n');
  const run = await box.json(['say', 'save and list the saves']);
  expect(run.code).toBe(0);
  expect(run.result['steps']).toMatchObject([
    { command: 'save', exit_code: 0, result: { outcome: 'saved' } },
    { command: 'list', exit_code: 0 },
  ]);
});

test("phrases of one's own, in the project's file and in the user's", async () => {
  writeFileSync(inProject('cora.toml'), '[phrases]\nsize = ["weigh the attic"]\n');
  mkdirSync(join(box.home, '.config/cora'), { recursive: true });
  writeFileSync(join(box.home, '.config/cora/phrases.toml'), '[phrases]\nsave = ["stash the goods"]\n');
  expect((await box.json(['say', '--explain', 'please weigh the attic'])).result).toMatchObject({ intent: 'size' });
  expect(await box.json(['stash the goods'])).toMatchObject({ command: 'save' });
  expect((await box.cora(['say', 'stash the other goods'])).code).toBe(64);
  writeFileSync(inProject('cora.toml'), '[phrases]\nrestore = ["abracadabra"]\n');
  expect((await box.cora(['say', 'abracadabra'])).code).toBe(2);
  writeFileSync(inProject('cora.toml'), '');
});

test('each run is logged with its phrase and its command', () => {
  const log = readFileSync(join(box.root, 'cora.log'), 'utf8');
  expect(log).toMatch(/command="save" trigger="say" .*phrase="save our progress"/);
  expect(log).toMatch(/command="backup auto" trigger="say" .*phrase="Atlas, back yourself up"/);
  expect(log).toMatch(/command="say" trigger="say" .*phrase="delete old backups" exit=64/);
  expect(existsSync(join(box.vault, 'VAULT.json'))).toBe(true);
});
