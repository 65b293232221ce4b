// A restored directory against the listing: the type of every entry, the hash of every file, the target of every link,
// and what SQLite says of every database. It reads what was written, and trusts nothing that the restore said.

import { hash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { type Bytes, fromBuffer, joinBytes, toBuffer, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import { EMPTY_SHA256, type Entry } from '../format/file-list.ts';
import type { DatabaseReport, Report } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import { checkCopy } from '../os/sqlite.ts';
import { pieceSizeOf } from '../store/chunker.ts';
import { WorkerPool } from '../store/pool.ts';
import { stopIfAborted } from './settle.ts';

export type Difference = { readonly path: Bytes; readonly reason: string };
export type Compared = { readonly files: number; readonly bytes: number; readonly differences: readonly Difference[] };

const BATCH = 256;

/** @param leftOut asked for an entry that is not there; true where that is right */
export async function compareRestored(
  directory: Bytes,
  entries: readonly Entry[],
  leftOut: (entry: Entry) => boolean,
  ctx: Context,
): Promise<Compared> {
  ctx.monitor.phase('verify');
  const differences: Difference[] = [];
  const whole: Entry[] = [];
  const cut: Entry[] = [];
  for (const entry of entries) {
    const reason = differs(directory, entry);
    if (reason === undefined) {
      if (entry.type === 'f' || entry.type === 'S') (entry.pieces === undefined ? whole : cut).push(entry);
    } else if (!(reason === MISSING && leftOut(entry))) differences.push({ path: entry.path, reason });
  }
  let files = 0;
  let count = 0;
  const total = whole.length + cut.length;
  const check = (entry: Entry, right: boolean): void => {
    files += 1;
    count += entry.size;
    if (!right) differences.push({ path: entry.path, reason: 'it does not have the content that was saved' });
    ctx.monitor.progress({ phase: 'verify', files, totalFiles: total, bytes: count, totalBytes: 0 });
  };
  const none = new SharedArrayBuffer(4);
  const pool = new WorkerPool(whole.length < BATCH ? 0 : ctx.workers, {
    table: { records: new SharedArrayBuffer(56), slots: none, counter: none },
    packs: [],
  });
  try {
    for (let at = 0; at < whole.length; at += BATCH * 4) {
      stopIfAborted(ctx);
      const round = Array.from({ length: 4 }, (_, index) => whole.slice(at + index * BATCH, at + (index + 1) * BATCH)).filter(
        ({ length }) => length > 0,
      );
      const hashed = await Promise.all(
        round.map((batch) => pool.run({ kind: 'hash-files', paths: batch.map(({ path }) => joinBytes(directory, path)) })),
      );
      round.forEach((batch, index) => {
        for (const [nth, entry] of batch.entries()) check(entry, hashed[index]?.sha256[nth] === (entry.sha256 ?? EMPTY_SHA256));
      });
    }
  } finally {
    await pool.close();
  }
  for (const entry of cut) {
    stopIfAborted(ctx);
    check(entry, hasPieces(joinBytes(directory, entry.path), entry));
  }
  return { files, bytes: count, differences };
}

const MISSING = 'it is missing';

/** Everything but the content of files; undefined where all is as it was saved. */
function differs(directory: Bytes, entry: Entry): string | undefined {
  const path = joinBytes(directory, entry.path);
  if (entry.type === 's') return undefined;
  try {
    const live = onPath(path, (reachable) => lstatSync(reachable));
    switch (entry.type) {
      case 'd':
        return live.isDirectory() ? undefined : 'it is no directory';
      case 'l':
        if (!live.isSymbolicLink()) return 'it is no symbolic link';
        return fromBuffer(onPath(path, (reachable) => readlinkSync(reachable, { encoding: 'buffer' }))) === entry.link
          ? undefined
          : 'it points elsewhere';
      case 'h': {
        const other = onPath(joinBytes(directory, entry.link ?? ''), (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
        return other?.ino === live.ino ? undefined : 'it is no hard link to what it was linked with';
      }
      case 'f':
      case 'S':
        if (!live.isFile()) return 'it is no file';
        return live.size === entry.size ? undefined : `it has ${live.size} bytes, and ${entry.size} were saved`;
      default:
        return live.isFIFO() || live.isCharacterDevice() || live.isBlockDevice() ? undefined : 'it is of another type';
    }
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? MISSING : messageOf(error);
  }
}

/** A cut file of a save has the hash of each piece, and none of the whole. */
function hasPieces(path: Bytes, entry: Entry): boolean {
  const pieces = entry.pieces ?? new Uint8Array();
  const size = pieceSizeOf(entry.size, pieces.length / 32);
  const buffer = Buffer.allocUnsafe(size);
  const fd = onPath(path, (reachable) => openSync(reachable, 'r'));
  try {
    for (let at = 0; at < pieces.length; at += 32) {
      const length = readSync(fd, buffer, 0, size, null);
      if (hash('sha256', buffer.subarray(0, length), 'hex') !== Buffer.from(pieces.subarray(at, at + 32)).toString('hex')) return false;
    }
    return readSync(fd, buffer, 0, 1, null) === 0;
  } finally {
    closeSync(fd);
  }
}

export type DatabaseDrill = { readonly path: Bytes; readonly ok: boolean; readonly rows: number; readonly error: string | undefined };

/** Opens every restored database: SQLite's own check, and rows a table against the record. */
export async function openDatabases(directory: Bytes, entries: readonly Entry[], report: Report, ctx: Context): Promise<DatabaseDrill[]> {
  const records = new Map(report.databases.map((record) => [record.path, record]));
  const opened: DatabaseDrill[] = [];
  for (const { path, type } of entries) {
    const record = type === 'f' || type === 'S' ? records.get(toText(path)) : undefined;
    // Raw bytes are what SQLite could not open when they were saved.
    if (record === undefined || record.stored !== 'copy') continue;
    stopIfAborted(ctx);
    opened.push(await openOne(path, joinBytes(directory, path), record));
  }
  return opened;
}

async function openOne(path: Bytes, file: Bytes, record: DatabaseReport): Promise<DatabaseDrill> {
  try {
    const { result, rows, tables } = await checkCopy(toBuffer(file), 'integrity_check');
    if (result !== 'ok') return { path, ok: false, rows, error: `db_integrity_check_failed: ${result.slice(0, 300)}` };
    const other = Object.entries(record.tables).find(([table, count]) => tables[table] !== count);
    const error = other === undefined ? undefined : `its table ${other[0]} has ${tables[other[0]] ?? 'no'} rows, and ${other[1]} were saved`;
    return { path, ok: error === undefined, rows, error };
  } catch (error) {
    return { path, ok: false, rows: 0, error: `db_open_failed: ${messageOf(error)}` };
  }
}
