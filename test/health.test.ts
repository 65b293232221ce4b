// `cora health`: what is wrong is found, named with the next command, and is the exit code; what is well is 0, and fast.

import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { drillDue } from '../src/actions/health-drill.ts';
import { goodBackups, newestReadable, sizeDrop } from '../src/actions/health-vault.ts';
import { listSnapshots, tryReport } from '../src/vault/catalog.ts';
import { appendLine, formatLine, hashLine, parseLine, readHead, readLines } from '../src/vault/chain.ts';
import { openVault } from '../src/vault/vault.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

type Check = { readonly name: string; readonly level: string; readonly message: string; readonly next: string | null };
type Health = { readonly health: string; readonly checks: readonly Check[]; readonly backups: readonly object[] | null };

const sandbox = new Sandbox();
const open: (() => void)[] = [];
let backup: { readonly id: string; readonly path: string };

async function health(...args: readonly string[]): Promise<{ code: number | null; result: Health; check: (name: string) => Check | undefined }> {
  const { code, result, error } = await sandbox.json(['health', ...args]);
  const found = (result ?? (error as unknown as { details: unknown }).details) as Health;
  return { code, result: found, check: (name) => found.checks.find((one) => one.name === name) };
}

/** What the checks are given, for those that need no process of their own. */
function look() {
  const vault = openVault(sandbox.vault);
  return { vault, refs: listSnapshots(vault), lines: readLines(vault.root).flatMap(({ line }) => line ?? []) };
}

const configure = (text: string) => writeFileSync(join(sandbox.project, 'cora.toml'), text);
const unseal = () => execute('chattr', ['-R', '-f', '-i', backup.path]);

beforeAll(async () => {
  await execute('git', ['init', '-q', sandbox.project]);
  writeFileSync(join(sandbox.project, 'CLAUDE.md'), 'memory');
  writeFileSync(join(sandbox.project, 'noise'), createHash('sha512').update('x').digest('hex').repeat(20_000));
  const database = new Database(join(sandbox.project, 'app.db'));
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE a (x); INSERT INTO a VALUES (1)');
  database.close();
});

afterEach(() => {
  for (const close of open.splice(0)) close();
  rmSync(join(sandbox.project, 'cora.toml'), { force: true });
});
afterAll(() => sandbox.remove());

test('a project that was never saved is too old, and is told what to do', async () => {
  const { code, result, check } = await health();
  expect({ code, result }).toMatchObject({ code: 22, result: { health: 'critical', backups: null } });
  expect(check('backup')).toEqual({ name: 'backup', level: 'critical', message: 'Nothing is saved yet', next: 'cora backup now' });
  await sandbox.snapshot(['save']);
  expect((await health()).code).toBe(22);
  backup = await sandbox.snapshot(['backup', 'now']);
});

test('with a fresh backup all is well; what was never set up is a note', async () => {
  const { code, result, check } = await health();
  expect({ code, result }).toMatchObject({ code: 0, result: { health: 'ok', backups: [{ snapshot_id: backup.id, ok: true }] } });
  expect(result.checks.filter(({ level }) => level === 'note').map(({ name }) => name)).toEqual(
    expect.arrayContaining(['drill', 'hook', 'timers', 'disk']),
  );
  expect(check('readable')?.level).toBe('ok');
  // A save and a checkpoint without the engine lie at the same places; this is no checkpoint.
  expect((await sandbox.json(['status'])).result['warnings']).not.toContainEqual(expect.objectContaining({ next: 'cora doctor' }));
  const { stdout, code: quiet } = await sandbox.cora(['health', '--quiet']);
  expect({ stdout, quiet }).toEqual({ stdout: '', quiet: 0 });
  expect((await sandbox.cora(['health'])).stdout).toMatch(/^HEALTHY: the newest good backup is from \d+ s ago/);
});

test('a backup that is too old ends with 22; health.max_age says what that is', async () => {
  const { code, check } = await health('--max-age', '1ms');
  expect({ code, level: check('backup')?.level }).toEqual({ code: 22, level: 'critical' });
  expect((await sandbox.json(['health', '--max-age', '1ms'])).error.code).toBe('too_old');
  configure('[health]\nmax_age = "1ms"\n');
  expect((await health()).code).toBe(22);
  expect((await health('--max-age', '2d')).code).toBe(0);
});

