// One database copied by Cora, by the sqlite3 shell's .backup and VACUUM INTO, and by cp, in turns; then Cora's restore beside a cp
// back. `node bench/db.mjs [MEGABYTES] [ROUNDS]` (200 and 3); nothing is kept. Ends with 1 where a copy lacks a row.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';

const megabytes = Number(process.argv[2] ?? 200);
const rounds = Number(process.argv[3] ?? 3);
const root = mkdtempSync(join(tmpdir(), 'cora-db-'));
const env = { PATH: process.env.PATH, HOME: root, CORA_LOG: '/dev/null', CORA_VAULT: join(root, 'vault') };
const launcher = join(import.meta.dirname, '..', 'bin', 'cora');
const db = join(root, 'app.db');
const copy = join(root, 'copy.db');
const target = join(root, 'target.db');
const rows = megabytes * 1000;

const run = (program, ...args) => execFileSync(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const remove = (path) => {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
};

function make() {
  const database = new Database(db);
  database.pragma('journal_mode = wal');
  database.exec('CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, body TEXT); CREATE INDEX item_name ON item (name)');
  // A fixed sequence, so that two runs copy the same bytes.
  let state = 42;
  const random = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state.toString(36);
  };
  const insert = database.prepare('INSERT INTO item (name, body) VALUES (?, ?)');
  for (let done = 0; done < rows; done += 10_000)
    database.transaction(() => {
      for (let i = done; i < Math.min(rows, done + 10_000); i++) insert.run(random(), random().repeat(140).slice(0, 900));
    })();
  database.pragma('wal_checkpoint(TRUNCATE)');
  // Last, rows that are only in the -wal: what a plain copy of the file lacks.
  database.pragma('wal_autocheckpoint = 0');
  database.exec("INSERT INTO item (name, body) SELECT 'new', 'new' FROM item LIMIT 100");
  return database;
}

function count(path) {
  const database = new Database(path, { readonly: true });
  try {
    return Number(database.prepare('SELECT count(*) FROM item').pluck().get());
  } finally {
    database.close();
  }
}

const sync = ['sync', '-f'];
const ways = [
  ['cora db backup', (to) => run(launcher, 'db', 'backup', db, '--backup', to), 'copied, checked, on the disk'],
  ['cora db backup --verify=false', (to) => run(launcher, 'db', 'backup', db, '--backup', to, '--verify=false'), 'copied, on the disk'],
  ['sqlite3 .backup', (to) => [run('sqlite3', db, `.backup '${to}'`), run(...sync, to)], 'copied, on the disk'],
  [
    'sqlite3 .backup and check',
    (to) => [run('sqlite3', db, `.backup '${to}'`), run('sqlite3', to, 'PRAGMA integrity_check'), run(...sync, to)],
    'copied, checked, on the disk',
  ],
  ['sqlite3 VACUUM INTO', (to) => [run('sqlite3', db, `VACUUM INTO '${to}'`), run(...sync, to)], 'rebuilt, on the disk'],
  ['cp', (to) => [run('cp', db, to), run(...sync, to)], 'the file alone, on the disk'],
];

let failed = false;
try {
  // Held open, as a running program does.
  const program = make();
  const expected = rows + 100;
  console.log(
    `${(statSync(db).size / 1e6).toFixed(0)} MB, ${expected} rows, 100 of them only in the -wal; a program has it open; ${rounds} rounds in turns, warm`,
  );
  const times = new Map(ways.map(([name]) => [name, []]));
  const found = new Map();
  for (let round = 0; round <= rounds; round++) {
    for (const [name, make] of ways) {
      remove(copy);
      const begun = performance.now();
      make(copy);
      if (round > 0) times.get(name).push(performance.now() - begun);
      found.set(name, count(copy));
    }
  }
  const best = median(times.get('sqlite3 .backup'));
  for (const [name, , does] of ways) {
    const time = median(times.get(name));
    const lost = expected - found.get(name);
    if (lost !== 0 && name.startsWith('cora')) failed = true;
    console.log(
      `${name.padEnd(30)} ${(time / 1000).toFixed(2).padStart(6)} s  ${(time / best).toFixed(2).padStart(5)} x  ${lost === 0 ? 'all rows' : `LACKS ${lost} rows`}, ${does}`,
    );
  }
  program.close();

  remove(copy);
  run(launcher, 'db', 'backup', db, '--backup', copy);
  const restores = { 'cora db restore': [], 'cora db restore, in use': [], 'cp back': [] };
  for (let round = 0; round < rounds; round++) {
    const timed = (name, restore) => {
      remove(target);
      copyFileSync(db, target);
      const held = name.endsWith('in use') ? new Database(target) : undefined;
      held?.prepare('SELECT count(*) FROM item').get();
      const begun = performance.now();
      restore();
      restores[name].push(performance.now() - begun);
      held?.close();
      if (count(target) !== expected) failed = true;
      for (const kept of run('find', root, '-name', '*.pre-restore-*').toString().split('\n').filter(Boolean)) remove(kept);
    };
    timed('cora db restore', () => run(launcher, 'db', 'restore', copy, '--db', target, '--force'));
    timed('cora db restore, in use', () => run(launcher, 'db', 'restore', copy, '--db', target, '--force'));
    timed('cp back', () => [run('cp', copy, target), run(...sync, target)]);
  }
  for (const [name, values] of Object.entries(restores))
    console.log(
      `${name.padEnd(30)} ${(median(values) / 1000).toFixed(2).padStart(6)} s  ${name.startsWith('cora') ? 'copy verified, old content kept, result verified' : 'the file alone, nothing kept, nothing checked'}`,
    );
  if (failed) {
    console.log('FAILED: rows are missing');
    process.exitCode = 1;
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
