// What may not leave in the clear (NEW-10): a backup that holds files whose names say that they are secrets.

import { type Bytes, fromText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { secretFiles } from '../source/secrets.ts';
import { loadEntries } from '../vault/listing.ts';
import type { Shipment } from './ship-copy.ts';

/** How many names a sentence bears. */
const NAMED_MOST = 3;

/**
 * @throws CoraError refused where a copy in the clear would hold secrets and nobody said that it may
 */
export function refuseSecrets(shipment: Shipment, allowPlaintext: boolean): void {
  // What rclone encrypts itself is not in the clear.
  if (allowPlaintext || shipment.remote.type === 'crypt') return;
  const found = secretFiles(pathsOf(shipment));
  if (found.length === 0) return;
  const names = found.slice(0, NAMED_MOST).map(({ path }) => toText(path));
  const more = found.length > NAMED_MOST ? ` and ${found.length - NAMED_MOST} more` : '';
  throw new CoraError('refused', `${shipment.ref.id} holds what looks like secrets (${names.join(', ')}${more}) and would leave in the clear`, {
    hint: 'cora key new, so that it is encrypted; or [offsite] allow_plaintext = true where the remote may know them',
    details: { files: found.map(({ path, reason }) => ({ path: toText(path), reason })) },
  });
}

function pathsOf({ vault, ref, report }: Shipment): Bytes[] {
  // A checkpoint has no listing of ours; critical files are what it exists for.
  if (ref.kind === 'fallback') return report.critical.map(fromText);
  return loadEntries(vault, ref)
    .filter(({ type }) => type === 'f' || type === 'S' || type === 'h' || type === 'l')
    .map(({ path }) => path);
}
