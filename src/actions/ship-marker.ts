// COMPLETE.json of a copy: written after every byte was compared where it lies, and read back. Only then does the copy count.

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { COMPLETE, type Complete, type CompleteObject, formatComplete } from '../format/complete.ts';
import { exists, readTextIfThere, writeNewFile } from '../os/files.ts';
import { rclone } from '../os/rclone.ts';
import { localDirectoryOf } from '../os/rclone-places.ts';
import { syncFileSystem } from '../os/sync.ts';
import { readHead } from '../vault/chain.ts';
import { below, failure, type Remote } from './offsite-remote.ts';
import type { Arrived, Shipment } from './ship-copy.ts';

export type Encrypted = { readonly recipients: readonly string[]; readonly objects: readonly CompleteObject[] };

/**
 * @param encrypted undefined for a copy in the clear
 * @returns the marker and its sha256
 * @throws CoraError remote_failed
 */
export async function writeMarker(
  shipment: Shipment,
  arrived: Arrived,
  encrypted: Encrypted | undefined,
  ctx: Context,
): Promise<{ readonly complete: Complete; readonly sha256: string }> {
  const { remote, directory, scratch } = shipment;
  syncLocal(remote, directory);
  const complete = describe(shipment, arrived, encrypted, ctx);
  const text = formatComplete(complete);
  const file = `${scratch}/${COMPLETE}`;
  rmSync(file, { force: true });
  writeNewFile(file, text);
  const target = `${below(remote, directory)}/${COMPLETE}`;
  const sent = await rclone(remote.rclone, ['copyto', '--ignore-times', '--', file, target], { retries: 3 });
  if (sent.exitCode !== 0) throw failure(remote.name, 'did not take the last file of the copy', sent);
  // rclone answers 0 for an object that is not there: what comes back has to be what was sent.
  const back = await rclone(remote.rclone, ['cat', '--', target], { retries: 2 });
  if (back.exitCode !== 0) throw failure(remote.name, 'cannot be read back', back);
  if (back.stdout.toString() !== text)
    throw new CoraError('remote_failed', `${remote.name} gives back another ${COMPLETE} than was sent`, { hint: 'cora ship' });
  syncLocal(remote, directory);
  return { complete, sha256: createHash('sha256').update(text).digest('hex') };
}

/** A disk has what was written to it in its cache for half a minute; a marker that outlives its files in a power cut would lie. */
function syncLocal(remote: Remote, directory: string): void {
  const { rcloneConfig } = remote.credentials;
  const config = rcloneConfig === undefined ? undefined : readTextIfThere(rcloneConfig);
  let place = localDirectoryOf(below(remote, directory), config ?? '', undefined);
  if (place === undefined) return;
  // A remote that encrypts names has none of this name; its file system is that of the directory around it.
  while (!exists(place)) place = dirname(place);
  try {
    syncFileSystem(fromText(place));
  } catch (error) {
    throw new CoraError('remote_failed', messageOf(error), { hint: 'check that disk (dmesg), then run cora ship again', cause: error });
  }
}

function describe(shipment: Shipment, { files, bytes }: Arrived, encrypted: Encrypted | undefined, ctx: Context): Complete {
  const { vault, ref, report, env, sumsSha256 } = shipment;
  const head = readHead(vault.root);
  return {
    format: 1,
    vault_id: vault.info.vault_id,
    project: vault.info.name,
    host: report.host.hostname,
    env,
    snapshot_id: ref.id,
    kind: ref.kind,
    type: report.type,
    status: report.status,
    labelled: report.label !== null,
    backup_start: report.backup_start,
    shipped_at: new Date(ctx.now()).toISOString(),
    cora: ctx.version,
    encryption: encrypted === undefined ? 'none' : 'age',
    recipients: [...(encrypted?.recipients ?? [])],
    sums_sha256: sumsSha256,
    chain: { sequence: head.sequence, hash: head.hash },
    files,
    bytes,
    objects: [...(encrypted?.objects ?? [])],
  };
}
