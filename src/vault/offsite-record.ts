// What is known of copies off-site: a line `ship` in the ledger for each that was proven, and ledger/offsite.json with the
// present state by remote. Invariant: a copy is recorded only after its marker was written and read back.

import { messageOf } from '../base/errors.ts';
import { readTextIfThere, replaceFile } from '../os/files.ts';
import { appendLine, readHead } from './chain.ts';
import { NAMES } from './layout.ts';
import { type CopyRecord, type OffsiteReading, type OffsiteRecord, type RemoteRecord, soundParts } from './offsite-shape.ts';
import { lockForWriting, type Vault } from './vault.ts';

const EMPTY: OffsiteRecord = { schema: 1, remotes: {} };

/** A damaged or missing record claims nothing: what is at the remotes is looked at again. */
export function readOffsite(vault: Vault): OffsiteRecord {
  return inspectOffsite(vault).record;
}

/** The same, and whether the file is damaged. Never throws. */
export function inspectOffsite(vault: Vault): OffsiteReading {
  try {
    const text = readTextIfThere(`${vault.root}/${NAMES.offsite}`);
    return text === undefined ? { record: EMPTY, damaged: undefined } : soundParts(JSON.parse(text));
  } catch (error) {
    return { record: EMPTY, damaged: messageOf(error) };
  }
}

export function copyKey(copy: { readonly kind: string; readonly id: string }): string {
  return `${copy.kind} ${copy.id}`;
}

/** Changes the record of one remote. The caller holds the ship lock. */
export function updateRemote(vault: Vault, remote: string, env: string, change: (record: RemoteRecord) => RemoteRecord): void {
  const all = readOffsite(vault);
  const known = all.remotes[remote];
  const before: RemoteRecord = known?.env === env ? known : { env, copies: {} };
  replaceFile(
    `${vault.root}/${NAMES.offsite}`,
    `${JSON.stringify({ ...all, remotes: { ...all.remotes, [remote]: change(before) } }, null, 2)}\n`,
    true,
  );
}

/** Records a copy that was proven: in the ledger, then in the state. */
export function recordCopy(vault: Vault, remote: string, env: string, copy: CopyRecord, lockWait: number): void {
  writeLine(vault, 'ship', { remote, env, time: copy.shipped_at, sums: copy.marker_sha256, copy }, lockWait);
  const key = copyKey(copy);
  updateRemote(vault, remote, env, (record) => ({
    ...record,
    copies: { ...record.copies, [key]: copy },
    ...(record.retired === undefined ? {} : { retired: record.retired.filter((one) => one !== key) }),
  }));
}

/** Before a copy is deleted at its remote: it is neither claimed nor sent again, whatever happens then. */
export function retireCopy(vault: Vault, remote: string, env: string, copy: Named): void {
  const key = copyKey(copy);
  updateRemote(vault, remote, env, (record) => ({
    ...record,
    copies: Object.fromEntries(Object.entries(record.copies).filter(([one]) => one !== key)),
    retired: [...(record.retired ?? []).filter((one) => one !== key), key],
  }));
}

/** The deletion did not happen. @param record of the copy as it was; undefined where there was none */
export function unretireCopy(vault: Vault, remote: string, env: string, copy: Named, record: CopyRecord | undefined): void {
  const key = copyKey(copy);
  updateRemote(vault, remote, env, (all) => ({
    ...all,
    ...(record === undefined ? {} : { copies: { ...all.copies, [key]: record } }),
    retired: (all.retired ?? []).filter((one) => one !== key),
  }));
}

/** A copy does not count at its remote any more, because we deleted its marker. */
export function recordRemoval(vault: Vault, remote: string, env: string, copy: Named, marker: string, time: string, lockWait: number): void {
  writeLine(vault, 'unship', { remote, env, time, sums: marker, copy }, lockWait);
}

type Named = Pick<CopyRecord, 'id' | 'kind'>;
type Fact = { readonly remote: string; readonly env: string; readonly time: string; readonly sums: string; readonly copy: Named };

function writeLine(vault: Vault, kind: 'ship' | 'unship', { remote, env, time, sums, copy }: Fact, lockWait: number): void {
  const lock = lockForWriting(vault, Math.max(lockWait, 60_000));
  try {
    const extra = encodeURIComponent(`${copy.kind},${remote},${env}`);
    appendLine(vault.root, readHead(vault.root), { kind, id: copy.id, time, sums, extra });
  } finally {
    lock.release();
  }
}

/** What is no longer believed of a remote: copies that are damaged or gone. */
export function forgetCopies(vault: Vault, remote: string, env: string, keys: readonly string[]): void {
  if (keys.length === 0) return;
  updateRemote(vault, remote, env, (record) => ({
    ...record,
    copies: Object.fromEntries(Object.entries(record.copies).filter(([key]) => !keys.includes(key))),
  }));
}
