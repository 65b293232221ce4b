// The secrets among the files of a snapshot, by its listing alone: what an off-site copy in the clear would give away.

import { bytes } from '../base/bytes.ts';
import { rowKey, unescapeField } from '../format/file-list.ts';
import { type SecretFile, secretFiles } from '../source/secrets.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { eachRow } from '../vault/listing.ts';
import type { Vault } from '../vault/vault.ts';

/**
 * @returns undefined for a checkpoint, which has no listing: nobody knows what it holds
 * @throws CoraError damaged where the listing cannot be read
 */
export function secretsOfSnapshot(vault: Vault, ref: SnapshotRef): SecretFile[] | undefined {
  if (ref.kind === 'fallback') return undefined;
  return secretFiles(filesOf(vault, ref));
}

function* filesOf(vault: Vault, ref: SnapshotRef) {
  // A link gives nothing away but its name; what it leads to inside the project has a row of its own.
  for (const row of eachRow(vault, ref)) if (/^[fSh]\t/.test(row)) yield bytes(unescapeField(rowKey(row)));
}