test('a vault that is not there ends with 10 and says so', async () => {
  renameSync(join(sandbox.vault, 'VAULT.json'), join(sandbox.vault, 'gone'));
  try {
    const { code, check } = await health();
    expect({ code, check: check('vault') }).toMatchObject({
      code: 10,
      check: { level: 'critical', message: expect.stringContaining('not mounted') },
    });
  } finally {
    renameSync(join(sandbox.vault, 'gone'), join(sandbox.vault, 'VAULT.json'));
  }
});

test.runIf(isRoot)('a seal that is lost is a warning, and one that a person took is none', async () => {
  await unseal();
  const { code, check } = await health();
  expect({ code, check: check('seal') }).toMatchObject({ code: 3, check: { level: 'warning', next: 'cora protect' } });
});

test('damage of the newest backup ends with 21: a cut archive, an altered small file, a missing one', async () => {
  await unseal();
  const archive = readdirSync(backup.path).find((name) => name.endsWith('.tar.gz')) ?? '';
  const cases: readonly [file: string, damage: (path: string) => void, says: string][] = [
    [archive, (path) => truncateSync(path, statSync(path).size - 1), `${archive} has `],
    ['FILES.tsv.gz', (path) => writeFileSync(path, readFileSync(path).reverse()), 'FILES.tsv.gz was altered'],
    ['critical/CLAUDE.md', (path) => rmSync(path), 'critical/CLAUDE.md: '],
    ['SHA256SUMS.txt', (path) => writeFileSync(path, 'no sums'), 'SHA256SUMS.txt'],
  ];
  for (const [file, damage, says] of cases) {
    const path = join(backup.path, file);
    const content = readFileSync(path);
    damage(path);
    const { vault, refs } = look();
    expect(newestReadable(vault, refs.at(-1)), file).toMatchObject({ level: 'critical', grave: 'damaged', message: expect.stringContaining(says) });
    if (file === archive) expect((await health()).code).toBe(21);
    writeFileSync(path, content);
  }
  expect((await health()).code).toBe(isRoot ? 3 : 0);
});

test('a flipped bit inside a large file is found with --deep', async () => {
  await unseal();
  const path = join(backup.path, readdirSync(backup.path).find((name) => name.endsWith('.tar.gz')) ?? '');
  writeFileSync(join(sandbox.project, 'big'), Buffer.from(Array.from({ length: 3 << 20 }, (_, at) => (at * 2_654_435_761) >>> 13)));
  const large = await sandbox.snapshot(['backup', 'now']);
  await execute('chattr', ['-R', '-f', '-i', large.path]);
  const archive = join(large.path, path.slice(path.lastIndexOf('/') + 1));
  const content = readFileSync(archive);
  expect(content.length).toBeGreaterThan(1 << 20);
  writeFileSync(archive, content.with(content.length >> 1, (content[content.length >> 1] ?? 0) ^ 1));
  expect((await health()).check('readable')?.level).toBe('ok');
  const { code, check } = await health('--deep');
  expect({ code, check: check('deep') }).toMatchObject({ code: 21, check: { level: 'critical', message: expect.stringContaining(large.id) } });
  writeFileSync(archive, content);
  // The verification that found it stands in the ledger until another one finds it well.
  expect(await health()).toMatchObject({ code: 21 });
  expect((await sandbox.cora(['verify', large.id])).code).toBeLessThan(4);
  expect((await health()).check('verify')?.level).toBe('ok');
});

test('a backup of less than half the size is a warning', async () => {
  rmSync(join(sandbox.project, 'big'));
  await sandbox.snapshot(['backup', 'now']);
  expect((await health()).check('size')).toMatchObject({ level: 'warning', message: expect.stringContaining('Less than half') });
  const { vault, refs } = look();
  const [small] = goodBackups(vault, refs, Date.now(), 1);
  expect(sizeDrop(vault, [small!, small!])).toMatchObject({ level: 'ok' });
});

test('little space and a huge -wal are warnings', async () => {
  const database = new Database(join(sandbox.project, 'app.db'));
  open.push(() => database.close());
  database.exec('BEGIN; INSERT INTO a SELECT hex(randomblob(2000)) FROM json_each(json_array(1,2,3,4,5,6,7,8,9)); COMMIT');
  configure('[health]\nmin_free = "4000TB"\nmax_wal = "10kB"\n');
  const { code, check } = await health();
  expect(code).toBe(3);
  expect(check('space')).toMatchObject({ level: 'warning', message: expect.stringContaining('left') });
  expect(check('wal')).toMatchObject({ level: 'warning', message: expect.stringContaining('app.db') });
});

