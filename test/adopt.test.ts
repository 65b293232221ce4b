// Backups of the four tools before Cora, made here as REQUIREMENTS.md describes them: listed, verified as far as they
// allow, restored, and never changed. Damaged and hostile ones are named, and nothing of them gets out.

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DocumentRun, jsonHere } from './support/in-process.ts';
import { isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const sandbox = new Sandbox({ fast: true });
const old = join(sandbox.root, 'old');
const places = { cora: join(old, 'app'), atlas: join(old, 'atlas'), atocore: join(old, 'atocore'), cortex: join(old, 'cortex') };
const CORA_ID = '20250823-031500-1a2b3c4';
const ATLAS_ID = 'cortex-20260301-030000';
const ATOCORE_ID = '20260410T031500Z';
const CORTEX_ID = 'cortex-backup-20260501-120000';
const NAMED_ID = 'notes-backup-20260502-080910';
let before: string;

afterAll(() => sandbox.remove());

const json = (args: readonly string[]): Promise<DocumentRun> => jsonHere(sandbox, args);

function sh(command: string, cwd: string): string {
  return execFileSync('/bin/sh', ['-c', command], { cwd, encoding: 'utf8', env: { PATH: process.env['PATH'], LC_ALL: 'C' } });
}

function database(path: string, rows: number, mode = 'delete'): void {
  const made = new Sqlite(path);
  made.pragma(`journal_mode = ${mode}`);
  made.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)');
  const insert = made.prepare('INSERT INTO notes (text) VALUES (?)');
  made.transaction(() => {
    for (let row = 0; row < rows; row++) insert.run(`note ${row} ${'x'.repeat(100)}`);
  })();
  made.close();
}

function count(path: string): unknown {
  const opened = new Sqlite(path, { readonly: true });
  try {
    return opened.prepare('SELECT count(*) FROM notes').pluck().get();
  } finally {
    opened.close();
  }
}

/** Every file with its content, mode, time and owner, as one text. */
function fingerprint(root: string): string {
  return sh("find . -printf '%P %M %u %s %T@ %l\\n' | sort; find . -type f -exec sha256sum {} + | sort", root);
}

function makeCora(root: string, id: string): void {
  const [backup, project] = [join(root, id), join(root, '.project')];
  mkdirSync(join(project, 'src'), { recursive: true });
  mkdirSync(join(project, 'data'));
  writeFileSync(join(project, 'src', 'app.js'), 'console.log(1)\n');
  writeFileSync(join(project, 'AI_WORK_LOG.md'), '# log\n');
  database(join(project, 'data', 'app.db'), 20);
  mkdirSync(join(backup, 'critical'), { recursive: true });
  mkdirSync(join(backup, 'db', 'data'), { recursive: true });
  // The archive took the live file and a log that belongs to it; the copy beside it is the consistent one.
  sh(`cp ${project}/AI_WORK_LOG.md ${backup}/critical/; printf stale > ${project}/data/app.db-wal`, root);
  database(join(backup, 'db', 'data', 'app.db'), 25);
  sh(`tar -czf ${backup}/app-full.tar.gz -C ${project} . && rm -r ${project}`, root);
  writeFileSync(join(backup, 'MANIFEST.txt'), 'CORA backup\n');
  writeFileSync(join(backup, 'LARGE_FILES.txt'), '');
  writeFileSync(join(backup, 'REPORT.json'), JSON.stringify({ status: 'success', files: 3 }));
  sh('find . -type f ! -name SHA256SUMS.txt -exec sha256sum {} + > SHA256SUMS.txt', backup);
}

