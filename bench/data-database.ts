// Data set B: one SQLite database with the rows of an assistant's memory (sessions, messages of real
// prose with JSON metadata, float32 embeddings, two indexes), left in WAL mode without a -wal file.

import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { phrase, proseWords, type Random, seededRandom } from './seeded.ts';

/** The name of the database inside its data set. */
export const DATABASE_NAME = 'memory.db';
const SESSIONS_A_CHECK = 50;
const MESSAGES_A_SESSION = 40;
const DIMENSIONS = 384;
const ROLES = ['user', 'assistant', 'tool'];

/** Writes the database, at least `bytes` long. */
export function makeDatabase(directory: string, bytes: number): void {
  mkdirSync(directory, { recursive: true });
  const words = proseWords(800_000);
  const random = seededRandom(7);
  const database = new Database(join(directory, DATABASE_NAME));
  database.exec(`PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE session (id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, started REAL, title TEXT);
    CREATE TABLE message (id INTEGER PRIMARY KEY, session_id INT REFERENCES session, ts REAL, role TEXT, content TEXT, meta TEXT, tokens INT);
    CREATE TABLE embedding (message_id INTEGER PRIMARY KEY, model TEXT, vec BLOB);
    CREATE INDEX message_session ON message (session_id, ts); CREATE INDEX message_time ON message (ts); BEGIN;`);
  const addSession = database.prepare('INSERT INTO session VALUES (?, ?, ?, ?)');
  const addMessage = database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)');
  const addEmbedding = database.prepare('INSERT INTO embedding VALUES (?, ?, ?)');
  let time = 1.7e9;
  let message = 0;
  for (let session = 1; ; session += 1) {
    addSession.run(session, random.hex16() + random.hex16(), time, phrase(random, words, 6));
    for (let index = 0; index < MESSAGES_A_SESSION; index += 1) {
      message += 1;
      time += random.unit() * 30;
      const length = random.between(15, 260);
      const meta = { model: `m-${index % 4}`, source: 'cli', latency_ms: random.between(0, 4000), id: random.hex16() };
      addMessage.run(message, session, time, ROLES[index % 3], phrase(random, words, length), JSON.stringify(meta), length);
      if (index % 4 === 0) addEmbedding.run(message, 'e5-small', embedding(random));
    }
    if (session % SESSIONS_A_CHECK === 0 && Number(database.pragma('page_count', { simple: true })) * 4096 >= bytes) break;
  }
  database.exec('COMMIT; PRAGMA journal_mode = WAL;');
  database.close();
}

function embedding(random: Random): Buffer {
  const vector = Buffer.alloc(DIMENSIONS * 4);
  for (let index = 0; index < DIMENSIONS; index += 1) vector.writeFloatLE(random.gauss() * 0.05, index * 4);
  return vector;
}

/**
 * Changes about `fraction` of the messages: 80 % updated, 15 % appended, 5 % deleted; seven of ten touch
 * the newest twentieth, as a memory in use does. Ends with a checkpoint, so that no -wal file is left and
 * tools that copy the raw file get all of it.
 */
export function changeDatabase(directory: string, fraction: number, seed: number): void {
  const random = seededRandom(seed);
  const database = new Database(join(directory, DATABASE_NAME));
  const newest = Number(database.prepare('SELECT max(id) FROM message').pluck().get());
  const session = Number(database.prepare('SELECT max(id) FROM session').pluck().get());
  let time = Number(database.prepare('SELECT max(ts) FROM message').pluck().get());
  const touched = Math.max(20, Math.floor(newest * fraction));
  const pick = (): number => random.between(random.unit() < 0.7 ? Math.floor(newest * 0.95) : 1, newest);
  const update = database.prepare(`UPDATE message SET tokens = tokens + 1, content = content || ' edited' WHERE id = ?`);
  const append = database.prepare(`INSERT INTO message (session_id, ts, role, content, meta, tokens)
    SELECT ?, ?, role, content || 'x', meta, tokens FROM message WHERE id = ?`);
  const embed = database.prepare(`INSERT OR IGNORE INTO embedding
    SELECT (SELECT max(id) FROM message), model, vec FROM embedding WHERE message_id % 4 = 1 LIMIT 1`);
  const remove = database.prepare('DELETE FROM message WHERE id = ?');
  database.exec('BEGIN');
  for (let index = 0; index < touched * 0.8; index += 1) update.run(pick());
  for (let index = 0; index < touched * 0.15; index += 1) {
    time += 9;
    append.run(session, time, pick());
    embed.run();
  }
  for (let index = 0; index < touched * 0.05; index += 1) remove.run(pick());
  database.exec('COMMIT');
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
}

/** A hash of the schema and of every row: equal for two databases with the same contents, whatever their bytes. */
export function hashRows(path: string): string {
  // Opened for writing: a read-only close would leave -wal and -shm beside a database in WAL mode.
  const database = new Database(path);
  const hash = createHash('sha256');
  try {
    const tables = database.prepare(`SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name`).raw().all() as [string, string][];
    for (const [name, sql] of tables) {
      hash.update(sql);
      for (const row of database.prepare(`SELECT * FROM "${name}" ORDER BY rowid`).raw().iterate() as IterableIterator<unknown[]>) {
        for (const value of row) hash.update(Buffer.isBuffer(value) ? value : `${typeof value} ${value}\n`);
      }
    }
  } finally {
    database.close();
  }
  return hash.digest('hex');
}
