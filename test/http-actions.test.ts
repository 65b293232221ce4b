// What `cora serve` does when it is asked to: saves, backups, verifications and restores, by the commands' own code; and that
// a restore needs the plan that was shown, its token and the word of a person.

import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Sandbox } from './support/sandbox.ts';
import { type Answer, type Server, startServer } from './support/serve.ts';

let sandbox: Sandbox;
let server: Server;
beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  write('a.txt', 'one\n');
  write('src/b.txt', 'two\n');
  server = await startServer(sandbox);
});
afterEach(async () => {
  await server.stop('SIGKILL');
  await sandbox.remove();
});

const at = (path: string) => join(sandbox.project, path);
const read = (path: string) => readFileSync(at(path), 'utf8');
function write(path: string, content: string | Buffer): void {
  mkdirSync(join(at(path), '..'), { recursive: true });
  writeFileSync(at(path), content);
}

type Fields = Readonly<Record<string, unknown>>;
type Plan = Fields & { readonly token: string; readonly confirm: string; readonly snapshot_id: string; readonly directory: string };

async function ok<T = Fields>(path: string, body: object = {}): Promise<T> {
  const answer = await server.post(`/api/v1/${path}`, body);
  expect(answer.status, answer.text).toBe(200);
  return answer.json<T>();
}

async function refused(path: string, body: object = {}): Promise<string> {
  return said(await server.post(`/api/v1/${path}`, body));
}

function said(answer: Answer): string {
  expect(answer.headers['content-type']).toBe('application/problem+json');
  const { code, detail } = answer.json<{ code: string; detail: string }>();
  return `${answer.status} ${code}: ${detail}`;
}

test('a save, a backup and a verification are those of the commands, tell their progress and are in the run log', async () => {
  const events = await fetch(`${server.url}api/v1/events`, { headers: { Authorization: `Bearer ${server.token}` } });
  const first = await ok('save', { note: 'from the page' });
  expect(first).toMatchObject({ outcome: 'saved', changed: true, note: 'from the page', complete: true, problems: [] });
  expect(await ok('save')).toMatchObject({ changed: false, snapshot_id: first['snapshot_id'] });
  write('c.txt', 'three\n');
  const backup = await ok('backup', { note: 'x' });
  expect(backup).toMatchObject({ outcome: 'made', status: 'complete', shipped: null, complete: true });
  const verified = await ok<{ snapshots: readonly Fields[] }>('verify', { all: true });
  expect(verified.snapshots.map(({ ok: whole }) => whole)).not.toContain(false);
  const listed = (await sandbox.json(['list'])).result['snapshots'] as readonly Fields[];
  expect(listed.map(({ snapshot_id: id }) => id).toSorted()).toEqual([first['snapshot_id'], backup['snapshot_id']].toSorted());
  const runs = readFileSync(join(sandbox.root, 'cora.log'), 'utf8');
  for (const command of ['save', 'backup now', 'verify']) expect(runs).toMatch(new RegExp(`${command}.*http|http.*${command}`));
  let text = '';
  for await (const chunk of events.body ?? []) {
    text += Buffer.from(chunk).toString();
    if (/event: ended\ndata: [^\n]*"verify"/.test(text)) break;
  }
  for (const name of ['hello', 'started', 'phase', 'ended']) expect(text).toContain(`event: ${name}\n`);
  expect(text).toMatch(/event: ended\ndata: [^\n]*"backup now","ok":true/);
});

test('damage is 422 with what is damaged, and a snapshot that is not there 404', async () => {
  const { path } = await sandbox.snapshot(['backup', 'now']);
  await sandbox.cora(['unprotect', '--yes']);
  const { execFileSync } = await import('node:child_process');
  execFileSync('sh', ['-c', 'chattr -R -ia "$1" 2>/dev/null; chmod -R u+w "$1"; for f in "$1"/*.tar.gz; do printf x >>"$f"; done', 'sh', path]);
  const answer = await server.post('/api/v1/verify', {});
  expect(said(answer)).toMatch(/^422 damaged: /);
  expect(answer.text).toContain('"ok":false');
  expect(await refused('verify', { snapshot: '20200101-000000-abc1234' })).toMatch(/^404 unknown_snapshot/);
  expect(await refused('verify', { all: true, snapshot: 'latest' })).toMatch(/^400 usage/);
});

