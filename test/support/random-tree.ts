// Random directory trees for fast-check: what to make is plain data, made on disk by `makeTree` and
// changed by `changeTree`. What a tree then is, is read from the disk (compare-trees.ts), never from here.

import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import fc from 'fast-check';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fromText, fsPath, joinBytes } from '../../src/base/bytes.ts';
import { setExactTimes } from '../../src/os/times.ts';
import { readTree } from '../helpers/compare-trees.ts';
import { isRoot } from './sandbox.ts';

type Content = { readonly size: number; readonly fill: 'noise' | 'text' | 'zeros'; readonly seed: number };
type Kind =
  | { readonly kind: 'directory' }
  | ({ readonly kind: 'file' } & Content)
  | { readonly kind: 'sparse'; readonly size: number; readonly extents: readonly { readonly at: number; readonly length: number }[] }
  | { readonly kind: 'link'; readonly of: number }
  | { readonly kind: 'symlink'; readonly target: Bytes }
  | { readonly kind: 'fifo' }
  | { readonly kind: 'socket' };

type Attributes = { readonly mode: number; readonly uid: number; readonly gid: number; readonly mtime: bigint };

/** One entry to be made; `parent` counts the directories there are by then, modulo their number. */
type Item = { readonly node: Kind; readonly parent: number; readonly name: Bytes; readonly attributes: Attributes };

type Change = {
  readonly kind: 'add' | 'remove' | 'replace' | 'rewrite' | 'one-byte' | 'append' | 'shorten' | 'attributes' | 'rename' | 'swap' | 'link';
  readonly pick: number;
  readonly other: number;
  readonly item: Item;
};

export type RandomTree = { readonly items: readonly Item[]; readonly changes: readonly Change[]; readonly top: Attributes };

const KIB = 1024;
const MIB = KIB * KIB;
/** Paths stay below what one system call takes; longer ones are a case of their own. */
const PATH_LIMIT = 3000;
/** Of these the file system may give a sparse file back more: a piece of 64 KiB at either end of each extent. */
export const SPARSE_SLACK_BLOCKS = 3 * 2 * 128 + 16;

const SPECIAL_NAMES = [
  'new\nline',
  '\n',
  'end\n',
  'tab\tbed',
  'back\\slash\\n',
  '\\',
  '-rf',
  '--help',
  '@x',
  ' leading',
  'trailing ',
  'a:b',
  '*',
  '$(x)`y`',
  '%s%n',
  '"\'',
  'caf\u00e9',
  'cafe\u0301',
  'Case',
  'case',
  'CASE',
  '...',
  '.hidden',
  '~',
  'CLAUDE.md',
  '.env.local',
  'a.log',
  'a.log.tail',
  'x//y'.replace('//', '\u2044'),
  '\u{1f600}',
  '\u00e9'.repeat(127),
  'n'.repeat(255),
].map(fromText);

const NEVER_COVERED = /^(?:\.{1,2}|\.git|\.cora-restore.*|node_modules|venv|\.venv|__pycache__|cora\.toml)$/i;

const nameOf = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...SPECIAL_NAMES) },
  { weight: 2, arbitrary: fc.stringMatching(/^[a-z]{1,3}$/).map((name) => bytes(name)) },
  {
    weight: 3,
    arbitrary: fc
      .uint8Array({ minLength: 1, maxLength: 40 })
      .map((raw) => bytes(Buffer.from(raw.map((byte) => (byte === 0 || byte === 0x2f ? 0xff : byte))).toString('latin1'))),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 255 }).map((byte) => bytes(String.fromCharCode(byte === 0x2f ? 0x80 : byte).repeat(255))),
  },
);
const goodName = nameOf.filter((name) => !NEVER_COVERED.test(name));

const smallSize = fc.oneof(fc.constantFrom(0, 1, 511, 512, 513), fc.integer({ min: 0, max: 3000 }));
const borderSize = fc.constantFrom(64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1);