function makeAtlas(root: string): void {
  const content = join(root, '.content');
  mkdirSync(join(content, 'chroma'), { recursive: true });
  mkdirSync(join(content, 'assets'));
  mkdirSync(join(root, 'daily'));
  mkdirSync(join(root, 'manual'));
  database(join(content, 'cortex.db'), 30, 'wal');
  database(join(content, 'chroma', 'chroma.sqlite3'), 5);
  writeFileSync(join(content, 'assets', 'voice.bin'), Buffer.alloc(50_000, 7));
  writeFileSync(join(content, '.env'), 'KEY=value\n');
  sh(
    `tar --format=pax -czf daily/${ATLAS_ID}.tar.gz -C .content . && cp -p daily/${ATLAS_ID}.tar.gz manual/cortex-pre-upgrade.tar.gz && rm -r .content`,
    root,
  );
  writeFileSync(join(root, 'daily', 'README'), 'not a backup\n');
}

function makeAtocore(root: string): void {
  const snapshot = join(root, 'snapshots', ATOCORE_ID);
  for (const name of ['db', 'config', 'chroma']) mkdirSync(join(snapshot, name), { recursive: true });
  database(join(snapshot, 'db', 'atocore.db'), 40);
  database(join(snapshot, 'chroma', 'chroma.sqlite3'), 3);
  writeFileSync(join(snapshot, 'chroma', 'data_level0.bin'), Buffer.alloc(10_000, 1));
  writeFileSync(join(snapshot, 'config', 'project-registry.json'), '{"projects": []}');
  writeFileSync(join(snapshot, 'backup-metadata.json'), JSON.stringify({ created_at: '2026-04-10T03:15:00Z', chroma_snapshot_included: true }));
}

function makeCortex(root: string): void {
  mkdirSync(root, { recursive: true });
  database(join(root, `${CORTEX_ID}.db`), 50);
  database(join(root, `${NAMED_ID}.db`), 60, 'wal');
}

beforeAll(async () => {
  for (const path of Object.values(places)) mkdirSync(path, { recursive: true });
  makeCora(places.cora, CORA_ID);
  makeAtlas(places.atlas);
  makeAtocore(places.atocore);
  makeCortex(places.cortex);
  writeFileSync(join(sandbox.project, 'a.txt'), 'a\n');
  before = fingerprint(old);
  await sandbox.snapshot(['save']);
  for (const path of Object.values(places)) {
    const run = await json(['adopt', path]);
    if (run.code !== 0) throw new Error(JSON.stringify(run));
  }
}, 60_000);

type Row = {
  readonly snapshot_id: string;
  readonly kinds: readonly string[];
  readonly layout?: string;
  readonly type: string;
  readonly time: string;
};

test('adopt says what it found, and again that it knows it', async () => {
  const known = await json(['adopt', places.atlas]);
  expect(known).toMatchObject({ code: 0, result: { outcome: 'known', directory: places.atlas } });
  const run = await sandbox.cora(['adopt', places.cora, '--dry-run']);
  expect(run.stdout).toBe(`Would adopt ${places.cora}: 1 CORA backup, ${CORA_ID} to ${CORA_ID}\n`);
});

test('list shows every one as older history, with kind and layout', async () => {
  const { result } = await json(['list']);
  const rows = result['snapshots'] as Row[];
  expect(rows.slice(0, -1).map(({ snapshot_id, kinds, layout, type }) => [snapshot_id, kinds[0], layout, type])).toEqual([
    [CORA_ID, 'adopted', 'cora', 'adopted'],
    [ATLAS_ID, 'adopted', 'atlas', 'daily'],
    [ATOCORE_ID, 'adopted', 'atocore', 'adopted'],
    [CORTEX_ID, 'adopted', 'cortex', 'adopted'],
    [NAMED_ID, 'adopted', 'cortex', 'adopted'],
    ['cortex-pre-upgrade', 'adopted', 'atlas', 'manual'],
  ]);
  expect(rows.at(-1)?.kinds).toEqual(['save']);
  expect(rows[0]?.time).toBe('2025-08-23T03:15:00.000Z');
  expect(rows[2]?.time).toBe('2026-04-10T03:15:00.000Z');
  expect((await sandbox.cora(['list'])).stdout).toMatch(
    new RegExp(`^${CORA_ID} +adopted +\\d+ days ago +2025-08-23 \\d\\d:\\d\\d +- +[\\d.]+ kB +CORA backup: ${places.cora}/`, 'm'),
  );
  expect((await json(['list', '--saves'])).result['total']).toBe(1);
});