test('what is gone comes back by plan, token and word, and goes again by undo', async () => {
  const { id } = await sandbox.snapshot(['save']);
  rmSync(at('a.txt'));
  write('src/b.txt', 'spoilt\n');
  const plan = await ok<Plan>('restore/plan', { snapshot: id, paths: ['a.txt', 'src'] });
  expect(plan).toMatchObject({ snapshot_id: id, in_place: true, create: 1, replace: 1, confirm: 'restore', needs_service_stopped: false });
  expect(existsSync(at('a.txt'))).toBe(false);
  const { token } = plan;
  expect(await refused('restore/apply', { token, confirm: '' })).toMatch(/^409 refused: .*the word restore/);
  expect(await refused('restore/apply', { token })).toMatch(/^400 usage/);
  expect(read('src/b.txt')).toBe('spoilt\n');
  const done = await ok('restore/apply', { token, confirm: 'Restore ' });
  expect(done).toMatchObject({ snapshot_id: id, in_place: true, files: 2, complete: true });
  expect([read('a.txt'), read('src/b.txt')]).toEqual(['one\n', 'two\n']);
  expect(await refused('restore/apply', { token, confirm: 'restore' })).toMatch(/^409 refused: No restore plan waits/);

  const back = await ok<Plan>('restore/undo/plan');
  expect(back).toMatchObject({ direction: 'undo', entries: 2, confirm: 'undo' });
  expect(await refused('restore/undo', { token: back.token, confirm: 'redo' })).toMatch(/^409 refused/);
  await ok('restore/undo', { token: back.token, confirm: 'undo' });
  expect([existsSync(at('a.txt')), read('src/b.txt')]).toEqual([false, 'spoilt\n']);
  expect(await refused('restore/undo', { token: back.token, confirm: 'redo' })).toMatch(/^409 refused/);
  expect(await ok('restore/undo/plan')).toMatchObject({ direction: 'redo', confirm: 'redo' });
});

test('a plan is of no use once what it concerns has changed', async () => {
  await sandbox.snapshot(['save']);
  write('a.txt', 'edited\n');
  const plan = await ok<Plan>('restore/plan', { snapshot: 'latest', paths: ['a.txt'] });
  appendFileSync(at('a.txt'), 'and more\n');
  const apply = { token: plan.token, confirm: 'restore' };
  expect(await refused('restore/apply', apply)).toMatch(/^409 refused: .*has changed since it was planned/);
  expect(read('a.txt')).toBe('edited\nand more\n');
  const again = await ok<Plan>('restore/plan', { snapshot: 'latest', paths: ['a.txt'] });
  await ok('restore/apply', { ...apply, token: again.token });
  const back = await ok<Plan>('restore/undo/plan');
  appendFileSync(at('a.txt'), 'after\n');
  expect(await refused('restore/undo', { token: back.token, confirm: 'undo' })).toMatch(/^409 refused: .*has changed since/);
  expect(read('a.txt')).toBe('one\nafter\n');
});

test('a live database needs a word about the programs that use it, and the plan waits for that', async () => {
  const database = new DatabaseSync(at('app.db'));
  database.exec("CREATE TABLE notes(text); INSERT INTO notes VALUES ('kept')");
  const count = () => Number(database.prepare('SELECT count(*) AS n FROM notes').get()?.['n']);
  await sandbox.snapshot(['save']);
  database.exec('DELETE FROM notes');
  const plan = await ok<Plan>('restore/plan', { paths: ['app.db'] });
  expect(plan).toMatchObject({ live_databases: ['app.db'], needs_service_stopped: true, stops_service: false });
  const apply = { token: plan.token, confirm: 'restore' };
  expect(await refused('restore/apply', apply)).toMatch(/^409 refused: .*app\.db may be in use/);
  expect(await refused('restore/apply', { ...apply, live: true, confirm_service_stopped: true })).toMatch(/^400 usage/);
  expect(count()).toBe(0);
  expect(await ok('restore/apply', { ...apply, live: true })).toMatchObject({ databases: 1, restored_integrity_ok: true });
  expect(count()).toBe(1);
  database.close();
});

test('beside the project nothing live is touched, and no way leads out of it', async () => {
  const { id } = await sandbox.snapshot(['save']);
  write('a.txt', 'live\n');
  const aside = await ok<Plan>('restore/plan', { snapshot: id, paths: ['a.txt'], aside: true });
  expect(aside).toMatchObject({ in_place: false, directory: at(`.cora-restore-side/${id}`) });
  expect(await ok('restore/apply', { token: aside.token, confirm: 'restore' })).toMatchObject({ in_place: false, pre_restore_snapshot: null });
  expect([read('a.txt'), read(`.cora-restore-side/${id}/a.txt`)]).toEqual(['live\n', 'one\n']);
  symlinkSync('/tmp', at('out'));
  symlinkSync('nowhere', join(sandbox.project, 'dangling'));
  symlinkSync('round', join(sandbox.project, 'round'));
  for (const into of [
    '../elsewhere',
    '/tmp/elsewhere',
    'out/elsewhere',
    '.git/x',
    '.cora-restore/x',
    '.',
    'dangling',
    'dangling/x',
    'round',
    'x'.repeat(300),
  ])
    expect(await refused('restore/plan', { snapshot: id, into }), into).toMatch(/^409 (?:refused|target_not_empty)/);
  const later = await ok<Plan>('restore/plan', { snapshot: id, into: 'later/on' });
  symlinkSync('/tmp', at('later'));
  expect(await refused('restore/apply', { token: later.token, confirm: 'restore' })).toMatch(/^409 (?:refused|target_not_empty)/);
  expect(existsSync('/tmp/on')).toBe(false);
});

