// Contents of a save: files from objects, in the order in which the packs hold them.

import { closeSync, constants, ftruncateSync, openSync, renameSync } from 'node:fs';
import { type Bytes, bytes, dirnameBytes, joinBytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { Entry } from '../format/file-list.ts';
import { tryRemove } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import type { Content, RestoreFilesResult, RestoreItem } from '../store/jobs.ts';
import { openIndex } from '../store/object-index.ts';
import type { ObjectTable } from '../store/object-table.ts';
import { WorkerPool } from '../store/pool.ts';
import { finishFile } from '../store/read-jobs.ts';
import { temporaryName } from '../store/temporary-name.ts';
import { listPacks } from '../vault/catalog.ts';
import { contentOf } from './contents.ts';
import type { RestorePlan } from './restore-plan.ts';
import type { RestoreTarget } from './restore-target.ts';
import { settleAll, stopIfAborted } from './settle.ts';

const BATCH_BYTES = 2 << 20;
const BATCH_FILES = 256;
/** From this size on a file is written by several threads, in parts. */
const PARTS_FROM = 8 << 20;
const PART_BYTES = 4 << 20;

/** Files whose objects do not verify are not written; they are told to `target.damaged`. */
export async function restoreFromObjects(plan: RestorePlan, contents: readonly Entry[], target: RestoreTarget, ctx: Context): Promise<void> {
  const { vault } = plan.work;
  const index = openIndex(vault.root, listPacks(vault), 0, false);
  const known: { entry: Entry; content: Content; order: number }[] = [];
  for (const entry of contents) {
    const content = contentOf(entry);
    if (isThere(index.table, content)) known.push({ entry, content, order: placeOf(index.table, content) });
    else target.damaged(entry.path, 'Its content is in no pack of the vault');
  }
  known.sort((a, b) => a.order - b.order);
  const total = known.reduce((sum, { content }) => sum + content.size, 0);
  const pool = new WorkerPool(total < 1 << 20 ? 0 : ctx.workers, { table: index.table.shared, packs: index.packs });
  const run = new ObjectRestore(pool, target, ctx);
  try {
    await run.perform(known);
  } finally {
    await pool.close();
  }
}

function isThere(table: ObjectTable, content: Content): boolean {
  for (let at = 0; at < content.hashes.length; at += 32) if (table.find(content.hashes.subarray(at, at + 32)) < 0) return false;
  return true;
}

/** Pack and offset as one number, for sorting. */
function placeOf(table: ObjectTable, content: Content): number {
  if (content.hashes.length === 0) return -1;
  const { pack, offset } = table.location(table.find(content.hashes.subarray(0, 32)));
  return pack * 2 ** 40 + offset;
}

class ObjectRestore {
  readonly #pool: WorkerPool;
  readonly #target: RestoreTarget;
  readonly #ctx: Context;
  #files = 0;
  #bytes = 0;

  constructor(pool: WorkerPool, target: RestoreTarget, ctx: Context) {
    this.#pool = pool;
    this.#target = target;
    this.#ctx = ctx;
  }

  async perform(known: readonly { entry: Entry; content: Content }[]): Promise<void> {
    const jobs: Promise<void>[] = [];
    let batch: RestoreItem[] = [];
    let batchBytes = 0;
    const flush = (): void => {
      if (batch.length > 0) jobs.push(this.#batch(batch));
      batch = [];
      batchBytes = 0;
    };
    for (const { entry, content } of known) {
      if (content.size >= PARTS_FROM) {
        jobs.push(this.#large(entry, content));
        continue;
      }
      batch.push({ path: joinBytes(this.#target.directory, entry.path), content, attributes: entry });
      batchBytes += content.size + 4096;
      if (batchBytes >= BATCH_BYTES || batch.length >= BATCH_FILES) flush();
    }
    flush();
    await settleAll(jobs);
  }

  async #batch(items: readonly RestoreItem[]): Promise<void> {
    stopIfAborted(this.#ctx);
    const bare = items.map(({ path, content, attributes: { mode, uid, gid } }) => ({ path, content, attributes: { mode, uid, gid } }));
    this.#take(await this.#pool.run({ kind: 'restore-files', items: bare, owners: this.#target.owners }));
    this.#files += items.length;
    this.#target.progress(this.#files, this.#bytes);
  }

  async #large(entry: Entry, content: Content): Promise<void> {
    const path = joinBytes(this.#target.directory, entry.path);
    const temporary = joinBytes(dirnameBytes(path), temporaryName());
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = onPath(temporary, (reachable) => openSync(reachable, flags, 0o600));
    let whole = false;
    try {
      ftruncateSync(fd, content.size);
      const perPart = Math.max(1, Math.floor(PART_BYTES / content.piece));
      const parts: Promise<boolean>[] = [];
      for (let first = 0; first * 32 < content.hashes.length; first += perPart) {
        const hashes = content.hashes.slice(first * 32, (first + perPart) * 32);
        const offset = first * content.piece;
        const part = { ...content, hashes, size: Math.min(content.size - offset, perPart * content.piece) };
        parts.push(this.#part(temporary, path, offset, part));
      }
      await settleAll(parts);
      whole = (await Promise.all(parts)).every(Boolean);
      if (whole) finishFile(fd, entry, this.#target.owners);
    } finally {
      closeSync(fd);
      if (!whole) onPath(temporary, tryRemove);
    }
    if (whole) onPath(temporary, (from) => onPath(path, (to) => renameSync(from, to)));
    this.#files += 1;
  }

  async #part(temporary: Bytes, path: Bytes, offset: number, content: Content): Promise<boolean> {
    stopIfAborted(this.#ctx);
    const result = await this.#pool.run({ kind: 'restore-part', path: temporary, offset, content });
    this.#take({ ...result, failures: result.failures.map((failure) => ({ ...failure, path })) });
    this.#target.progress(this.#files, this.#bytes);
    return result.failures.length === 0;
  }

  #take(result: RestoreFilesResult): void {
    this.#bytes += result.bytes;
    for (const { path, code, message } of result.failures) {
      const relative = bytes(path.slice(this.#target.directory.length + 1));
      if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS') throw Object.assign(new Error(message), { code });
      if (code === 'damaged') this.#target.damaged(relative, message);
      else
        this.#target.problem({
          code: 'not_restored',
          path: Buffer.from(relative, 'latin1').toString(),
          message: `It could not be restored: ${message}`,
          severity: 'error',
        });
    }
  }
}
