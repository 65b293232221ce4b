// A program that reads and writes a SQLite database 200 times a second: each write gives all rows the next generation
// in one transaction, each read wants to find one generation only, and as many rows as there are. What it finds otherwise, and
// every error but a busy one, it says on stderr.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import Database from 'better-sqlite3';

const PROGRAM = `
import Database from 'better-sqlite3';
const [file] = process.argv.slice(1);
const database = new Database(file, { timeout: 10_000 });
const look = database.prepare('SELECT min(generation) low, max(generation) high, count(*) n FROM item');
const pad = database.prepare('SELECT min(side) low, max(side) high, count(*) n FROM pad');
const side = database.prepare('SELECT side FROM era');
const write = database.prepare('UPDATE item SET generation = generation + 1');
const both = database.transaction(() => [look.get(), pad.get(), side.get()]);
let loops = 0;
const sides = new Set();
const tick = () => {
  const [item, all, era] = both();
  sides.add(era.side);
  const mixed = item.low !== item.high || all.low !== all.high || all.low !== era.side || (era.side === 1) !== (item.low >= 1e6);
  if (mixed) process.stderr.write('MIXED ' + JSON.stringify([item, all, era]) + '\\n');
  write.run();
  loops += 1;
  process.stdout.write(loops + ' ' + [...sides].join('') + '\\n');
  setTimeout(tick, 5);
};
tick();
`;

/** Makes a database for the program: `side` 0 is the old content, 1 the new; `pads` rows of about 1 KiB give it its size. */
export function makeContent(file: string, side: 0 | 1, pads: number, mode: 'wal' | 'delete'): void {
  const database = new Database(file);
  try {
    database.pragma(`journal_mode = ${mode}`);
    database.exec(
      'CREATE TABLE item (id INTEGER PRIMARY KEY, generation INTEGER); CREATE TABLE pad (side INTEGER, text TEXT); CREATE TABLE era (side INTEGER)',
    );
    database.exec('CREATE INDEX pad_side ON pad (side)');
    database.transaction(() => {
      const item = database.prepare('INSERT INTO item (generation) VALUES (?)');
      for (let i = 0; i < 50; i++) item.run(side * 1e6);
      const pad = database.prepare('INSERT INTO pad VALUES (?, ?)');
      for (let i = 0; i < pads; i++) pad.run(side, String.fromCharCode(97 + side + (i % 20)).repeat(1000));
      database.prepare('INSERT INTO era VALUES (?)').run(side);
    })();
  } finally {
    database.close();
  }
}

/** The side that a database is wholly on; throws where it is neither or does not pass its check. */
export function sideOf(file: string, pads: readonly [number, number]): 0 | 1 {
  const database = new Database(file);
  try {
    const check = database.pragma('integrity_check', { simple: true });
    if (check !== 'ok') throw new Error(`integrity_check: ${String(check)}`);
    const { side } = database.prepare('SELECT side FROM era').get() as { side: 0 | 1 };
    const pad = database.prepare('SELECT min(side) low, max(side) high, count(*) n FROM pad').get() as { low: number; high: number; n: number };
    const item = database.prepare('SELECT min(generation) low, max(generation) high, count(*) n FROM item').get() as {
      low: number;
      high: number;
      n: number;
    };
    const whole =
      pad.low === side && pad.high === side && pad.n === pads[side] && item.n === 50 && item.low === item.high && item.low >= 1e6 === (side === 1);
    if (!whole) throw new Error(`mixed: ${JSON.stringify({ side, pad, item })}`);
    return side;
  } finally {
    database.close();
  }
}

export class LiveProgram {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  #line = '';
  #errors = '';

  constructor(file: string) {
    const root = join(import.meta.dirname, '../..');
    this.#child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, file], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout.on('data', (data: Buffer) => {
      this.#line = data.toString().trim().split('\n').at(-1) ?? this.#line;
    });
    this.#child.stderr.on('data', (data: Buffer) => {
      this.#errors += data.toString();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Rounds of reading and writing so far. */
  get loops(): number {
    return Number(this.#line.split(' ')[0] ?? 0);
  }

  /** The sides it has seen, in order: `0`, `01`. */
  get sides(): string {
    return this.#line.split(' ')[1] ?? '';
  }

  /** What it found wrong; empty while all is well. */
  get errors(): string {
    return this.#errors;
  }

  /** Waits for that many more rounds. */
  async go(rounds: number): Promise<void> {
    const until = this.loops + rounds;
    while (this.loops < until) {
      if (this.#child.exitCode !== null) throw new Error(`The program ended: ${this.#errors}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}
