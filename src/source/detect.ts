// What a project's tree holds that is worth a word before it is protected: databases, vector stores,
// memory files, secrets, what can be made again. One walk, and the heads of files that can be
// databases; nothing is written, and no finding leaves anything out of a snapshot by itself.

import { closeSync, constants, openSync, readSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, dirnameBytes, joinBytes, toText } from '../base/bytes.ts';
import { type Config, DEFAULT_EXCLUDES } from '../base/config.ts';
import { isSqliteHeader } from '../format/sqlite-header.ts';
import { onPath } from '../os/long-path.ts';
import { compilePatterns } from './patterns.ts';
import { S_IFDIR, S_IFMT, S_IFREG, type Scan, walk } from './walk.ts';

export type FoundDatabase = { readonly path: Bytes; readonly size: number; readonly wal: boolean };
export type VectorStore = { readonly kind: 'chroma' | 'lance' | 'faiss' | 'hnsw' | 'qdrant'; readonly path: Bytes };
export type Rebuildable = {
  readonly path: Bytes;
  /** What tells that it can be made again. */
  readonly reason: 'name' | 'configuration' | 'cache' | 'environment' | 'build';
  /** True where it is left out already, by its name or the configuration. */
  readonly excluded: boolean;
  readonly bytes: number;
  /** False where counting was given up: there is more. */
  readonly counted: boolean;
};

/** Paths are relative to the project. */
export type TreeFacts = {
  /** Regular files and bytes that a save would hold. */
  readonly files: number;
  readonly bytes: number;
  /** The ten directories with most bytes, at most two levels down, largest first. */
  readonly biggest: readonly { readonly path: Bytes; readonly files: number; readonly bytes: number }[];
  readonly databases: readonly FoundDatabase[];
  readonly vectorStores: readonly VectorStore[];
  /** What assistants remember by. */
  readonly memory: readonly { readonly path: Bytes; readonly size: number }[];
  readonly secrets: readonly Bytes[];
  readonly rebuildable: readonly Rebuildable[];
  /** Over `large_file`, largest first. */
  readonly large: readonly { readonly path: Bytes; readonly size: number }[];
  readonly unreadable: number;
};

const MEMORY = /^(?:AI_[^/]*\.md|BOOTUP\.md|MVP_REQUIREMENTS\.md|CLAUDE\.md|AGENTS\.md|GEMINI\.md|MEMORY\.md)$/;
/** Of all the .jsonl files those that are named as what was said and done; data sets are not memory. */
const JOURNAL = /(?:^|[^a-z])(?:memor|(?:work)?log|histor|session|conversation|transcript|chat|journal)[^/]*\.jsonl$/i;
const CACHE_NAMES = new Set(['.next', '.nuxt', '.turbo', '.parcel-cache', '.pytest_cache', '.mypy_cache', '.ruff_cache', '.tox', '.gradle']);
/** Directories of build results, where a file beside them says what makes them. */
const BUILD_NAMES: Readonly<Record<string, readonly string[]>> = {
  target: ['Cargo.toml', 'pom.xml'],
  dist: ['package.json', 'pyproject.toml', 'setup.py'],
  build: ['package.json', 'pyproject.toml', 'setup.py', 'build.gradle', 'build.gradle.kts', 'CMakeLists.txt'],
};
const CACHE_TAG = 'Signature: 8a477f597d28d172789f06886806bc55';
/** Entries that are counted in all that is left out anyway: enough for sizes that mean something. */
const COUNT_LIMIT = 50_000;
/** Patterns may leave out thousands of files; a save's report has them all. */
const MOST_LEFT_OUT = 200;

/**
 * @param root absolute
 * @throws CoraError io where the project cannot be read, interrupted
 */
