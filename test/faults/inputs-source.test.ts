// docs/reliability.md, bad inputs 11 to 20: files that cannot be read, change, vanish, or are no files.

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { fault, type Scene } from '../support/bad-input.ts';
import { execute } from '../support/sandbox.ts';

const strace = { programs: ['strace'] };

function database(s: Scene, name = 'app.db'): string {
  const path = s.at(name);
  const db = new Database(path);
  db.pragma('journal_mode = wal');
  db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1), (2), (3)');
  db.close();
  return path;
}

type Report = { readonly not_covered: readonly { path: string; reason: string }[] };

/** The report of the newest snapshot. */
async function report(s: Scene): Promise<Report> {
  const shown = await s.quick(['show', 'latest']);
  return (shown.result['forms'] as { report: Report }[])[0]?.report ?? { not_covered: [] };
}

fault('11', 'a file and a directory that may not be read are named, and that what is in the directory is unknown', { nobody: true }, async (s) => {
  s.write('closed.txt');
  s.write('shut/inside.txt');
  await s.begin();
  s.write('closed.txt', 'changed\n');
  chmodSync(s.at('closed.txt'), 0);
  chmodSync(s.at('shut'), 0);
  const run = await s.cora(['save']);
  s.ends(run, 3, /closed\.txt: The file cannot be read/);
  s.ends(run, 3, /shut: The directory cannot be read \(EACCES\); what is in it is not in this snapshot/);
  await s.recovers(3);
  expect((await s.cora(['cat', s.old, 'shut/inside.txt'])).stdout).toBe('shut/inside.txt as saved\n');
});

fault('12', 'a file that vanishes between the list and its reading: a note, and an error where it is critical', strace, async (s) => {
  await s.begin();
  const gone = (path: string) => ['-P', path, '-e', 'trace=openat,open', '-e', 'inject=openat,open:error=ENOENT'];
  s.ends(await s.strace(gone(s.write('brief.txt')), ['save']), 0, /warning: brief\.txt: The file vanished between the scan and the read/);
  s.ends(await s.strace(gone(s.write('.env', 'KEY=1\n')), ['save']), 3, /error: \.env: The file vanished between the scan and the read/);
  await s.recovers();
});

fault('13', 'a file that grows while it is read is stored as far as it was listed; one that is cut is named', strace, async (s) => {
  const path = s.write('moving.bin', randomBytes(300_000));
  await s.begin();
  const slow = ['-P', path, '-e', 'trace=read,pread64', '-e', 'inject=read,pread64:delay_enter=100000'];
  const grows = s.loop(`echo more >> '${path}'; sleep 0.01`);
  s.ends(await s.strace(slow, ['save']), 0, /Saved/);
  grows();
  const { result } = await s.quick(['cat', 'latest', 'moving.bin']);
  const stored = Buffer.from(String(result['content_base64']), 'base64');
  expect(stored.length).toBeGreaterThanOrEqual(300_000);
  expect(readFileSync(path).subarray(0, stored.length).equals(stored)).toBe(true);
  // Shorter at each reading than at the look before it.
  const cut = s.loop(`n=300000; while [ $n -gt 0 ]; do truncate -s $n '${path}'; n=$((n-50)); sleep 0.01; done`);
  s.ends(await s.strace(slow, ['save']), 3, /error: moving\.bin: The file changed each time it was read; what is stored may mix two states/);
  cut();
  await s.recovers();
});

fault('14', 'a file that is rewritten in place with the same size while it is read', strace, async (s) => {
  const path = s.write('table.bin', randomBytes(300_000));
  await s.begin();
  const rewrites = s.loop(`head -c 300000 /dev/urandom | dd of='${path}' conv=notrunc bs=300000 iflag=fullblock; sleep 0.01`);
  const slow = ['-P', path, '-e', 'trace=read,pread64', '-e', 'inject=read,pread64:delay_enter=100000'];
  s.ends(await s.strace(slow, ['save']), 3, /error: table\.bin: The file changed each time it was read/);
  rewrites();
  await s.recovers();
});

fault('15', 'a database with a writer, an open transaction and a large -wal: a consistent copy, or none and its name', {}, async (s) => {
  database(s);
  s.write('cora.toml', '[databases]\ntimeout = "1s"\n');
  await s.begin();
  const db = new Database(s.at('app.db'));
  s.later(() => db.close());
  db.pragma('wal_autocheckpoint = 0');
  db.exec('INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) SELECT randomblob(900) FROM c');
  db.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (99)');
  s.ends(await s.cora(['backup', 'now']), 0, /Databases 1/);
  await s.cora(['restore', 'latest', '--to', join(s.box.root, 'out')]);
  const copy = new Database(join(s.box.root, 'out/app.db'), { readonly: true });
  expect(copy.prepare('SELECT count(*) FROM t').pluck().get()).toBe(2003);
  copy.close();
  db.exec('COMMIT');
  db.pragma('journal_mode = delete');
  db.exec('BEGIN EXCLUSIVE; INSERT INTO t VALUES (100)');
  s.ends(await s.cora(['save']), 3, /error: app\.db: .*lock/);
  db.exec('COMMIT');
  await s.recovers();
});