test.each([
  [CORA_ID, ['6 files have the sum', 'REPORT.json parses', 'the archive reads to its end', '1 database passes'], []],
  [ATLAS_ID, ['the archive reads to its end', '2 databases pass'], ['no sums were recorded']],
  [ATOCORE_ID, ['backup-metadata.json parses', 'config/project-registry.json parses', '2 databases pass'], ['no sums were recorded']],
  [CORTEX_ID, ['1 database passes'], ['no sums were recorded']],
  [NAMED_ID, ['1 database passes'], ['no sums were recorded']],
])('verify %s says how far it went', async (id, checked, unchecked) => {
  const run = await json(['verify', id]);
  expect(run.code).toBe(0);
  const [snapshot] = run.result['snapshots'] as { ok: boolean; kind: string; checked: string[]; not_checked: string[] }[];
  expect(snapshot).toMatchObject({ snapshot_id: id, kind: 'adopted', ok: true, damaged: [] });
  for (const text of checked) expect(snapshot?.checked.join('\n')).toContain(text);
  expect(snapshot?.not_checked).toHaveLength(unchecked.length);
  for (const text of unchecked) expect(snapshot?.not_checked.join('\n')).toContain(text);
});

test('a moment before the first snapshot names the adopted one', async () => {
  const run = await json(['show', '--at', '2026-03-15']);
  expect(run).toMatchObject({ code: 2, error: { code: 'unknown_snapshot', details: { adopted: ATLAS_ID } } });
});

test('show tells what it is', async () => {
  expect((await sandbox.cora(['show', ATLAS_ID])).stdout).toContain('Kind      Atlas archive, daily\n');
});

describe('restore', () => {
  const target = (name: string): string => join(sandbox.root, `out-${name}`);

  test('a CORA backup: the archive, with the consistent copy of the database', async () => {
    const to = target('cora');
    expect(await sandbox.json(['restore', CORA_ID, '--to', to])).toMatchObject({ code: 0, result: { snapshot_id: CORA_ID, layout: 'cora' } });
    expect(readFileSync(join(to, 'src', 'app.js'), 'utf8')).toBe('console.log(1)\n');
    expect(count(join(to, 'data', 'app.db'))).toBe(25);
    // A log of another state would be replayed into it.
    expect(readdirSync(join(to, 'data'))).toEqual(['app.db']);
    expect(lstatSync(to).mode & 0o777).toBe(0o755);
  });

  test('a CORA backup: critical files and databases alone', async () => {
    const to = target('critical');
    expect((await sandbox.cora(['restore', CORA_ID, '--critical', '--to', to])).code).toBe(0);
    expect(readdirSync(to).sort()).toEqual(['AI_WORK_LOG.md', 'data']);
  });

  test('an Atlas archive, and one path of it', async () => {
    const to = target('atlas');
    expect((await sandbox.cora(['restore', ATLAS_ID, '--to', to])).code).toBe(0);
    expect(readdirSync(to).sort()).toEqual(['.env', 'assets', 'chroma', 'cortex.db']);
    expect(count(join(to, 'cortex.db'))).toBe(30);
    const part = target('atlas-part');
    expect((await json(['restore', ATLAS_ID, 'chroma/', '--to', part])).code).toBe(0);
    expect(readdirSync(part)).toEqual(['chroma']);
    const one = target('atlas-one');
    expect((await sandbox.cora(['restore', ATLAS_ID, 'assets/voice.bin', './.env', '--to', one])).code).toBe(0);
    expect(readdirSync(one).sort()).toEqual(['.env', 'assets']);
    expect(lstatSync(join(one, 'assets', 'voice.bin')).size).toBe(50_000);
    expect(await json(['restore', ATLAS_ID, 'nothing', '--to', target('none')])).toMatchObject({ code: 1, error: { code: 'not_found' } });
    expect(existsSync(target('none'))).toBe(false);
  });

  test('an AtoCore snapshot into a directory that is there and empty', async () => {
    const to = target('atocore');
    mkdirSync(to);
    expect((await sandbox.cora(['restore', ATOCORE_ID, '--to', to])).code).toBe(0);
    expect(readdirSync(to).sort()).toEqual(['backup-metadata.json', 'chroma', 'config', 'db']);
    expect(count(join(to, 'db', 'atocore.db'))).toBe(40);
  });

  test('a Cortex copy, by its path', async () => {
    const to = target('cortex');
    expect((await sandbox.cora(['restore', join(places.cortex, `${NAMED_ID}.db`), '--to', to])).code).toBe(0);
    expect(count(join(to, `${NAMED_ID}.db`))).toBe(60);
  });

  test('a dry run writes nothing; in place and over what is there are refused', async () => {
    const to = target('dry');
    expect(await json(['restore', CORA_ID, '--to', to, '--dry-run'])).toMatchObject({ code: 0, result: { dry_run: true, files: 3 } });
    expect(existsSync(to)).toBe(false);
    expect(await json(['restore', CORA_ID, '--yes'])).toMatchObject({ code: 20, error: { code: 'refused' } });
    expect(await json(['restore', CORA_ID, '--to', sandbox.project])).toMatchObject({ code: 20, error: { code: 'target_not_empty' } });
  });
});