export function detectTree(root: Bytes, config: Config, signal: AbortSignal): TreeFacts {
  const names = config.scan.excludeDefaults ? DEFAULT_EXCLUDES.map((name) => name.replace(/\/$/, '')) : [];
  const excludedNames = new Set(names);
  const { oneFileSystem } = config.scan;
  const scan = walk(root, { excludedNames, excluded: compilePatterns(config.scan.exclude), oneFileSystem, signal, onCount: () => undefined });
  const there = new Set<string>(scan.paths);
  const vectorStores = new Map<string, VectorStore>();
  const [databases, memory, secrets, rebuildable, large]: [FoundDatabase[], { path: Bytes; size: number }[], Bytes[], Rebuildable[], FoundFile[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  let [files, total] = [0, 0];
  scan.paths.forEach((path, row) => {
    const type = (scan.mode[row] ?? 0) & S_IFMT;
    const size = scan.size[row] ?? 0;
    const store = vectorStoreOf(path, type === S_IFDIR, there);
    if (store !== undefined) vectorStores.set(store.path, store);
    if (type === S_IFDIR) {
      const reason = rebuildableBy(root, path, there);
      if (reason !== undefined && !isBelowOne(path, rebuildable)) rebuildable.push({ path, reason, excluded: false, bytes: 0, counted: true });
    }
    if (type !== S_IFREG) return;
    files += 1;
    total += size;
    const name = basenameBytes(path);
    const header = databaseHeader(root, path, size);
    // Bytes 18 and 19 are 2 in a WAL database, also while nobody has it open.
    if (header !== undefined) databases.push({ path, size, wal: header[18] === 2 && header[19] === 2 });
    else if (MEMORY.test(name) || JOURNAL.test(path)) memory.push({ path, size });
    if (name.startsWith('.env')) secrets.push(path);
    if (size > config.largeFile) large.push({ path, size });
  });
  const sums = sumDirectories(scan);
  const budget = { entries: COUNT_LIMIT };
  const left = scan.notCovered
    .filter(({ reason }) => reason.startsWith('excluded by '))
    .slice(0, MOST_LEFT_OUT)
    .map(({ path, reason }): Rebuildable => {
      const relative = bytes(Buffer.from(path).toString('latin1'));
      return {
        path: relative,
        reason: reason.startsWith('excluded by default') ? 'name' : 'configuration',
        excluded: true,
        ...countBelow(joinBytes(root, relative), budget, signal),
      };
    });
  return {
    files,
    bytes: total,
    biggest: [...sums.entries()]
      .filter(([path]) => path !== '.' && path.split('/').length <= 2)
      .map(([path, sum]) => ({ path: bytes(path), ...sum }))
      .toSorted((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1))
      .slice(0, 10),
    databases,
    vectorStores: [...vectorStores.values()],
    memory,
    secrets,
    rebuildable: [...left, ...rebuildable.map((one) => ({ ...one, bytes: sums.get(one.path)?.bytes ?? 0 }))],
    large: large.toSorted((a, b) => b.size - a.size),
    unreadable: scan.problems.length,
  };
}

type FoundFile = { readonly path: Bytes; readonly size: number };

/** Only a file of whole pages can be a database, so few others are opened. Undefined for what is none. */
function databaseHeader(root: Bytes, path: Bytes, size: number): Uint8Array | undefined {
  if (size < 512 || size % 512 !== 0) return undefined;
  const head = headOf(joinBytes(root, path), 20);
  return isSqliteHeader(head) ? head : undefined;
}

/** The first bytes of a file; none where it cannot be read. */
function headOf(path: Bytes, length: number): Uint8Array {
  const head = Buffer.alloc(length);
  try {
    const fd = onPath(path, (reachable) => openSync(reachable, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW));
    try {
      return head.subarray(0, readSync(fd, head, 0, length, 0));
    } finally {
      closeSync(fd);
    }
  } catch {
    return head.subarray(0, 0);
  }
}

function vectorStoreOf(path: Bytes, isDirectory: boolean, there: ReadonlySet<string>): VectorStore | undefined {
  const name = basenameBytes(path);
  if (isDirectory) {
    if (name.endsWith('.lance')) return { kind: 'lance', path };
    // qdrant: storage/ with raft_state.json and collections/
    if (there.has(`${path}/raft_state.json`) && there.has(`${path}/collections`)) return { kind: 'qdrant', path };
    return undefined;
  }
  if (name === 'chroma.sqlite3') return { kind: 'chroma', path: dirnameBytes(path) };
  if (/\.faiss$|^faiss.*\.index$/i.test(name)) return { kind: 'faiss', path };
  if (/\.hnsw$/i.test(name)) return { kind: 'hnsw', path };
  // hnswlib's own directory; a Chroma store has one for each collection, and is told of as a whole.
  if (name === 'data_level0.bin' && !there.has(joinBytes(dirnameBytes(dirnameBytes(path)), 'chroma.sqlite3').replace(/^\.\//, '')))
    return { kind: 'hnsw', path: dirnameBytes(path) };
  return undefined;
}

function rebuildableBy(root: Bytes, path: Bytes, there: ReadonlySet<string>): Rebuildable['reason'] | undefined {
  if (path === '.') return undefined;
  const name = basenameBytes(path);
  if (there.has(`${path}/pyvenv.cfg`)) return 'environment';
  if (there.has(`${path}/CACHEDIR.TAG`)) {
    const tag = headOf(joinBytes(root, bytes(`${path}/CACHEDIR.TAG`)), CACHE_TAG.length);
    if (Buffer.from(tag).toString('latin1') === CACHE_TAG) return 'cache';
  }
  if (CACHE_NAMES.has(name)) return 'build';
  const parent = dirnameBytes(path);
  const makers = Object.hasOwn(BUILD_NAMES, name) ? (BUILD_NAMES[name] ?? []) : [];
  return makers.some((maker) => there.has(parent === '.' ? maker : `${parent}/${maker}`)) ? 'build' : undefined;
}

const isBelowOne = (path: Bytes, found: readonly Rebuildable[]) => found.some((one) => path.startsWith(`${one.path}/`));

/** Files and bytes below each directory, at any depth. */
function sumDirectories(scan: Scan): Map<string, { files: number; bytes: number }> {
  const sums = new Map<string, { files: number; bytes: number }>();
  scan.paths.forEach((path, row) => {
    if (((scan.mode[row] ?? 0) & S_IFMT) !== S_IFREG) return;
    for (let at = path; at !== '.'; ) {
      at = dirnameBytes(at);
      const sum = sums.get(at) ?? { files: 0, bytes: 0 };
      sums.set(at, { files: sum.files + 1, bytes: sum.bytes + (scan.size[row] ?? 0) });
    }
  });
  return sums;
}

/** Bytes below a directory that no save enters. Gives up when the budget for all of them is used up. */
function countBelow(directory: Bytes, budget: { entries: number }, signal: AbortSignal): { bytes: number; counted: boolean } {
  try {
    const scan = walk(directory, {
      excludedNames: new Set(),
      excluded: () => --budget.entries < 0,
      oneFileSystem: true,
      signal,
      onCount: () => undefined,
    });
    return { bytes: scan.size.reduce((sum, size) => sum + size, 0), counted: budget.entries >= 0 };
  } catch (error) {
    if (signal.aborted) throw error;
    return { bytes: 0, counted: false };
  }
}

/** The pattern that means exactly this path; undefined where patterns cannot say it. */
export function patternOf(path: Bytes, isDirectory: boolean): string | undefined {
  const text = toText(path);
  if (/[\n\r\0\ufffd]/.test(text)) return undefined;
  return `/${text.replace(/[\\*?[\]!#]/g, '\\$&').replace(/ $/, '\\ ')}${isDirectory ? '/' : ''}`;
}
