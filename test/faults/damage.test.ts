// Damage: bits, cuts, and files that are gone, added or another's, in snapshots that are sound. Each is found and its file
// named; a restore gives the right bytes or fails; and what is sound is never called damaged. In one process, because
// of how many there are: every bit and every length with CORA_TEST_SLOW=1, else one in some.

import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkChain } from '../../src/actions/verify-chain.ts';
import { FileChecker } from '../../src/actions/verify-files.ts';
import { SaveChecker } from '../../src/actions/verify-save.ts';
import { type Context, SILENT } from '../../src/base/context.ts';
import { listSnapshots, type SnapshotRef } from '../../src/vault/catalog.ts';
import { openVault, type Vault } from '../../src/vault/vault.ts';
import { readTree } from '../helpers/compare-trees.ts';
import { jsonHere } from '../support/in-process.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
const ctx: Context = { monitor: SILENT, signal: new AbortController().signal, workers: 0, now: Date.now, lockWait: 1000, version: '' };

/** The same numbers on every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function filesBelow(directory: string): string[] {
  const found = readdirSync(directory, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** One byte of a file in its place, so that nothing but the content changes. */
function poke(path: string, at: number, byte: number): void {
  const fd = openSync(path, 'r+');
  try {
    writeSync(fd, Buffer.of(byte), 0, 1, at);
  } finally {
    closeSync(fd);
  }
}