test('all this changed nothing in what was adopted, and the vault holds no copy', () => {
  expect(fingerprint(old)).toBe(before);
  expect(readdirSync(join(sandbox.vault, '.stage')).filter((name) => name !== 'intent')).toEqual([]);
  const register = JSON.parse(readFileSync(join(sandbox.vault, 'ledger', 'adopted.json'), 'utf8')) as { adopted: { path: string; kind: string[] }[] };
  expect(register.adopted.map(({ path, kind }) => [path, kind])).toEqual([
    [places.cora, ['cora']],
    [places.atlas, ['atlas']],
    [places.atocore, ['atocore']],
    [places.cortex, ['cortex']],
  ]);
});

describe('damage is named, and nothing of it is restored', () => {
  const bad = join(sandbox.root, 'bad');

  async function damagesOf(id: string): Promise<string[]> {
    const run = await json(['verify', join(bad, id)]);
    expect(run).toMatchObject({ code: 21, error: { code: 'damaged' } });
    const details = (run.error as { details?: { snapshots: { damaged: { path: string; reason: string }[] }[] } }).details;
    const to = join(sandbox.root, 'out-bad');
    expect(await json(['restore', join(bad, id), '--to', to])).toMatchObject({ code: 21, error: { code: 'damaged' } });
    expect(existsSync(to)).toBe(false);
    return (details?.snapshots[0]?.damaged ?? []).map(({ path, reason }) => `${path}: ${reason}`);
  }

  function flip(path: string, at: number): void {
    const content = readFileSync(path);
    content[at] = (content[at] ?? 0) ^ 0xff;
    writeFileSync(path, content);
  }

  beforeAll(async () => {
    mkdirSync(bad);
    for (const name of ['20250824-031500-1a2b3c4', '20250825-031500-1a2b3c4', '20250826-031500-1a2b3c4']) makeCora(bad, name);
    sh(`rm 20250824-031500-1a2b3c4/critical/AI_WORK_LOG.md; printf y >> 20250824-031500-1a2b3c4/MANIFEST.txt`, bad);
    // Its sums were made again: only gzip finds it.
    flip(join(bad, '20250825-031500-1a2b3c4', 'app-full.tar.gz'), 300);
    sh('find . -type f ! -name SHA256SUMS.txt -exec sha256sum {} + > SHA256SUMS.txt', join(bad, '20250825-031500-1a2b3c4'));
    writeFileSync(join(bad, '20250826-031500-1a2b3c4', 'SHA256SUMS.txt'), 'nonsense\n');
    sh(`head -c 700 ${places.atlas}/daily/${ATLAS_ID}.tar.gz > cortex-cut.tar.gz`, bad);
    sh(`mkdir x && tar -xzf ${places.atlas}/daily/${ATLAS_ID}.tar.gz -C x`, bad);
    const corrupt = readFileSync(join(bad, 'x', 'cortex.db'));
    writeFileSync(join(bad, 'x', 'cortex.db'), Buffer.concat([corrupt.subarray(0, 4096), Buffer.alloc(corrupt.length - 4096, 0xaa)]));
    sh('tar -czf cortex-corrupt.tar.gz -C x . && rm -r x', bad);
    writeFileSync(join(bad, 'cortex-backup-1.db'), Buffer.concat([corrupt.subarray(0, 4096), Buffer.alloc(corrupt.length - 4096, 0xaa)]));
    writeFileSync(join(bad, 'cortex-backup-2.db'), '');
    const inconsistent = new Sqlite(join(bad, 'cortex-backup-3.db'));
    inconsistent.exec('CREATE TABLE t (a); INSERT INTO t VALUES (NULL)');
    inconsistent.unsafeMode(true);
    inconsistent.pragma('writable_schema = ON');
    inconsistent.exec("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a NOT NULL)'");
    inconsistent.close();
    sh(`cp -r ${places.atocore}/snapshots/${ATOCORE_ID} ./20260411T031500Z && cp -r 20260411T031500Z 20260412T031500Z`, bad);
    sh('rm backup-metadata.json; printf "{" > config/project-registry.json; rm db/atocore.db', join(bad, '20260411T031500Z'));
    sh('rm -r chroma; printf "no database" > db/atocore.db', join(bad, '20260412T031500Z'));
    expect((await json(['adopt', bad])).code).toBe(0);
  });

  test('a CORA backup: missing and changed files, a bad archive behind good sums, sums that are none', async () => {
    const found = await damagesOf('20250824-031500-1a2b3c4');
    expect(found).toHaveLength(2);
    expect(found.find((line) => line.startsWith('critical/'))).toBe('critical/AI_WORK_LOG.md: it is missing');
    expect(found.find((line) => line.startsWith('MANIFEST'))).toMatch(/^MANIFEST.txt: its content changed/);
    expect((await damagesOf('20250825-031500-1a2b3c4'))[0]).toMatch(/^app-full.tar.gz: .* cannot be read to its end/);
    expect((await damagesOf('20250826-031500-1a2b3c4'))[0]).toMatch(/^SHA256SUMS.txt: /);
  });

  test('an Atlas archive: cut, and with a corrupt database inside', async () => {
    expect((await damagesOf('cortex-cut.tar.gz'))[0]).toMatch(/cannot be read to its end/);
    expect((await damagesOf('cortex-corrupt.tar.gz'))[0]).toMatch(/^cortex.db: db_(?:open_failed|integrity_check_failed): /);
  });

  test("AtoCore's words for what is missing or does not parse", async () => {
    const words = (await damagesOf('20260411T031500Z')).map((line) => /: (\w+)/.exec(line)?.[1]);
    expect(words).toEqual(['metadata_missing', 'db_snapshot_missing', 'registry_invalid_json']);
    const others = (await damagesOf('20260412T031500Z')).map((line) => /: (\w+)/.exec(line)?.[1]);
    expect(others).toEqual(['db_open_failed', 'chroma_snapshot_missing']);
  });

  test('a Cortex copy: corrupt, empty, and with a row that breaks a rule', async () => {
    expect((await damagesOf('cortex-backup-1.db'))[0]).toMatch(/^cortex-backup-1.db: db_/);
    expect((await damagesOf('cortex-backup-2.db'))[0]).toBe('cortex-backup-2.db: db_open_failed: it is empty');
    expect((await damagesOf('cortex-backup-3.db'))[0]).toMatch(/^cortex-backup-3.db: db_integrity_check_failed: NULL value in t.a/);
  });
});