function contentOf(large: boolean): fc.Arbitrary<Content> {
  return fc.record({
    size: fc.oneof(
      { weight: 12, arbitrary: smallSize },
      { weight: 3, arbitrary: borderSize },
      { weight: large ? 1 : 0, arbitrary: fc.integer({ min: 2 * MIB, max: 9 * MIB }) },
    ),
    fill: fc.constantFrom('noise', 'text', 'zeros'),
    // Few seeds, so that there are twins.
    seed: fc.nat(3),
  });
}

function nodeOf(large: boolean): fc.Arbitrary<Kind> {
  const maximum = large ? 6 * MIB : 2 * MIB;
  return fc.oneof(
    { weight: 5, arbitrary: fc.constant<Kind>({ kind: 'directory' }) },
    { weight: 10, arbitrary: contentOf(large).map((content): Kind => ({ kind: 'file', ...content })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.integer({ min: 20 * KIB, max: maximum }),
          fc.array(fc.record({ at: fc.nat(maximum), length: fc.integer({ min: 1, max: 9000 }) }), { maxLength: 3 }),
        )
        .map(([size, extents]): Kind => ({ kind: 'sparse', size, extents })),
    },
    { weight: 2, arbitrary: fc.nat().map((of): Kind => ({ kind: 'link', of })) },
    {
      weight: 2,
      arbitrary: fc
        .oneof(
          fc.constantFrom('.', '..', '/', '/etc/passwd', 'nowhere', '../../..', 'a b', 'x'.repeat(300), 'to\nline', '-rf', 'caf\u00e9').map(fromText),
          goodName,
        )
        .map((target): Kind => ({ kind: 'symlink', target })),
    },
    { weight: 1, arbitrary: fc.constantFrom<Kind>({ kind: 'fifo' }, { kind: 'socket' }) },
  );
}

const modeOf = fc.oneof(fc.constantFrom(0o644, 0o755, 0o600, 0, 0o4755, 0o2755, 0o1777, 0o7777, 0o444), fc.nat(0o7777));
const ownerOf = fc.constantFrom(0, 1000, 65_534, 3_000_000);
const attributesOf: fc.Arbitrary<Attributes> = fc.record({
  mode: modeOf,
  uid: ownerOf,
  gid: ownerOf,
  // 1901-12-14 (where ext4 begins) to 2099-12-31.
  mtime: fc
    .tuple(
      fc.oneof(fc.integer({ min: -2_147_400_000, max: 4_102_444_799 }), fc.constantFrom(0, -1, 2 ** 31 - 1, 2 ** 31, 2 ** 32)),
      fc.oneof(fc.integer({ min: 0, max: 999_999_999 }), fc.constantFrom(0, 1, 999_999_999)),
    )
    .map(([seconds, nanoseconds]) => BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)),
});

function itemOf(large: boolean): fc.Arbitrary<Item> {
  return fc.record({ node: nodeOf(large), parent: fc.nat(1000), name: goodName, attributes: attributesOf });
}

/** @param large some files of several MiB, and more entries */
export function randomTree({ large }: { readonly large: boolean }): fc.Arbitrary<RandomTree> {
  const item = itemOf(large);
  const change: fc.Arbitrary<Change> = fc.record({
    kind: fc.constantFrom('add', 'remove', 'replace', 'rewrite', 'one-byte', 'append', 'shorten', 'attributes', 'rename', 'swap', 'link'),
    pick: fc.nat(),
    other: fc.nat(),
    item,
  });
  return fc.record({
    items: fc.array(item, large ? { minLength: 15, maxLength: 45 } : { maxLength: 20 }),
    changes: fc.array(change, { minLength: 1, maxLength: large ? 12 : 6 }),
    top: attributesOf,
  });
}

function contentBytes({ size, fill, seed }: Content): Buffer {
  if (fill === 'zeros') return Buffer.alloc(size);
  if (fill === 'text') return Buffer.alloc(size, `line ${seed} of a text that repeats itself\n`);
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed + 1), Buffer.alloc(16)).update(Buffer.alloc(size));
}