test('a broken ledger ends with 21', async () => {
  const chain = join(sandbox.vault, 'ledger/chain.log');
  const content = readFileSync(chain);
  writeFileSync(chain, content.toString('latin1').replace(' unchanged ', ' accept ').replace(' save ', ' SAVE '), 'latin1');
  const { code, check } = await health();
  expect({ code, check: check('chain') }).toMatchObject({ code: 21, check: { level: 'critical', next: 'cora verify --chain' } });
  // Damage goes before age, in the code and in what is said.
  expect((await sandbox.cora(['health', '--max-age', '1ms'])).stderr).toMatch(/^cora: The ledger is broken: .*; cora verify --chain\n$/);
  writeFileSync(chain, content);
  expect((await health()).check('chain')?.level).toBe('ok');
});

test('a loss is critical and ends with 3; put back, it is well after the next save', async () => {
  renameSync(join(sandbox.project, 'CLAUDE.md'), join(sandbox.root, 'aside'));
  expect((await sandbox.cora(['save'])).code).toBe(3);
  const { code, result, check } = await health();
  expect({ code, state: result.health, check: check('losses') }).toMatchObject({ code: 3, state: 'critical', check: { next: 'cora lost' } });
  const { stdout } = await sandbox.cora(['backup', 'now', '--json']);
  // Another backup would be suspect too.
  expect((await health()).check('backup')).toMatchObject({ level: 'warning', next: 'cora lost' });
  const suspect = String((JSON.parse(stdout) as { result: { snapshot_id: string } }).result.snapshot_id);
  renameSync(join(sandbox.root, 'aside'), join(sandbox.project, 'CLAUDE.md'));
  await sandbox.snapshot(['save']);
  const back = await health();
  expect(back.check('losses')?.level).toBe('ok');
  // The newest backup lacks what was lost, as `cora status` says too.
  const message = expect.stringMatching(new RegExp(`^The newest backup, ${suspect}, was made while .* newest good backup is from `));
  expect(back).toMatchObject({ code: 3, result: { health: 'warning' } });
  expect(back.check('backup')).toMatchObject({ level: 'warning', message, next: 'cora backup now' });
  expect((await sandbox.cora(['status'])).stdout).toContain(`${suspect}  NOT GOOD`);
  backup = await sandbox.snapshot(['backup', 'now']);
  expect((await health()).check('backup')?.level).toBe('ok');
});

test('runs that failed since the last success are a warning', async () => {
  const holder = await import('node:child_process').then(({ spawn }) =>
    spawn('flock', [join(sandbox.vault, '.lock'), 'sleep', '60'], { stdio: 'ignore', detached: true }),
  );
  try {
    await expect.poll(async () => (await sandbox.cora(['save', '--lock-wait', '0s'])).code, { timeout: 10_000 }).toBe(11);
  } finally {
    process.kill(-holder.pid!, 'SIGKILL');
  }
  expect((await health()).check('runs')).toMatchObject({ level: 'warning', message: expect.stringContaining('failed since') });
  await sandbox.cora(['save']);
  expect((await health()).check('runs')?.level).toBe('ok');
});

test('a hook that would not run is a warning', async () => {
  expect((await sandbox.cora(['hooks', 'install'])).code).toBe(0);
  expect((await health()).check('hook')).toMatchObject({ level: 'ok' });
  await execute('chmod', ['-x', join(sandbox.project, '.git/hooks/pre-push')]);
  expect((await health()).check('hook')).toMatchObject({ level: 'warning', message: expect.stringContaining('not executable') });
  rmSync(join(sandbox.project, '.git/hooks/pre-push'));
});

test('a check that cannot be made is named, and never left out', async () => {
  // A file system whose name is no percent code: what no Cora writes.
  const torture = (extra: string) =>
    appendLine(sandbox.vault, readHead(sandbox.vault), { kind: 'torture', id: 't', time: new Date().toISOString(), sums: '-', extra });
  torture('1,100,0,%E0%');
  const { code, check } = await health();
  expect({ code, check: check('torture') }).toMatchObject({
    code: 3,
    check: { level: 'warning', message: expect.stringContaining('could not be checked') },
  });
  torture('1,100,0,ext4');
  expect((await health()).check('torture')).toMatchObject({ level: 'ok', message: expect.stringContaining('100 faults on ext4') });
});