describe('hostile archives stay inside', () => {
  const evil = join(sandbox.root, 'evil');
  const PYTHON = `
import tarfile, io, sys
def archive(name, *members):
    with tarfile.open(name, 'w:gz') as t:
        for path, kind, link in members:
            info = tarfile.TarInfo(path); info.type = kind; info.linkname = link; info.mode = 0o4755
            if kind == tarfile.REGTYPE: info.size = 4
            t.addfile(info, io.BytesIO(b'evil') if kind == tarfile.REGTYPE else None)
F, S, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
archive('cortex-dotdot.tar.gz', ('ok', F, ''), ('../escape', F, ''))
archive('cortex-deep.tar.gz', ('a/../../escape', F, ''))
archive('cortex-absolute.tar.gz', (sys.argv[1] + '/escape', F, ''))
archive('cortex-symlink.tar.gz', ('d', S, sys.argv[1]), ('d/escape', F, ''))
archive('cortex-chain.tar.gz', ('a', S, '..'), ('b', S, 'a/..'), ('b/escape', F, ''))
archive('cortex-hardlink.tar.gz', ('h', H, sys.argv[1] + '/precious'), ('h', F, ''))
archive('cortex-special.tar.gz', ('suid', F, ''), ('fifo', tarfile.FIFOTYPE, ''), ('dev', tarfile.CHRTYPE, ''), ('out', S, sys.argv[1]))
`;

  beforeAll(async () => {
    mkdirSync(evil);
    writeFileSync(join(evil, 'precious'), 'precious\n');
    execFileSync('python3', ['-c', PYTHON, evil], { cwd: evil });
    expect((await json(['adopt', evil])).code).toBe(0);
  });

  test.each(['dotdot', 'deep', 'absolute', 'symlink', 'chain', 'hardlink', 'special'])('%s', async (name) => {
    const out = join(sandbox.root, `evil-out-${name}`, 'deep', 'er');
    const run = await json(['restore', `cortex-${name}`, '--to', out]);
    expect([0, 21]).toContain(run.code);
    if (name === 'dotdot' || name === 'deep') expect(run.code).toBe(21);
    expect(readFileSync(join(evil, 'precious'), 'utf8')).toBe('precious\n');
    expect(existsSync(join(evil, 'escape'))).toBe(false);
    expect(sh("find . -name escape -not -path '*/deep/er/*'", sandbox.root).replace(/^\.\/evil-out-\S+\n/gm, '')).toBe('');
    if (run.code === 21) expect(existsSync(out)).toBe(false);
    else expect(sh('find . -type p -o -type c -o -type b -o -perm /6000', out)).toBe('');
    expect(sh("find . -name '.cora-restore-*'", sandbox.root)).toBe('');
  });

  test('one path of an archive with absolute names', async () => {
    const out = join(sandbox.root, 'evil-part');
    const top = sandbox.root.split('/')[1]!;
    expect(await json(['restore', 'cortex-absolute', top, '--to', out])).toMatchObject({ code: 0, result: { files: 1 } });
    expect(readFileSync(join(out, evil, 'escape'), 'utf8')).toBe('evil');
  });

  test('what is left out is said', async () => {
    const out = join(sandbox.root, 'evil-said');
    const run = await json(['restore', 'cortex-special', '--to', out]);
    expect(run.problems.map(({ path }) => path).sort()).toEqual(['dev', 'fifo', 'suid']);
    expect(lstatSync(join(out, 'out')).isSymbolicLink()).toBe(true);
  });
});

