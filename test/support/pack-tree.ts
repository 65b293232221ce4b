// A real tree as a save holds it: the rows of its listing and a pack with its objects, without
// vault, lock or ledger. Files of one inode become hard links; sparse files are told by their blocks.

import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Bytes, bytes, fromBuffer, fsPath, joinBytes } from '../../src/base/bytes.ts';
import { EMPTY_SHA256, type Entry, type EntryType } from '../../src/format/file-list.ts';
import { pieceSize } from '../../src/store/chunker.ts';
import { FrameWriter } from '../../src/store/frame-writer.ts';
import { FILE_STORED, type FileItem } from '../../src/store/jobs.ts';
import { ObjectTable } from '../../src/store/object-table.ts';
import { PackOutput, sealPack } from '../../src/store/pack-output.ts';
import { WorkerPool } from '../../src/store/pool.ts';
import { storeFiles, storeSegment } from '../../src/store/store-job.ts';

export type PackedTree = { readonly entries: Entry[]; readonly table: ObjectTable; readonly pack: string };

const SEGMENT = 1 << 20;

/** Packs every entry below `root` into a pack in `directory`. */
export function packTree(root: string, directory: string): PackedTree {
  const table = ObjectTable.allocate(200_000);
  const pack = join(directory, 'objects.tar.zst');
  const output = new PackOutput(pack, 0);
  const writer = new FrameWriter(table, output.setup);
  const packing: Packing = { root: bytes(root), output, writer, inodes: new Map(), small: [] };
  const entries: Entry[] = [];
  const visit = (path: Bytes): void => {
    const entry = readEntry(path, packing);
    entries.push(entry);
    if (entry.type !== 'd') return;
    const names = readdirSync(fsPath(joinBytes(bytes(root), path)), { encoding: 'buffer' }).map(fromBuffer);
    for (const name of names.sort()) visit(path === '.' ? name : joinBytes(path, name));
  };
  visit(bytes('.'));
  const hashes = storeSmall(packing);
  writer.close();
  sealPack(output.end());
  const complete = entries.map((entry) => (hashes.has(entry.path) ? { ...entry, sha256: hashes.get(entry.path) } : entry));
  complete.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { entries: linksToFirst(complete), table, pack };
}

export function openPool(tree: PackedTree, threads = 0): WorkerPool {
  return new WorkerPool(threads, { table: tree.table.shared, packs: [tree.pack] });
}

type Packing = {
  readonly root: Bytes;
  readonly output: PackOutput;
  readonly writer: FrameWriter;
  readonly inodes: Map<string, Bytes>;
  /** Small files share frames, as in a save. */
  readonly small: { readonly path: Bytes; readonly item: FileItem }[];
};

function storeSmall({ small, writer, output }: Packing): Map<Bytes, string> {
  const hashes = new Map<Bytes, string>();
  for (let at = 0; at < small.length; at += 500) {
    const some = small.slice(at, at + 500);
    const result = storeFiles({ kind: 'files', items: some.map(({ item }) => item) }, writer);
    output.addFrames(result.frames);
    some.forEach(({ path }, index) => {
      if (result.facts[index]?.status !== FILE_STORED) throw new Error(`${path} was not stored`);
      hashes.set(path, Buffer.from(result.hashes.subarray(index * 32, index * 32 + 32)).toString('hex'));
    });
  }
  return hashes;
}

function readEntry(path: Bytes, packing: Packing): Entry {
  const { root, inodes } = packing;
  const full = joinBytes(root, path);
  const stat = lstatSync(fsPath(full), { bigint: true });
  const type = typeOf(stat);
  const common = { mode: Number(stat.mode) & 0o7777, uid: Number(stat.uid), gid: Number(stat.gid), mtime: stat.mtimeNs, path };
  const none = { ...common, size: 0, sha256: undefined, link: undefined, pieces: undefined };
  if (type === 'l') return { ...none, type, link: fromBuffer(readlinkSync(fsPath(full), { encoding: 'buffer' })) };
  if (type === 'c' || type === 'b') return { ...none, type, link: bytes(`${stat.rdev >> 8n},${stat.rdev & 0xffn}`) };
  if (type !== 'f') return { ...none, type };
  const size = Number(stat.size);
  const first = stat.nlink > 1n ? inodes.get(String(stat.ino)) : undefined;
  if (first !== undefined) return { ...none, type: 'h', size, link: first };
  inodes.set(String(stat.ino), path);
  const sparse = Number(stat.blocks) * 512 < size;
  const piece = pieceSize(size, false, sparse);
  if (piece > 0) return { ...none, type: sparse ? 'S' : 'f', size, pieces: storePieces(full, size, piece, packing) };
  if (size === 0) return { ...none, type, sha256: EMPTY_SHA256 };
  const item = { path: full, size, mtimeMs: Number(stat.mtimeNs) / 1e6, ctimeMs: Number(stat.ctimeNs) / 1e6, ino: Number(stat.ino), staged: true };
  packing.small.push({ path, item });
  return { ...none, type, size };
}

function storePieces(path: Bytes, size: number, piece: number, { writer, output }: Packing): Uint8Array {
  const hashes: Uint8Array[] = [];
  for (let offset = 0; offset < size; offset += SEGMENT) {
    const result = storeSegment({ kind: 'segment', path, offset, length: Math.min(SEGMENT, size - offset), piece }, writer);
    output.addFrames(result.frames);
    hashes.push(result.hashes);
  }
  return new Uint8Array(Buffer.concat(hashes));
}

function typeOf(stat: ReturnType<typeof lstatSync> & object): EntryType {
  if (stat.isDirectory()) return 'd';
  if (stat.isSymbolicLink()) return 'l';
  if (stat.isFIFO()) return 'p';
  if (stat.isSocket()) return 's';
  if (stat.isCharacterDevice()) return 'c';
  if (stat.isBlockDevice()) return 'b';
  return 'f';
}

/** The row with the content is the first name in the order of the listing. */
function linksToFirst(entries: Entry[]): Entry[] {
  const content = new Map(entries.map((entry) => [entry.path, entry]));
  const first = new Map<Bytes, Bytes>();
  for (const entry of entries) {
    const key = entry.type === 'h' ? (entry.link ?? entry.path) : entry.path;
    if (entry.type === 'h' || entry.type === 'f' || entry.type === 'S') if (!first.has(key)) first.set(key, entry.path);
  }
  return entries.map((entry): Entry => {
    const key = entry.type === 'h' ? (entry.link ?? entry.path) : entry.path;
    const target = first.get(key);
    const source = content.get(key);
    if (target === undefined || source === undefined || (entry.type === 'h' && target !== entry.path))
      return target === undefined ? entry : { ...entry, link: target };
    if (target === entry.path) return { ...source, path: entry.path };
    return { ...entry, type: 'h', sha256: undefined, pieces: undefined, link: target };
  });
}