test('a plan names what stands in the way, and a list of no paths is not everything', async () => {
  mkdirSync(at('dir'));
  write('dir/inside.txt', 'saved');
  const { id } = await sandbox.snapshot(['save']);
  renameSync(at('dir'), at('away'));
  symlinkSync('away', at('dir'));
  const plan = await ok<Plan>('restore/plan', { snapshot: id, paths: ['dir/inside.txt'] });
  expect(plan).toMatchObject({ create: 0, replace: 0, in_the_way: [{ path: 'dir', reason: expect.stringContaining('move it away first') }] });
  expect((await sandbox.cora(['restore', id, 'dir/inside.txt', '--dry-run'])).stdout).toContain('in the way: dir, a directory in the snapshot');
  expect(await refused('restore/plan', { snapshot: id, paths: [] })).toMatch(/^400 usage/);
  expect(await ok<Plan>('restore/plan', { snapshot: id })).toMatchObject({ snapshot_id: id });
});

test('a plan of many files is shown by its beginning and its counts, and carried out as a whole', async () => {
  mkdirSync(at('many'));
  for (let number = 0; number < 1100; number++) write(`many/${number}`, `${number}`);
  const { id } = await sandbox.snapshot(['save']);
  for (let number = 0; number < 1050; number++) rmSync(at(`many/${number}`));
  const plan = await ok<Plan>('restore/plan', { snapshot: id, paths: ['many'] });
  expect(plan).toMatchObject({ create: 1050 });
  const { changes, changes_total: total } = plan as unknown as { readonly changes: readonly object[]; readonly changes_total: number };
  expect([changes.length, total]).toEqual([1000, 1100]);
  expect(await ok('restore/apply', { token: plan.token, confirm: 'restore' })).toMatchObject({ complete: true });
  expect(read('many/1049')).toBe('1049');
});

test('paths that are no text and paths out of the vault: exact bytes or nothing', async () => {
  const name = Buffer.from([0x66, 0xff, 0x2e, 0x74]);
  const { execFileSync } = await import('node:child_process');
  execFileSync('sh', ['-c', 'printf raw >"$(printf "f\\377.t")"'], { cwd: sandbox.project });
  const { id } = await sandbox.snapshot(['save']);
  const plan = await ok<Plan>('restore/plan', { snapshot: id, paths_base64: [name.toString('base64')], into: 'new' });
  expect(plan).toMatchObject({ create: 1, changes: [{ action: 'create', path_base64: name.toString('base64') }] });
  for (const path of ['../../etc/passwd', '/etc/passwd', 'a.txt/../../vault/VAULT.json', '%2e%2e/x', 'src/../..'])
    expect(await refused('restore/plan', { snapshot: id, paths: [path] }), path).toMatch(/^404 not_found/);
  for (const snapshot of ['../../etc', '/etc/passwd', 'latest~99', 'a.txt'])
    expect(await refused('restore/plan', { snapshot }), snapshot).toMatch(/^4(?:04 unknown_snapshot|00 usage)/);
  expect(await refused('restore/plan', { snapshot: id, paths: ['a\0b'] })).toMatch(/^400 usage/);
  expect(await refused('restore/plan', {})).toMatch(/^400 usage/);
  expect(await refused('restore/plan', { snapshot: id, more: 1 })).toMatch(/^400 usage/);
  expect(await refused('restore/undo/plan')).toMatch(/^404 not_found/);
  expect((await server.ask('/api/v1/save')).status).toBe(405);
});

test('a vault that is away, or another one in its place, is not served, and none is made anew', async () => {
  await ok('save');
  const away = `${sandbox.vault}.away`;
  renameSync(sandbox.vault, away);
  for (const path of ['snapshots', 'health', 'status']) expect(said(await server.ask(`/api/v1/${path}`))).toContain('503 vault_missing: ');
  for (const path of ['save', 'backup', 'verify']) expect(await refused(path)).toContain('503 vault_missing: ');
  expect(existsSync(sandbox.vault)).toBe(false);
  expect((await sandbox.cora(['save'])).code).toBe(0);
  for (const path of ['save', 'backup']) expect(await refused(path)).toContain('503 vault_foreign: ');
  rmSync(sandbox.vault, { recursive: true });
  renameSync(away, sandbox.vault);
  write('c.txt', 'three\n');
  expect(await ok('save')).toMatchObject({ changed: true, outcome: 'saved' });
});