describe('damage', () => {
  let sandbox: Sandbox;
  let vault: Vault;
  let refs: SnapshotRef[];
  let original: ReturnType<typeof readTree>;

  beforeAll(async () => {
    sandbox = new Sandbox({ fast: true });
    const { project } = sandbox;
    mkdirSync(join(project, 'src/deep'), { recursive: true });
    writeFileSync(join(project, 'src/deep/a.txt'), 'first\n');
    writeFileSync(join(project, 'src/b.txt'), 'the same line\n'.repeat(200));
    writeFileSync(join(project, '.env'), 'TOKEN=1\n');
    const database = new DatabaseSync(join(project, 'app.db'));
    database.exec("PRAGMA page_size = 1024; VACUUM; CREATE TABLE t (a); INSERT INTO t VALUES ('one')");
    database.close();
    await sandbox.snapshot(['save']);
    writeFileSync(join(project, 'src/deep/a.txt'), 'second\n');
    await sandbox.snapshot(['backup', 'now']);
    if (isRoot) await execute('chattr', ['-R', '-f', '-i', sandbox.vault]);
    vault = openVault(sandbox.vault);
    refs = listSnapshots(vault);
    original = readTree(project);
  });
  afterAll(() => sandbox.remove());

  const placeOf = (ref: SnapshotRef) => join(sandbox.vault, ref.directory);

  async function damagedFiles(ref: SnapshotRef): Promise<string[]> {
    return (await new FileChecker(vault, ctx).checkDirectory(ref)).map(({ file }) => file);
  }

  it('a sound vault is never called damaged', async () => {
    for (let round = 0; round < (slow ? 1000 : 30); round++) {
      for (const ref of refs) {
        const files = new FileChecker(vault, ctx);
        const saves = new SaveChecker(vault, files, round % 2 === 0, ctx);
        expect(await files.checkDirectory(ref)).toEqual([]);
        if (ref.kind === 'save') expect(await saves.check(ref)).toEqual([]);
        await saves.close();
      }
      expect(checkChain(vault, ctx).damaged).toEqual([]);
    }
  });

  it(`${slow ? 'every' : 'one in eleven'} bit of two saves and a backup: the file is named`, { timeout: 3_600_000 }, async () => {
    let flips = 0;
    for (const ref of refs) {
      for (const path of filesBelow(placeOf(ref))) {
        const content = readFileSync(path);
        const missed: string[] = [];
        for (let bit = slow ? 0 : flips % 11; bit < content.length * 8; bit += slow ? 1 : 11 * 8 + 1) {
          const at = bit >> 3;
          poke(path, at, (content[at] ?? 0) ^ (1 << (bit & 7)));
          if (!(await damagedFiles(ref)).includes(relative(sandbox.vault, path))) missed.push(`${relative(sandbox.vault, path)} bit ${bit}`);
          poke(path, at, content[at] ?? 0);
          flips += 1;
        }
        expect(missed).toEqual([]);
        expect(await damagedFiles(ref)).toEqual([]);
      }
    }
    console.log(`damage: ${flips} bits flipped, each found and named`);
  });

  it(`${slow ? 'every' : 'one in 41'} length that a file of them can be cut to: the file is named`, { timeout: 3_600_000 }, async () => {
    let cuts = 0;
    for (const ref of refs) {
      for (const path of filesBelow(placeOf(ref))) {
        const content = readFileSync(path);
        const missed: string[] = [];
        for (let length = 0; length < content.length; length += slow ? 1 : 41) {
          writeFileSync(path, content.subarray(0, length));
          if (!(await damagedFiles(ref)).includes(relative(sandbox.vault, path))) missed.push(`${relative(sandbox.vault, path)} cut to ${length}`);
          cuts += 1;
        }
        writeFileSync(path, Buffer.concat([content, Buffer.of(0)]));
        if (!(await damagedFiles(ref)).includes(relative(sandbox.vault, path))) missed.push(`${relative(sandbox.vault, path)} one byte longer`);
        writeFileSync(path, content);
        expect(missed).toEqual([]);
      }
    }
    console.log(`damage: ${cuts} cuts, each found and named`);
  });

  it('each file gone, each directory with a file more, and each pair of files with changed names', async () => {
    for (const ref of refs) {
      const files = filesBelow(placeOf(ref));
      for (const [index, path] of files.entries()) {
        const name = relative(sandbox.vault, path);
        const aside = join(sandbox.root, 'aside');
        renameSync(path, aside);
        expect(await damagedFiles(ref)).toContain(name);
        const other = files[(index + 1) % files.length] ?? '';
        renameSync(other, path);
        renameSync(aside, other);
        const swapped = [name, relative(sandbox.vault, other)];
        // Without its sums a snapshot has nothing to compare the rest with.
        const sums = swapped.filter((one) => one.endsWith('/SHA256SUMS.txt'));
        expect(await damagedFiles(ref)).toEqual(expect.arrayContaining(sums.length > 0 ? sums : swapped));
        renameSync(other, aside);
        renameSync(path, other);
        renameSync(aside, path);
        copyFileSync(path, `${path}.more`);
        expect(await damagedFiles(ref)).toEqual([`${name}.more`]);
        rmSync(`${path}.more`);
      }
      expect(await damagedFiles(ref)).toEqual([]);
    }
  });

  it('every byte of the ledger: the chain is said to be broken', async () => {
    const path = join(sandbox.vault, 'ledger/chain.log');
    const content = readFileSync(path);
    const found: boolean[] = [];
    for (let at = 0; at < content.length; at += slow ? 1 : 3) {
      poke(path, at, (content[at] ?? 0) ^ (1 << (at & 7)));
      // As `cora verify --chain` does it: the table of runs is a witness of the last line, which no line after it vouches for.
      const run = await (slow || at % 60 === 0 || at > content.length - 20 ? jsonHere(sandbox, ['verify', '--chain']) : undefined);
      found.push(run === undefined ? checkChain(vault, ctx).damaged.length > 0 || isInLastLine(content, at) : run.code === 21 || run.code === 1);
      writeFileSync(path, content);
      rmSync(join(sandbox.vault, 'ledger/missing-lines.json'), { force: true });
    }
    expect(found.indexOf(false)).toBe(-1);
  });

  it('the command itself ends with 21 and names the file', async () => {
    const random = numbers(1);
    for (let round = 0; round < (slow ? 200 : 8); round++) {
      const ref = refs[round % refs.length];
      if (ref === undefined) continue;
      const files = filesBelow(placeOf(ref));
      const path = files[random(files.length)] ?? '';
      const content = readFileSync(path);
      const at = random(content.length);
      poke(path, at, (content[at] ?? 0) ^ (1 << random(8)));
      const run = await jsonHere(sandbox, ['verify', ref.id]);
      poke(path, at, content[at] ?? 0);
      expect([run.code, JSON.stringify(run)]).toEqual([21, expect.stringContaining(relative(sandbox.vault, path))]);
    }
  });

  it('a restore of what is damaged gives the right bytes, or fails', { timeout: 3_600_000 }, async () => {
    const random = numbers(2);
    let refused = 0;
    const rounds = slow ? 3000 : 30;
    for (let round = 0; round < rounds; round++) {
      const ref = refs[round % refs.length];
      if (ref === undefined) continue;
      const files = filesBelow(placeOf(ref));
      const path = files[random(files.length)] ?? '';
      const content = readFileSync(path);
      const at = random(content.length);
      poke(path, at, (content[at] ?? 0) ^ (1 << random(8)));
      rmSync(join(sandbox.vault, '.cache'), { recursive: true, force: true });
      const out = join(sandbox.root, `out-${round}`);
      const run = await jsonHere(sandbox, ['restore', ref.id, '--to', out]);
      poke(path, at, content[at] ?? 0);
      if (run.code !== 0) refused += 1;
      else if (ref.id === refs.at(-1)?.id) expect(contentsOf(readTree(out))).toEqual(contentsOf(original));
      else expect(readFileSync(join(out, 'src/deep/a.txt'), 'utf8')).toBe('first\n');
      if (run.code === 0) {
        expect(readFileSync(join(out, 'src/b.txt'), 'utf8')).toBe('the same line\n'.repeat(200));
        const database = new DatabaseSync(join(out, 'app.db'), { readOnly: true });
        expect(database.prepare('SELECT a FROM t').all()).toEqual([{ a: 'one' }]);
        database.close();
      }
      rmSync(out, { recursive: true, force: true });
    }
    expect(refused).toBeGreaterThan(0);
    console.log(`damage: ${rounds} restores of damaged snapshots, ${refused} refused, none with wrong bytes`);
  });

  it(`${slow ? '10,000' : '30'} bits of a larger save: its pack is named`, { timeout: 3_600_000 }, async () => {
    const random = numbers(3);
    const large = new Sandbox({ fast: true });
    try {
      const content = Buffer.alloc(3 << 20);
      for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(random(2 ** 32), at);
      writeFileSync(join(large.project, 'random.bin'), content);
      for (let n = 0; n < 200; n++) writeFileSync(join(large.project, `text-${n}.txt`), `line ${n}\n`.repeat(50 + n));
      await large.snapshot(['save']);
      const there = openVault(large.vault);
      const ref = listSnapshots(there)[0];
      if (ref === undefined) throw new Error('the save is not there');
      const pack = join(large.vault, ref.directory, 'objects.tar.zst');
      const bytes = readFileSync(pack);
      for (let round = 0; round < (slow ? 10_000 : 30); round++) {
        const at = random(bytes.length);
        poke(pack, at, (bytes[at] ?? 0) ^ (1 << random(8)));
        const damaged = await new FileChecker(there, ctx).checkDirectory(ref);
        poke(pack, at, bytes[at] ?? 0);
        expect(damaged.map(({ file }) => file)).toEqual([relative(large.vault, pack)]);
      }
      expect(await new FileChecker(there, ctx).checkDirectory(ref)).toEqual([]);
    } finally {
      await large.remove();
    }
  });
});

function isInLastLine(content: Buffer, at: number): boolean {
  return at > content.lastIndexOf(10, content.length - 2);
}

/** What a person would miss: paths and contents. Of a database it is rows, its copy differs in the counter of its header. */
function contentsOf(tree: ReturnType<typeof readTree>): unknown {
  return [...tree].map(([path, { type, hash }]) => `${path} ${type} ${path === 'app.db' ? '' : hash}`).sort();
}