test('a drill counts until it is old, failed, or the schema of a database changed', async () => {
  const { id } = await sandbox.snapshot(['save', '-m', 'drilled']);
  const drill = (time: number, word: string) =>
    appendLine(sandbox.vault, readHead(sandbox.vault), { kind: 'drill', id, time: new Date(time).toISOString(), sums: '-', extra: `save,${word}` });
  const due = () => {
    const { vault, refs, lines } = look();
    return drillDue(vault, refs, lines, tryReport(vault, refs.at(-1)!), 100 * 86_400_000, Date.now());
  };
  expect(due()).toMatchObject({ level: 'note' });
  drill(Date.now() - 200 * 86_400_000, 'ok');
  expect(due()).toMatchObject({ level: 'warning', message: expect.stringContaining('200 days ago') });
  drill(Date.now(), 'ok');
  expect(due()).toMatchObject({ level: 'ok' });

  const database = new Database(join(sandbox.project, 'app.db'));
  database.exec('VACUUM; INSERT INTO a VALUES (7)');
  await sandbox.snapshot(['save']);
  expect(due()).toMatchObject({ level: 'ok' });
  database.exec('ALTER TABLE a ADD COLUMN y');
  database.close();
  await sandbox.snapshot(['save']);
  expect(due()).toMatchObject({ level: 'warning', message: expect.stringContaining('app.db changed') });
  drill(Date.now(), 'damaged');
  expect(due()).toMatchObject({ level: 'critical', grave: 'damaged' });
  drill(Date.now(), 'stopped');
  expect(due()).toMatchObject({ level: 'critical' });
  drill(Date.now(), 'failed');
  expect((await health()).check('drill')).toMatchObject({ level: 'warning', message: expect.stringContaining('failed') });
  expect((await sandbox.cora(['health'])).stdout).toContain('2 of 4 restore tests succeeded');
});

test('a vault of a thousand snapshots is looked at in about a second', async () => {
  const many = new Sandbox({ fast: true });
  try {
    writeFileSync(join(many.project, 'a.txt'), 'a');
    const first = await many.snapshot(['save']);
    await many.snapshot(['backup', 'now']);
    const chain = join(many.vault, 'ledger/chain.log');
    const report = readFileSync(join(first.path, 'REPORT.json'), 'utf8');
    const lines = readFileSync(chain, 'latin1').split('\n').slice(0, -1);
    const begin = Date.parse('2026-01-01T00:00:00Z');
    for (let n = 0; n < 1000; n++) {
      const time = new Date(begin + n * 900_000).toISOString();
      const day = `progress/${time.slice(0, 10).replaceAll('-', '/')}`;
      const name = `${time.slice(11, 19).replaceAll(':', '')}-nogit`;
      const id = `${time.slice(0, 10).replaceAll('-', '')}-${name}`;
      const before = lines.at(-1)!;
      const [sequence, previous] = [parseLine(before).sequence + 1, hashLine(before)];
      const directory = join(many.vault, day, name);
      mkdirSync(directory, { recursive: true });
      const text = report
        .replaceAll(first.id, id)
        .replace(/"sequence": \d+/, `"sequence": ${sequence}`)
        .replace(/"previous": "\w+"/, `"previous": "${previous}"`);
      writeFileSync(join(directory, 'REPORT.json'), text);
      const sums = `${createHash('sha256').update(text).digest('hex')}  REPORT.json\n`;
      writeFileSync(join(directory, 'SHA256SUMS.txt'), sums);
      const hash = createHash('sha256').update(sums).digest('hex');
      lines.push(formatLine({ sequence, kind: 'save', id, time, previous, sums: hash, extra: '-' }));
    }
    writeFileSync(chain, `${lines.join('\n')}\n`, 'latin1');
    appendFileSync(join(many.project, 'a.txt'), 'b');
    await many.snapshot(['backup', 'now']);
    expect((await many.json(['verify', '--chain'])).code).toBe(0);
    const begun = performance.now();
    expect((await many.json(['health'])).code).toBe(0);
    // About half a second on an idle machine; this one may be busy.
    expect(performance.now() - begun).toBeLessThan(4000);
  } finally {
    await many.remove();
  }
}, 60_000);