fault('16', 'databases that are none, encrypted or corrupt are kept byte for byte and named', {}, async (s) => {
  const path = database(s);
  await s.begin();
  const whole = readFileSync(path);
  const corrupt = Buffer.from(whole);
  corrupt.fill(0x5a, 4096, 5000);
  writeFileSync(path, corrupt);
  s.write('text.db', 'no database at all\n');
  s.write('secret.sqlite3', randomBytes(16_384));
  const run = await s.cora(['backup', 'now']);
  s.ends(run, 3, /app\.db/);
  s.ends(run, 3, /secret\.sqlite3/);
  for (const name of ['app.db', 'text.db', 'secret.sqlite3']) {
    const { result } = await s.quick(['cat', 'latest', name]);
    expect(Buffer.from(String(result['content_base64']), 'base64').equals(readFileSync(s.at(name)))).toBe(true);
  }
  await s.recovers(3);
});

fault('17', 'no copy of a database has a journal beside it, and one that is put there is damage', {}, async (s) => {
  const path = database(s);
  const db = new Database(path);
  s.later(() => db.close());
  db.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (4)');
  await s.begin('backup');
  db.exec('ROLLBACK');
  const directory = join(s.box.vault, s.old);
  expect(readdirSync(join(directory, 'db'))).toEqual(['app.db']);
  expect(readFileSync(join(directory, 'db/app.db')).subarray(18, 20)).toEqual(Buffer.from([1, 1]));
  await execute('chattr', ['-R', '-i', directory]);
  writeFileSync(join(directory, 'db/app.db-journal'), randomBytes(512));
  s.ends(await s.cora(['verify', s.old]), 21, /db\/app\.db-journal/);
  await execute('rm', [join(directory, 'db/app.db-journal')]);
  await s.cora(['protect']);
  await s.recovers();
});

fault('18', 'a FIFO is recorded and waited for by nobody', {}, async (s) => {
  await s.begin();
  await execute('mkfifo', [s.at('pipe'), s.at('.env')]);
  s.ends(await s.cora(['save']), 0, /Saved/);
  s.ends(await s.cora(['backup', 'now']), 0, /Backup/);
  s.ends(await s.cora(['restore', 'latest', '--to', join(s.box.root, 'out')]), 0, /Restored/);
  expect((await execute('test', ['-p', join(s.box.root, 'out/pipe')])).code).toBe(0);
  await s.recovers();
});

fault('19', 'sockets and devices are recorded and never read', { root: true }, async (s) => {
  await s.begin();
  const server = createServer().listen(s.at('socket'));
  s.later(() => server.close());
  await execute('mknod', [s.at('endless'), 'c', '1', '5']);
  await execute('mknod', [s.at('disk'), 'b', '7', '250']);
  s.ends(await s.cora(['save']), 0, /Saved/);
  s.ends(await s.cora(['backup', 'now']), 0, /Backup/);
  const { result } = await s.quick(['find', '*']);
  expect(
    (result['found'] as { path: string; type: string }[]).filter(({ type }) => type === 'socket' || type === 'device').map(({ path }) => path),
  ).toEqual(['disk', 'endless', 'socket']);
  await s.recovers();
});

fault('20', 'mounts in the project are not entered, and named', { root: true }, async (s) => {
  mkdirSync(s.at('mounted'));
  mkdirSync(s.at('proc'));
  await s.begin();
  await s.tmpfs(s.at('mounted'));
  writeFileSync(s.at('mounted/elsewhere.txt'), 'x');
  const bound = await execute('/bin/mount', ['-t', 'proc', 'proc', s.at('proc')]);
  if (bound.code === 0) s.later(() => execute('/bin/umount', ['-l', s.at('proc')]));
  s.write('more.txt');
  s.ends(await s.cora(['save']), 0, /Saved/);
  const left = (await report(s)).not_covered;
  for (const path of bound.code === 0 ? ['mounted', 'proc'] : ['mounted'])
    expect(left).toContainEqual({ path, reason: 'another file system (scan.one_file_system = false brings it in)' });
  s.ends(await s.cora(['why', 'mounted/elsewhere.txt']), 0, /file system/);
  await s.recovers();
});