test('a directory without any backup, and a vault, are refused', async () => {
  expect(await json(['adopt', sandbox.project])).toMatchObject({ code: 1, error: { code: 'not_found' } });
  expect(await json(['adopt', sandbox.vault])).toMatchObject({ code: 2, error: { code: 'usage' } });
  expect(await json(['adopt', join(sandbox.root, 'nowhere')])).toMatchObject({ code: 1, error: { code: 'not_found' } });
});

test('two with one id ask which, and a link is no backup', async () => {
  const twin = join(sandbox.root, 'twin');
  mkdirSync(twin);
  makeCora(twin, CORA_ID);
  symlinkSync(CORA_ID, join(twin, '20250827-031500-1a2b3c4'));
  expect((await json(['adopt', twin])).result['snapshots']).toHaveLength(1);
  expect(await json(['verify', CORA_ID])).toMatchObject({ code: 2, error: { code: 'ambiguous_snapshot' } });
  expect((await json(['verify', join(twin, CORA_ID)])).code).toBe(0);
  expect(await json(['adopt', '--forget', twin])).toMatchObject({ code: 0, result: { outcome: 'forgotten' } });
  expect((await json(['verify', CORA_ID])).code).toBe(0);
});

test("a vault of Cora's without VAULT.json is read, and a disk that is away is no error", async () => {
  const other = new Sandbox({ fast: true });
  try {
    writeFileSync(join(other.project, 'AI_WORK_LOG.md'), 'work\n');
    database(join(other.project, 'app.db'), 12, 'wal');
    const { id } = await other.snapshot(['backup', 'now']);
    const lost = join(other.root, 'lost');
    renameSync(other.vault, lost);
    sh('rm VAULT.json', lost);
    const adopted = await other.json(['adopt', lost]);
    expect(adopted).toMatchObject({ code: 0, result: { snapshots: [{ snapshot_id: id, layout: 'cora' }] } });
    expect((await other.json(['verify', id])).code).toBe(0);
    const to = join(other.root, 'out');
    expect((await other.cora(['restore', id, '--to', to])).code).toBe(0);
    expect(readFileSync(join(to, 'AI_WORK_LOG.md'), 'utf8')).toBe('work\n');
    expect(count(join(to, 'app.db'))).toBe(12);
    sh(`chattr -R -f -ia ${lost}; mv ${lost} ${lost}-away; true`, other.root);
    const list = await other.json(['list']);
    expect(list).toMatchObject({ code: 0, result: { total: 0 } });
    expect(list.stderr).toContain(`${lost} cannot be read now`);
  } finally {
    await other.remove();
  }
});

