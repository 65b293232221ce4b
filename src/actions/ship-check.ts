// `cora ship --check`: every byte of the copies that are recorded is read back from its remote. What is not right any more is no
// longer claimed, so that the next `cora ship` sends it again.

import { createHash } from 'node:crypto';
import { bytes, fromText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { parseSums, type Sum } from '../format/checksums.ts';
import { COMPLETE, COMPLETE_MOST, type Complete, copyDirectory, parseComplete } from '../format/complete.ts';
import { takeLock } from '../os/lock.ts';
import { RCLONE_EXIT, rclone } from '../os/rclone.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { copyKey, forgetCopies, readOffsite, updateRemote } from '../vault/offsite-record.ts';
import type { CopyRecord, LockState } from '../vault/offsite-shape.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import { lockCopy } from './offsite-lock.ts';
import { below, failure, type OffsiteSetup, openRemote, type Remote, requireThere } from './offsite-remote.ts';
import type { ProjectFacts } from './open-project.ts';
import { stopIfAborted } from './settle.ts';
import { compareRemote } from './ship-compare.ts';

export type CheckedCopy = {
  readonly remote: string;
  readonly id: string;
  readonly kind: CopyRecord['kind'];
  readonly bytes: number;
  /** As the remote says it now; undefined where the copy is damaged. */
  readonly lock?: LockState;
  /** What is wrong with it; empty: every byte is right. */
  readonly damage: readonly string[];
};

export type ShipCheck = {
  readonly copies: readonly CheckedCopy[];
  readonly errors: readonly { readonly remote: string; readonly error: CoraError }[];
};

/**
 * @param names ids or unique beginnings of ids; none: every copy that is recorded
 * @throws CoraError usage, locked, unknown_snapshot, interrupted
 */
export async function checkCopies(
  project: ProjectFacts,
  location: VaultLocation,
  setup: OffsiteSetup,
  options: { readonly names: readonly string[]; readonly remotes?: readonly string[] | undefined },
  ctx: Context,
): Promise<ShipCheck> {
  const vault = openLocated(location);
  requireOwn(vault, project);
  const recorded = Object.entries(readOffsite(vault).remotes).filter(([name]) => options.remotes?.includes(name) ?? true);
  if (recorded.length === 0) throw new CoraError('usage', 'No copy is recorded at any remote', { hint: 'cora ship' });
  const lock = takeLock(`${vault.root}/${NAMES.shipLock}`, 'exclusive', ctx.lockWait);
  const stage = openStage(vault);
  const copies: CheckedCopy[] = [];
  const errors: { remote: string; error: CoraError }[] = [];
  try {
    for (const [name, { env, copies: known }] of recorded) {
      const wanted = chosen(Object.values(known), options.names);
      if (wanted.length === 0) continue;
      try {
        const remote = await openRemote(setup, name, 'configured', ctx);
        await requireThere(remote);
        for (const copy of wanted) {
          stopIfAborted(ctx);
          copies.push(await checkCopy({ vault, remote, env, scratch: stage.path, lock: setup.config.lock }, copy, ctx));
        }
      } catch (error) {
        if (!(error instanceof CoraError) || error.code === 'interrupted') throw error;
        errors.push({ remote: name, error });
      }
    }
  } finally {
    stage.release();
    lock.release();
  }
  if (copies.length === 0 && errors.length === 0)
    throw new CoraError('unknown_snapshot', `No copy of ${options.names.join(', ')} is recorded`, { hint: 'cora ship' });
  return { copies, errors };
}

function chosen(copies: readonly CopyRecord[], names: readonly string[]): CopyRecord[] {
  const wanted = names.length === 0 ? copies : copies.filter(({ id }) => names.some((name) => id.startsWith(name)));
  return [...wanted].sort((a, b) => (a.id < b.id ? 1 : -1));
}

type Check = {
  readonly vault: Vault;
  readonly remote: Remote;
  readonly env: string;
  readonly scratch: string;
  /** Milliseconds that a copy is to be locked for, as the configuration asks. */
  readonly lock: number | undefined;
};

async function checkCopy(check: Check, copy: CopyRecord, ctx: Context): Promise<CheckedCopy> {
  const { vault, remote, env, scratch } = check;
  const directory = copyDirectory(env, copy.kind, copy.id);
  const damage = await damageOf(remote, directory, copy, scratch, ctx);
  const facts = { remote: remote.name, id: copy.id, kind: copy.kind, bytes: copy.bytes, damage };
  const key = copyKey(copy);
  if (damage.length > 0) {
    forgetCopies(vault, remote.name, env, [key]);
    return facts;
  }
  // A lock that could not be set when the copy was sent is set now.
  const wanted = check.lock === undefined ? 0 : Date.parse(copy.shipped_at) + check.lock;
  const now = ctx.now();
  const lock = await lockCopy(remote, { directory, objects: copy.files + 1, now, until: wanted > now ? wanted : undefined });
  const checked = { ...copy, checked_at: new Date(now).toISOString(), lock };
  updateRemote(vault, remote.name, env, (record) => ({ ...record, copies: { ...record.copies, [key]: checked } }));
  return { ...facts, lock };
}

async function damageOf(remote: Remote, directory: string, copy: CopyRecord, scratch: string, ctx: Context): Promise<string[]> {
  const marker = await fetchSmall(remote, `${directory}/${COMPLETE}`, COMPLETE_MOST);
  if (marker === undefined) return [`${COMPLETE} is missing`];
  if (sha256(marker) !== copy.marker_sha256) return [`${COMPLETE} is not the one that was written`];
  const sums = await sumsOf(remote, directory, parseComplete(marker.toString(), COMPLETE));
  if (typeof sums === 'string') return [sums];
  const differences = await compareRemote(remote, directory, sums, undefined, scratch, ctx);
  return differences.map(({ path, what }) => `${path} ${what === 'missing' ? 'is missing' : 'differs'}`);
}

/** The sums of every object of a copy; a sentence where they cannot be trusted. */
export async function sumsOf(remote: Remote, directory: string, complete: Complete): Promise<Sum[] | string> {
  if (complete.encryption === 'age') return complete.objects.map(({ name, sha256: sum }) => ({ path: fromText(name), sha256: sum }));
  const text = await fetchSmall(remote, `${directory}/${NAMES.sums}`);
  if (text === undefined) return `${NAMES.sums} is missing`;
  if (sha256(text) !== complete.sums_sha256) return `${NAMES.sums} differs`;
  try {
    return [...parseSums(text), { path: bytes(NAMES.sums), sha256: complete.sums_sha256 }];
  } catch (error) {
    return messageOf(error);
  }
}

/** Its first `most` bytes. Undefined where it is not there: some remotes say so, others give nothing. @throws CoraError remote_failed */
export async function fetchSmall(remote: Remote, path: string, most?: number): Promise<Buffer | undefined> {
  const head = most === undefined ? [] : [`--head=${most}`];
  const result = await rclone(remote.rclone, ['cat', ...head, '--', below(remote, path)], { retries: 2 });
  if (result.exitCode === RCLONE_EXIT.fileNotFound || result.exitCode === RCLONE_EXIT.directoryNotFound) return undefined;
  if (result.exitCode === 0) return result.stdout.length === 0 ? undefined : result.stdout;
  throw failure(remote.name, 'cannot be read', result);
}

function sha256(text: Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}
