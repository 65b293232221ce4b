// One instant of the project into the vault's object store: scan, decide what to read, read and
// store it, copy databases, and give the new state of the tree. Both saves and backups start here.

import { artefactPath } from '../base/artefact.ts';
import { type Bytes, joinBytes } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import { DEFAULT_EXCLUDES } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { compilePatterns, type Matcher } from '../source/patterns.ts';
import { type Scan, walk } from '../source/walk.ts';
import type { StoredFileFacts } from '../store/jobs.ts';
import { FLAG_DATABASE, type Tree } from '../store/stat-cache.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';
import { diffTree, type TreeDiff } from './tree-diff.ts';

/** What became of the content of one row that was read. */
export type Content = {
  readonly flags: number;
  readonly piece: number;
  /** Bytes stored. */
  readonly size: number;
  readonly hashes: Uint8Array;
  /** Facts of the file as it was read; undefined where only the scan's are known. */
  readonly facts: StoredFileFacts | undefined;
};

export type Scanned = { readonly scan: Scan; readonly diff: TreeDiff; readonly isCritical: Matcher; readonly view: ScanView };

/** What a run sees otherwise than the project is: named artefacts. */
export type ScanView = {
  /** Paths that are left out, and why. */
  readonly omitted: ReadonlyMap<string, string>;
  /** Adds rows that are not in the project. */
  readonly addRows: (scan: Scan, old: Tree | undefined) => void;
};

const AS_IT_IS: ScanView = { omitted: new Map(), addRows: () => undefined };

/** Walks the project and compares it with the last save. Opens nothing but the heads of files that lie beside a -wal or -journal. */
export function scanProject(
  root: Bytes,
  config: Config,
  old: Tree | undefined,
  rereadSlice: number,
  ctx: Context,
  view: ScanView = AS_IT_IS,
): Scanned {
  ctx.monitor.phase('scan');
  const patterns = [...config.scan.exclude];
  const excludedNames = new Set<string>();
  for (const name of config.scan.excludeDefaults ? DEFAULT_EXCLUDES : []) excludedNames.add(name.replace(/\/$/, ''));
  const scan = walk(root, {
    excludedNames,
    excluded: compilePatterns(patterns),
    omitted: view.omitted,
    oneFileSystem: config.scan.oneFileSystem,
    signal: ctx.signal,
    onCount: (files) => ctx.monitor.progress({ phase: 'scan', files, totalFiles: 0, bytes: 0, totalBytes: 0 }),
  });
  view.addRows(scan, old);
  const oldFlags = old === undefined ? undefined : new Map<string, number>();
  if (old !== undefined && oldFlags !== undefined) {
    for (let row = 0; row < old.count; row++)
      if (((old.flags[row] ?? 0) & FLAG_DATABASE) !== 0) oldFlags.set(old.paths[row] ?? '', old.flags[row] ?? 0);
  }
  const isDatabase = (row: number): boolean =>
    oldFlags?.has(scan.paths[row] ?? '') === true || hasSqliteHeader(joinBytes(root, scan.paths[row] ?? ''));
  const diff = diffTree(scan, old, isDatabase, rereadSlice);
  const matches = compilePatterns(config.critical.patterns);
  const outputs = new Set<string>(config.artefacts.flatMap(({ name, command }) => (command === undefined ? [] : artefactPath(name))));
  return { scan, diff, isCritical: (path, isDirectory) => outputs.has(path) || matches(path, isDirectory), view };
}
