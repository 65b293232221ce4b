// A program that keeps a SQLite database busy: about 500 commits a second, each named on its stdout once it is
// durable for SQLite. What it acknowledged before a moment must be in every copy that is begun after it.
// With `keep` only the newest rows stay, each commit takes the oldest away: a database that changes and does not grow.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

const PROGRAM = `
import Database from 'better-sqlite3';
const [file, mode, rate, keep] = process.argv.slice(1);
const database = new Database(file, { timeout: mode === 'wal' ? 0 : 10_000 });
database.pragma('journal_mode = ' + mode);
database.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, twice INTEGER NOT NULL, pad TEXT)');
const insert = database.prepare('INSERT INTO t (n, twice, pad) VALUES (?, ?, ?)');
const forget = database.prepare('DELETE FROM t WHERE n <= ?');
const commit = database.transaction((n) => {
  insert.run(n, 2 * n, 'x'.repeat(200));
  if (Number(keep) > 0) forget.run(n - Number(keep));
});
const started = performance.now();
let n = 0;
const tick = () => {
  // Behind its time (the machine is busy), it catches up, but not for ever.
  const due = Math.min(n + 50, Math.floor(((performance.now() - started) * Number(rate)) / 1000));
  let lines = '';
  while (n < due) {
    n += 1;
    commit(n);
    lines += n + '\\n';
  }
  if (lines !== '') process.stdout.write(lines);
  setTimeout(tick, 4);
};
tick();
`;

export class LiveWriter {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  #acknowledged = 0;
  #rest = '';
  #errors = '';

  /** @param mode `wal` (never waits for anyone: a busy database is an error) or `delete`; `keep`: how many rows stay, 0 for all */
  constructor(file: string, mode: string, { rate = 500, keep = 0 }: { readonly rate?: number; readonly keep?: number } = {}) {
    const root = join(import.meta.dirname, '../..');
    const args = ['--input-type=module', '-e', PROGRAM, file, mode, String(rate), String(keep)];
    this.#child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout.on('data', (data: Buffer) => {
      const lines = (this.#rest + data.toString()).split('\n');
      this.#rest = lines.pop() ?? '';
      this.#acknowledged = Number(lines.at(-1) ?? this.#acknowledged);
    });
    this.#child.stderr.on('data', (data: Buffer) => {
      this.#errors += data.toString();
    });
  }

  /** The number of the newest row whose commit was acknowledged; rows are numbered from 1. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** What the writer said on stderr; empty while all is well. */
  get errors(): string {
    return this.#errors;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until that many rows are acknowledged. */
  async reach(rows: number): Promise<void> {
    while (this.#acknowledged < rows) {
      if (!this.running) throw new Error(`The writer ended: ${this.#errors}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}
