// The project of a long day: source, documents, a log, a work log of numbered lines, a file of some MB that changes in
// places, secrets, and a database that a program writes all the time. What changes is decided by a seed, and the whole
// stays of one size, so that what grows in the vault is the vault's own doing.

import { appendFileSync, closeSync, lstatSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { recordTree, type TreeRecord } from '../../../src/actions/judge-tree.ts';
import { seededRandom } from '../../../src/actions/torture-random.ts';

const FILES = 120;
const DIRECTORIES = ['src', 'docs', 'logs', 'data', 'notes'];
const BINARY = 2 << 20;
const LOG_LIMIT = 512 << 10;
export const WORK_LOG = 'AI_WORK_LOG.md';
export const DATABASE = 'data/app.db';

/** Gives whole numbers from 0 to `below - 1`, the same for the same seed. */
export function randomsOf(seed: number): (below: number) => number {
  const next = seededRandom(seed);
  return (below) => Math.floor(next() * below);
}

export class DayProject {
  readonly root: string;
  readonly #random: (below: number) => number;
  readonly #files: string[] = [];
  readonly #perSlot: number;
  #made = 0;
  /** Lines that were ever written to the work log. */
  lines = 0;

  /** @param perSlot lines that each `work` writes to the work log */
  constructor(root: string, seed: number, perSlot: number) {
    this.root = root;
    this.#perSlot = perSlot;
    this.#random = randomsOf(seed);
    for (const directory of DIRECTORIES) mkdirSync(join(root, directory));
    for (let n = 0; n < FILES; n++) this.#create();
    writeFileSync(join(root, 'data/model.bin'), this.#noise(BINARY));
    writeFileSync(join(root, '.env'), 'API_KEY=first\n', { mode: 0o600 });
    writeFileSync(join(root, '.gitignore'), 'data/\nlogs/\n.env\n');
    writeFileSync(join(root, WORK_LOG), '');
    this.#log(this.#perSlot);
  }

  /** What a busy quarter of an hour does to it. */
  work(): void {
    for (let n = 0; n < 6; n++) {
      const path = this.#any();
      if (this.#random(3) === 0) appendFileSync(path, `// ${this.#random(1e9)}\n`);
      else writeFileSync(path, this.#text());
    }
    this.#create();
    rmSync(join(this.root, this.#files.splice(this.#random(this.#files.length), 1)[0] ?? ''));
    const binary = openSync(join(this.root, 'data/model.bin'), 'r+');
    for (let n = 0; n < 4; n++) writeSync(binary, this.#noise(100), 0, 100, this.#random(BINARY - 100));
    closeSync(binary);
    const log = join(this.root, 'logs/app.log');
    appendFileSync(log, `${this.#noise(30_000).toString('base64')}\n`);
    if (lstatSync(log).size > LOG_LIMIT) writeFileSync(log, '');
    if (this.#random(8) === 0) writeFileSync(join(this.root, '.env'), `API_KEY=${this.#random(1e9)}\n`);
    this.#log(this.#perSlot);
  }

  /** Takes a source file away by accident; gives its path. */
  accident(): string {
    const path = this.#files[this.#random(this.#files.length)] ?? '';
    rmSync(join(this.root, path));
    return path;
  }

  /** Entries of the project that nobody of the project made. */
  foreign(): string[] {
    const own = new Set([...this.#files, 'data/model.bin', 'logs/app.log', '.env', '.gitignore', 'cora.toml', WORK_LOG, ...DIRECTORIES]);
    return [...recordDay(this.root).keys()].filter((path) => !own.has(path));
  }

  #log(count: number): void {
    let text = '';
    for (let n = 0; n < count; n++) text += `line ${++this.lines}: what an assistant did, and why it thought so ${'.'.repeat(this.#random(60))}\n`;
    appendFileSync(join(this.root, WORK_LOG), text);
  }

  #any(): string {
    return join(this.root, this.#files[this.#random(this.#files.length)] ?? '');
  }

  #create(): void {
    const path = `${['src', 'docs', 'notes'][this.#made % 3]}/file-${++this.#made}.ts`;
    writeFileSync(join(this.root, path), this.#text());
    this.#files.push(path);
  }

  #text(): string {
    let text = '';
    for (let line = 20 + this.#random(200); line > 0; line--)
      text += `const value${line} = ${this.#random(1e9)}; // ${'word '.repeat(this.#random(8))}\n`;
    return text;
  }

  #noise(size: number): Buffer {
    const noise = Buffer.alloc(size);
    for (let at = 0; at < size; at += 4) noise.writeUInt32LE(this.#random(2 ** 32), Math.min(at, size - 4));
    return noise;
  }
}

/** The project or a restore of it as it is now: without the database, which never stands still, git's own directory, and Cora's way back. */
export function recordDay(root: string): TreeRecord {
  const tree = new Map(recordTree(root, (path) => path === '.git' || path === '.cora-restore' || path.startsWith(DATABASE)));
  // Its time tells of .cora-restore and of a rotation's second name, which come and go.
  tree.delete('.');
  return tree;
}

/** What a restore gave, without the database, and what it had to give: each entry as before the command, or as after it where the restore has that. */
export function recordsOfDay(
  tree: TreeRecord,
  { before, after }: { readonly before: TreeRecord; readonly after: TreeRecord },
): { readonly restored: TreeRecord; readonly mixed: TreeRecord } {
  const restored = new Map([...tree].filter(([path]) => path !== '.' && !path.startsWith(DATABASE)));
  const mixed = new Map<string, string>();
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const line = restored.get(path) === after.get(path) ? after.get(path) : before.get(path);
    if (line !== undefined) mixed.set(path, line);
  }
  return { restored, mixed };
}
