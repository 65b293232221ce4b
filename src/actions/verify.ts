// Verification: reads a snapshot's files from the disk, past the page cache, and compares them with
// SHA256SUMS.txt, and that with the ledger; for a save also every pack that it refers to. It never repairs.

import { type Context, SILENT } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import type { SnapshotKind } from '../format/report.ts';
import { listSnapshots, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { type SealState, sealedInLedger, sealStateOf } from '../vault/seal.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import { lockForReading, lockForWriting, type Vault } from '../vault/vault.ts';
import { recordRuns } from './ledger.ts';
import { stopIfAborted } from './settle.ts';
import { checkBackupDeeply } from './verify-backup.ts';
import { type ChainCheck, checkChain } from './verify-chain.ts';
import { type Damage, FileChecker } from './verify-files.ts';
import { SaveChecker } from './verify-save.ts';

export type VerifyOptions = {
  /** A snapshot name, `all` (with the ledger), `chain` (the ledger alone), or undefined for the latest. */
  readonly target: string | undefined;
  /** Also the ledger, with a target that does not mean it. */
  readonly chain?: boolean;
  /** Also decode every object and open every database copy. */
  readonly deep: boolean;
  /** Milliseconds: no further snapshot is begun after this. */
  readonly maxDuration?: number;
};

export type VerifiedSnapshot = {
  readonly id: string;
  readonly kind: SnapshotKind;
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
  /** False where the file system cannot be read past its cache (then memory may hide a bad disk). */
  readonly cold: boolean;
  readonly damaged: readonly Damage[];
  /** Backups: what every file's flags say; undefined for a save. */
  readonly seal: SealState | undefined;
  /** True where the ledger says that it is sealed, and the flags are not there. */
  readonly sealMissing: boolean;
};

export type VerifyResult = {
  readonly snapshots: readonly VerifiedSnapshot[];
  /** The ledger, where it was asked for. */
  readonly chain?: ChainCheck;
  /** Snapshots that the time limit left for the next run. */
  readonly remaining: number;
  readonly seconds: number;
};

/** @throws CoraError vault_missing, unknown_snapshot, ambiguous_snapshot, interrupted. Damage is a result, not an error. */
export async function verify(location: VaultLocation, options: VerifyOptions, ctx: Context): Promise<VerifyResult> {
  const vault = openLocated(location);
  const lock = lockForReading(vault);
  const begun = performance.now();
  try {
    ctx.monitor.phase('verify');
    const withChain = options.chain === true || options.target === 'all' || options.target === 'chain';
    // The table may know of lines that are gone.
    if (withChain) await recordRuns(vault, { ...ctx, monitor: SILENT });
    const chain = withChain ? checkChain(vault, ctx) : undefined;
    const refs = wantedSnapshots(vault, options.target, ctx);
    const files = new FileChecker(vault, ctx);
    const saves = new SaveChecker(vault, files, options.deep, ctx);
    const snapshots: VerifiedSnapshot[] = [];
    try {
      for (const ref of refs) {
        stopIfAborted(ctx);
        if (options.maxDuration !== undefined && snapshots.length > 0 && performance.now() - begun > options.maxDuration) break;
        snapshots.push(await verifyOne(vault, ref, files, saves, options.deep, ctx));
      }
    } finally {
      await saves.close();
    }
    recordVerify(vault, snapshots, ctx);
    const seconds = (performance.now() - begun) / 1000;
    return { snapshots, ...(chain === undefined ? {} : { chain }), remaining: refs.length - snapshots.length, seconds };
  } finally {
    lock?.release();
  }
}

/** Oldest verified first would need a record of each; until then newest first: it is what a restore would take. */
function wantedSnapshots(vault: Vault, target: string | undefined, ctx: Context): SnapshotRef[] {
  if (target === 'chain') return [];
  const all = listSnapshots(vault);
  if (target === 'all') return all.reverse();
  const chosen = resolveSnapshot(vault, target ?? 'latest', ctx.now());
  return all.filter((ref) => ref.id === chosen.id).reverse();
}

async function verifyOne(
  vault: Vault,
  ref: SnapshotRef,
  files: FileChecker,
  saves: SaveChecker,
  deep: boolean,
  ctx: Context,
): Promise<VerifiedSnapshot> {
  const begun = performance.now();
  files.begin();
  const damaged: Damage[] = await files.checkDirectory(ref);
  if (ref.kind === 'save') damaged.push(...(await saves.check(ref)));
  else if (deep && damaged.length === 0) damaged.push(...(await checkBackupDeeply(vault, ref, ctx)));
  const { count, size, cold } = files.totals();
  const seal = ref.kind === 'backup' ? sealStateOf(vault, ref) : undefined;
  const sealMissing = seal !== undefined && seal.protection !== 'kernel' && sealedInLedger(vault).get(ref.id) === 'seal';
  const seconds = (performance.now() - begun) / 1000;
  return { id: ref.id, kind: ref.kind, files: count, bytes: size, cold, seconds, damaged: unique(damaged), seal, sealMissing };
}

function unique(damaged: readonly Damage[]): Damage[] {
  const seen = new Set<string>();
  return damaged.filter(({ path, file }) => {
    const key = `${path}\0${file}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** A verification is part of the vault's history; where it cannot be written (read-only vault, another run) it is left out. */
function recordVerify(vault: Vault, snapshots: readonly VerifiedSnapshot[], ctx: Context): void {
  if (snapshots.length === 0) return;
  try {
    const lock = lockForWriting(vault, 1000);
    try {
      // What a crash kept out of the ledger comes before a line of ours, or it could never be put in again.
      adoptUnrecorded(vault);
      let head = readHead(vault.root);
      for (const snapshot of snapshots) {
        head = appendLine(vault.root, head, {
          kind: 'verify',
          id: snapshot.id,
          time: new Date(ctx.now()).toISOString(),
          sums: '-',
          extra: `${snapshot.kind},${snapshot.damaged.length === 0 ? 'ok' : 'damaged'}`,
        });
      }
    } finally {
      lock.release();
    }
  } catch (error) {
    ctx.monitor.note(`This verification is not recorded: ${messageOf(error)}`);
  }
}