const noNobody = whyNotNobody();
test.skipIf(noNobody !== undefined)(
  `an ordinary user: what may not be read is said, read-only directories are restored (${noNobody ?? 'here'})`,
  async () => {
    const user = new Sandbox({ nobody: true });
    try {
      const place = join(user.root, 'place');
      for (const path of [place, join(place, 'x'), join(place, 'x', 'locked')]) mkdirSync(path);
      writeFileSync(join(place, 'x', 'locked', 'file'), 'content\n');
      sh('mkfifo x/pipe', place);
      sh('chmod 555 x/locked x && tar -czf cortex-readonly.tar.gz -C x . && chmod 755 x x/locked && rm -r x', place);
      makeCora(place, CORA_ID);
      sh(
        `chown -R 65534:65534 . ; cp cortex-readonly.tar.gz cortex-secret.tar.gz; chmod 600 cortex-secret.tar.gz; chown 0:0 cortex-secret.tar.gz`,
        place,
      );
      writeFileSync(join(user.project, 'a.txt'), 'a\n');
      user.own(join(user.project, 'a.txt'));
      expect((await user.json(['adopt', place])).code).toBe(0);
      expect((await user.json(['verify', CORA_ID])).code).toBe(0);
      const to = join(user.home, 'out');
      const restored = await user.json(['restore', 'cortex-readonly', '--to', to]);
      expect(restored.code).toBe(0);
      expect(restored.problems.map(({ path }) => path)).toEqual(['pipe']);
      expect(readFileSync(join(to, 'locked', 'file'), 'utf8')).toBe('content\n');
      expect([lstatSync(to).mode & 0o777, lstatSync(join(to, 'locked')).mode & 0o777]).toEqual([0o555, 0o555]);
      expect(readdirSync(user.home).filter((name) => name.startsWith('.cora'))).toEqual([]);
      if (isRoot) expect(await user.json(['verify', 'cortex-secret'])).toMatchObject({ code: 1, error: { code: 'io' } });
    } finally {
      await user.remove();
    }
  },
);