/** Makes FIFOs and sockets, whose names node:fs cannot take as bytes: records of kind and absolute path. */
const SPECIALS =
  'use POSIX;use Socket;$/="\\0";while(<STDIN>){chomp;my($k,$p)=split(/ /,$_,2);if($k eq "fifo"){mkfifo($p,0600) or die "$p: $!";next}' +
  'my($d,$n)=$p=~m{^(.*)/([^/]+)$}s;chdir $d or die "$d: $!";socket(my $s,PF_UNIX,SOCK_STREAM,0) or die;bind($s,sockaddr_un($n)) or die "$p: $!"}';

function makeSpecials(specials: readonly string[]): void {
  if (specials.length === 0) return;
  const made = spawnSync('perl', ['-e', SPECIALS], { input: Buffer.from(specials.map((one) => `${one}\0`).join(''), 'latin1'), encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`perl: ${made.stderr}`);
}

/** The tree being made: what is there, and what is set in the end because making things changes it. */
class Maker {
  readonly #root: Bytes;
  readonly #directories: Bytes[];
  readonly #files: Bytes[];
  readonly #taken: Set<string>;
  readonly #specials: string[] = [];
  readonly #pending = new Map<Bytes, Attributes>();

  constructor(root: string) {
    this.#root = fromText(root);
    const tree = readTree(root, { content: false });
    this.#taken = new Set(tree.keys());
    this.#directories = [...tree].filter(([, entry]) => entry.type === 'directory').map(([path]) => bytes(path));
    this.#files = [...tree].filter(([, entry]) => entry.type === 'file').map(([path]) => bytes(path));
  }

  /** Under the item's own name, or at `at`. Where that is taken or the path is too long, nothing is made. */
  make(item: Item, at?: Bytes): void {
    const { node } = item;
    const parent = this.#directories[item.parent % this.#directories.length] ?? bytes('.');
    const path = at ?? bytes(parent === '.' ? item.name : `${parent}/${item.name}`);
    if (this.#taken.has(path) || path.length > PATH_LIMIT) return;
    const full = joinBytes(this.#root, path);
    // Linux keeps 107 bytes for a socket's name.
    if (node.kind === 'socket' && basenameBytes(path).length > 100) return;
    switch (node.kind) {
      case 'directory':
        mkdirSync(fsPath(full));
        this.#directories.push(path);
        break;
      case 'file':
        writeFileSync(fsPath(full), contentBytes(node));
        this.#files.push(path);
        break;
      case 'sparse':
        writeSparse(full, node.size, node.extents);
        this.#files.push(path);
        break;
      case 'link': {
        const source = this.#files[node.of % Math.max(1, this.#files.length)];
        if (source === undefined) return;
        linkSync(fsPath(joinBytes(this.#root, source)), fsPath(full));
        this.#taken.add(path);
        return;
      }
      case 'symlink':
        symlinkSync(Buffer.from(node.target, 'latin1'), fsPath(full));
        break;
      default:
        this.#specials.push(`${node.kind} ${full}`);
    }
    this.#taken.add(path);
    this.#pending.set(path, item.attributes);
  }

  /** Attributes of the entry, set by `finish`. */
  set(path: Bytes, attributes: Attributes): void {
    this.#pending.set(path, attributes);
  }

  /** Owners, modes and times of all that was made, the deepest first. */
  finish(): void {
    makeSpecials(this.#specials);
    const times: { path: Bytes; mtime: bigint }[] = [];
    const paths = [...this.#pending.keys()].sort().reverse();
    // `.` sorts among names like `-rf`, and comes last of all because making anything changes it.
    for (const path of [...paths.filter((one) => one !== '.'), ...paths.filter((one) => one === '.')]) {
      const { mode, uid, gid, mtime } = this.#pending.get(path) as Attributes;
      const full = joinBytes(this.#root, path);
      const stat = lstatSync(fsPath(full), { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (isRoot) lchownSync(fsPath(full), uid, gid);
      // Without root Cora needs to read what it saves, and we to delete it.
      if (!stat.isSymbolicLink()) chmodSync(fsPath(full), isRoot ? mode : mode | (stat.isDirectory() ? 0o700 : 0o600));
      times.push({ path: full, mtime });
    }
    if (!setExactTimes(times)) throw new Error('the times of the tree could not be set');
  }
}

function writeSparse(path: Bytes, size: number, extents: readonly { at: number; length: number }[]): void {
  const file = openSync(fsPath(path), 'wx');
  for (const { at, length } of extents) {
    const start = at % size;
    writeSync(file, Buffer.alloc(Math.min(length, size - start), 'data'), 0, undefined, start);
  }
  ftruncateSync(file, size);
  closeSync(file);
}

/** Makes the tree in an empty directory. */
export function makeTree(root: string, tree: RandomTree): void {
  const maker = new Maker(root);
  for (const item of tree.items) maker.make(item);
  maker.set(bytes('.'), tree.top);
  maker.finish();
}

/** Changes it, as a day's work and a few accidents would; something is always left (a save refuses a project that was emptied). */
export function changeTree(root: string, tree: RandomTree): void {
  for (const change of tree.changes) changeOnce(root, change);
  if (readTree(root, { content: false }).size === 1) writeFileSync(`${root}/left`, 'the last one');
}

function changeOnce(root: string, { kind, pick, other, item }: Change): void {
  const tree = readTree(root, { content: false });
  const full = (path: Bytes): Bytes => joinBytes(fromText(root), path);
  const paths = [...tree.keys()].filter((path) => path !== '.').map((path) => bytes(path));
  const files = paths.filter((path) => tree.get(path)?.type === 'file');
  const path = paths[pick % Math.max(1, paths.length)];
  const file = files[pick % Math.max(1, files.length)];
  if (kind === 'add' || path === undefined) {
    const maker = new Maker(root);
    maker.make(item);
    maker.finish();
  } else if (kind === 'remove') rmSync(fsPath(full(path)), { recursive: true });
  else if (kind === 'replace') {
    rmSync(fsPath(full(path)), { recursive: true });
    const maker = new Maker(root);
    maker.make(item, path);
    maker.finish();
  } else if (kind === 'attributes') {
    const maker = new Maker(root);
    maker.set(path, item.attributes);
    maker.finish();
  } else if (kind === 'rename' || kind === 'link') {
    const source = kind === 'rename' ? path : file;
    const to = bytes(dirnameBytes(path) === '.' ? item.name : `${dirnameBytes(path)}/${item.name}`);
    if (source === undefined || tree.has(to) || to.length > PATH_LIMIT) return;
    if (kind === 'rename') renameSync(fsPath(full(source)), fsPath(full(to)));
    else linkSync(fsPath(full(source)), fsPath(full(to)));
  } else if (file !== undefined) changeFile(kind, full(file), full(files[other % files.length] ?? file), item);
}

function changeFile(kind: Change['kind'], path: Bytes, other: Bytes, item: Item): void {
  const before = lstatSync(fsPath(path), { bigint: true });
  const size = Number(before.size);
  if (kind === 'rewrite') writeFileSync(fsPath(path), contentBytes({ size: 70_000, fill: 'noise', seed: item.parent }));
  else if (kind === 'append') writeFileSync(fsPath(path), 'one more line\n', { flag: 'a' });
  else if (kind === 'swap' && path !== other) {
    const between = bytes(`${dirnameBytes(path)}/.between`);
    renameSync(fsPath(path), fsPath(between));
    renameSync(fsPath(other), fsPath(path));
    renameSync(fsPath(between), fsPath(other));
  } else if (kind === 'shorten' || (kind === 'one-byte' && size > 0)) {
    const descriptor = openSync(fsPath(path), 'r+');
    if (kind === 'shorten') ftruncateSync(descriptor, Math.floor(size / 2));
    else writeSync(descriptor, Buffer.of(item.parent & 0xff), 0, 1, item.parent % size);
    closeSync(descriptor);
    // Size and time as before: only the inode's own time tells.
    if (kind === 'one-byte') setExactTimes([{ path, mtime: before.mtimeNs }]);
  }
}
