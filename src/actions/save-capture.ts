// The contents of a save: the object index, the pack, the threads, and what came of them.

import { bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { freeBytes } from '../os/files.ts';
import { endPhase } from '../os/memory.ts';
import { openIndex, recordsFrom } from '../store/object-index.ts';
import { PackOutput } from '../store/pack-output.ts';
import { WorkerPool } from '../store/pool.ts';
import type { Tree } from '../store/stat-cache.ts';
import { listPacks } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import type { StagedFile } from '../vault/snapshot.ts';
import type { Vault } from '../vault/vault.ts';
import type { ArtefactRun } from './artefact-dumps.ts';
import { type Scanned, scanProject } from './capture.ts';
import type { ProjectFacts } from './open-project.ts';
import type { Stored } from './store-request.ts';
import { storeContents } from './store-run.ts';

export type CaptureMode = {
  readonly check: 'quick_check' | 'integrity_check';
  /** Which thirtieth of the unchanged files is read again (backups); -1 for none. */
  readonly rereadSlice: number;
  /** True: unchanged databases that had a quick_check alone are copied and checked again. */
  readonly recheck?: boolean;
  /** Outputs of commands that were made for this run, and what it leaves out. */
  readonly artefacts?: ArtefactRun;
};

/** From this many entries on, memory is given back between phases. */
export const LARGE_TREE = 10_000;

/** Fewer bytes than this are stored on this thread: starting others would take longer. */
const THREADS_FROM = 1 << 20;

export type Captured = {
  readonly scanned: Scanned;
  /** The old tree, unless its objects are no longer all there. */
  readonly old: Tree | undefined;
  readonly stored: Stored;
  /** Settles when the pack is durable and was read back; undefined where nothing new was stored. */
  readonly pack: Promise<StagedFile | undefined>;
  readonly records: Buffer;
  readonly packedBytes: number;
};

/** Reads and stores what the scan asks for, into a pack in the staging directory. */
export async function captureInto(
  vault: Vault,
  project: ProjectFacts,
  scanned: Scanned,
  old: Tree | undefined,
  stage: string,
  mode: CaptureMode,
  ctx: Context,
): Promise<Captured> {
  const { scan } = scanned;
  if (scan.paths.length > LARGE_TREE) endPhase();
  const bytesToRead = scanned.diff.toRead.reduce((sum, row) => sum + (scan.size[row] ?? 0), 0);
  checkSpace(vault, bytesToRead, scanned, old);
  const room = scanned.diff.toRead.length + Math.ceil(bytesToRead / 16_384) + 65_536;
  const index = openIndex(vault.root, listPacks(vault), room, true);
  if (index.lostPacks + index.damagedPacks.length > 0 && old !== undefined) {
    // Some content is gone from the vault: what the cache calls "unchanged" may be in no pack. Read everything again.
    ctx.monitor.note(
      'Packs of this vault are missing or damaged: every file is read again, so that this save is whole (cora verify --all names them)',
    );
    const fresh = scanProject(project.root, project.config, undefined, -1, ctx, scanned.view);
    return captureInto(vault, project, fresh, undefined, stage, mode, ctx);
  }
  const first = index.table.count;
  const output = new PackOutput(`${stage}/${NAMES.pack}`, index.packs.length);
  const packs = [...index.packs, output.setup.path];
  const pool = new WorkerPool(bytesToRead < THREADS_FROM ? 0 : ctx.workers, { table: index.table.shared, packs, output: output.setup });
  try {
    const stored = await storeContents({ root: project.root, scanned, pool, output, stage, check: mode.check, config: project.config }, ctx);
    const packedBytes = output.bytes;
    let pack: Promise<StagedFile | undefined> = Promise.resolve(undefined);
    if (packedBytes > 0) {
      // A thread syncs the pack and reads it back while this one works on the listing.
      const job = output.end();
      pack = pool.run(job).then(({ sha256 }) => ({ path: bytes(NAMES.pack), size: job.size, sha256, verified: true }));
    } else output.discard();
    const closed = pack.finally(() => pool.close());
    // The one who awaits it hears of a failure; until then it is not "unhandled".
    closed.catch(() => {});
    return { scanned, old, stored, pack: closed, records: recordsFrom(index.table, first), packedBytes };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

/** Refuses before the first write where what must be read cannot fit even if it compresses well. */
function checkSpace(vault: Vault, bytesToRead: number, scanned: Scanned, old: Tree | undefined): void {
  const free = freeBytes(vault.root);
  // What is read again is mostly there already; only a first save is sure to need room.
  const estimate = old === undefined ? bytesToRead * 0.15 : 0;
  const needed = Math.round(estimate) + (1 << 20);
  if (free < needed && scanned.diff.toRead.length > 0) {
    throw new CoraError('no_space', `The vault's disk has ${free} bytes left; this save needs about ${needed}`, {
      hint: 'free space on it (df -h), or name a vault on another disk with --vault',
    });
  }
}
