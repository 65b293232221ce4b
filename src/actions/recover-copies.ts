// Copies from a remote into a vault, one after the other, each visible only when all of it was compared.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { Report } from '../format/report.ts';
import { whyNoReport } from '../format/report-shape.ts';
import { takeLock } from '../os/lock.ts';
import { readReport, type SnapshotRef } from '../vault/catalog.ts';
import { findLast } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { recordCopy } from '../vault/offsite-record.ts';
import type { Vault } from '../vault/vault.ts';
import type { Remote, RemoteCopy } from './offsite-remote.ts';
import type { CopyGroup } from './recover-choose.ts';
import { fetchEncrypted, identitiesFor } from './recover-decrypt.ts';
import { type Fetched, fetchPlain } from './recover-fetch.ts';
import type { FetchStages } from './recover-stage.ts';
import { findCopy, placeSnapshot } from './recover-vault.ts';

/** From where, and what opens it. */
export type CopySource = {
  readonly remote: Remote;
  readonly group: CopyGroup;
  /** Files of age identities that were named, absolute; none: those in the usual place. */
  readonly identities: readonly string[];
  readonly home: string | undefined;
};

export type FetchedCopy = Fetched & { readonly copy: RemoteCopy; readonly ref: SnapshotRef };

/**
 * @param wanted oldest first
 * @returns what was fetched, and ids that the vault had
 * @throws CoraError damaged, key_wrong, remote_failed, no_space, locked, interrupted; copies before the failing one are in the vault
 */
export async function fetchCopies(
  source: CopySource,
  wanted: readonly RemoteCopy[],
  vault: Vault,
  stages: FetchStages,
  ctx: Context,
): Promise<{ readonly fetched: readonly FetchedCopy[]; readonly had: readonly string[] }> {
  const { remote, group } = source;
  const fetched: FetchedCopy[] = [];
  const had: string[] = [];
  const place = `${remote.name.replace(/\/+$/, '')}/${group.env}`;
  for (const copy of wanted) {
    const announce = { group, source: place, isFirst: fetched.length === 0 };
    const there = findCopy(vault, copy);
    if (there !== undefined) {
      if (hashOfSums(vault, there.ref) !== copy.complete.sums_sha256) throw otherSnapshot(vault, copy);
      // Without a line: a crash came between its rename and that. Everything had been compared.
      if (!there.recorded) placeSnapshot(vault, { copy, directory: undefined, report: readReport(vault, there.ref) }, announce, ctx);
      had.push(copy.complete.snapshot_id);
      continue;
    }
    const { kind, snapshot_id: id } = copy.complete;
    refuseOther(vault, copy);
    const fetch = await fetcherOf(source, copy, ctx);
    const stage = stages.open(kind, id);
    try {
      const got = await fetch(stage);
      const report = requireReport(got.directory, copy);
      fetched.push({ ...got, copy, ref: placeSnapshot(vault, { copy, directory: got.directory, report }, announce, ctx) });
    } catch (error) {
      // What is wrong at the remote is no use to the next run; what was cut off is.
      if (error instanceof CoraError && error.code === 'damaged') stages.remove(kind, id);
      throw error;
    }
    stages.remove(kind, id);
  }
  return { fetched, had };
}

function hashOfSums(vault: Vault, { directory }: SnapshotRef): string {
  return createHash('sha256')
    .update(readFileSync(`${vault.root}/${directory}/${NAMES.sums}`))
    .digest('hex');
}

function otherSnapshot(vault: Vault, { directory, complete }: RemoteCopy): CoraError {
  return new CoraError('refused', `The vault ${vault.root} has another snapshot ${complete.snapshot_id} than ${directory}; nothing was restored`, {
    hint: `cora verify ${complete.snapshot_id} --vault ${vault.root}; or name a place that does not exist yet with --vault DIR`,
  });
}

/** A vault that had the snapshot knows its sums: then the remote is not believed, but compared. @throws CoraError damaged */
function refuseOther(vault: Vault, { complete, directory }: RemoteCopy): void {
  const { kind, snapshot_id: id } = complete;
  const line = findLast(vault.root, (one) => one.kind === kind && one.id === id);
  if (line === undefined || line.sums === complete.sums_sha256) return;
  throw new CoraError('damaged', `The copy ${directory} is not the ${kind} ${id} that the ledger of ${vault.root} knows; nothing of it was used`, {
    hint: 'somebody changed it at the remote; take another copy',
  });
}

async function fetcherOf({ remote, identities, home }: CopySource, copy: RemoteCopy, ctx: Context): Promise<(stage: string) => Promise<Fetched>> {
  if (copy.complete.encryption === 'none') return (stage) => fetchPlain(remote, copy, stage, ctx);
  const keys = await identitiesFor(copy, identities, home, ctx);
  return (stage) => fetchEncrypted(remote, copy, stage, keys, ctx);
}

/** The report is covered by the sums; that it is the one of this copy, only itself says. */
function requireReport(directory: string, { complete, directory: place }: RemoteCopy): Report {
  const hint = 'cora recover REMOTE lists the other copies';
  let report: Report;
  try {
    report = JSON.parse(readFileSync(`${directory}/${NAMES.report}`, 'utf8')) as Report;
  } catch (error) {
    throw new CoraError('damaged', `The copy ${place} is damaged: its ${NAMES.report} cannot be read; nothing of it was used`, {
      hint,
      cause: error,
    });
  }
  const wrong = whyNoReport(report);
  if (wrong !== undefined)
    throw new CoraError('damaged', `The copy ${place} is damaged: its ${NAMES.report} is not valid (${wrong}); nothing of it was used`, { hint });
  if (report.snapshot_id === complete.snapshot_id && report.kind === complete.kind && report.vault_id === complete.vault_id) return report;
  throw new CoraError('damaged', `The copy ${place} is damaged: its ${NAMES.report} is that of another snapshot; nothing of it was used`, { hint });
}

/** Every byte of these copies was just read back: the vault knows that they are there. */
export function recordFetched(vault: Vault, { remote, group }: CopySource, fetched: readonly FetchedCopy[], ctx: Context): void {
  if (fetched.length === 0) return;
  try {
    const shipping = takeLock(`${vault.root}/${NAMES.shipLock}`, 'exclusive', ctx.lockWait);
    try {
      for (const { copy } of fetched) {
        const { snapshot_id: id, kind, shipped_at, bytes, files, encryption } = copy.complete;
        const checked_at = new Date(ctx.now()).toISOString();
        const record = { id, kind, shipped_at, checked_at, bytes, files, encryption, marker_sha256: copy.sha256 };
        recordCopy(vault, remote.name, group.env, record, ctx.lockWait);
      }
    } finally {
      shipping.release();
    }
  } catch (error) {
    ctx.monitor.note(`That these copies are at ${remote.name} could not be written down: ${messageOf(error)}`);
  }
}
