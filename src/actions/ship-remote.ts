// One remote's turn of `cora ship`: what is believed to be there is looked for, what is missing is sent, the newest first.

import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf, writeFailure } from '../base/errors.ts';
import { COMPLETE, COMPLETE_MOST, type Complete, copyDirectory, parseComplete } from '../format/complete.ts';
import { readReport, type SnapshotRef } from '../vault/catalog.ts';
import { copyKey, forgetCopies, readOffsite, recordCopy, updateRemote } from '../vault/offsite-record.ts';
import type { CopyRecord } from '../vault/offsite-shape.ts';
import type { Vault } from '../vault/vault.ts';
import { otherLedger } from './offsite-chain.ts';
import { lockCopy } from './offsite-lock.ts';
import { directoryOf, listCopies, listObjects, type OffsiteSetup, openRemote, type Remote, type RemoteCopy, requireThere } from './offsite-remote.ts';
import { type ProjectFacts, refuseInside } from './open-project.ts';
import { stopIfAborted } from './settle.ts';
import { fetchSmall } from './ship-check.ts';
import { type Shipment, shipmentOf, shipPlain } from './ship-copy.ts';
import { shipEncrypted } from './ship-encrypted.ts';
import { writeMarker } from './ship-marker.ts';
import { refuseSecrets } from './ship-refusal.ts';

/** What all remotes of one run have in common. */
export type ShipWork = {
  readonly vault: Vault;
  readonly project: ProjectFacts;
  readonly setup: OffsiteSetup;
  /** Who named the remotes. */
  readonly from: 'configured' | 'typed';
  /** The snapshots were named: what clean-up took away there goes again. */
  readonly byName: boolean;
  /** A private directory for small files. */
  readonly scratch: string;
  readonly problems: Problem[];
};

export type ShippedCopy = {
  readonly record: CopyRecord;
  readonly directory: string;
  readonly seconds: number;
};

export type RemoteResult = {
  readonly remote: string;
  readonly env: string;
  readonly shipped: readonly ShippedCopy[];
  /** Wanted copies that were there before. */
  readonly already: number;
  /** Ids of wanted copies that are not there now. */
  readonly left: readonly string[];
  readonly error: CoraError | undefined;
};

/** Never throws for what a remote does. @throws CoraError interrupted */
export async function shipToRemote(work: ShipWork, name: string, wanted: readonly SnapshotRef[], ctx: Context): Promise<RemoteResult> {
  const { vault } = work;
  const env = work.setup.config.env ?? vault.info.name;
  const shipped: ShippedCopy[] = [];
  let already = 0;
  let failed: CoraError | undefined;
  let place: { readonly directory?: string } | undefined;
  try {
    const remote = await openRemote(work.setup, name, work.from, ctx);
    // Kept for those who cannot read the configuration of rclone that this run was given (a credential of its service).
    const directory = directoryOf(work.setup, name);
    place = directory === undefined ? {} : { directory };
    if (remote.type === 'local') refuseInside(work.project.root, remote.base, 'remote');
    await requireThere(remote);
    const { present, broken } = await reconcile(work, remote, env, ctx);
    const settled = settledAt(work, name, env);
    for (const ref of wanted) {
      stopIfAborted(ctx);
      if (settled.has(copyKey(ref))) {
        already += 1;
        continue;
      }
      try {
        shipped.push(await shipOne(work, remote, env, ref, present, ctx));
      } catch (error) {
        // One snapshot that is damaged here must not keep the others from leaving.
        if (!(error instanceof CoraError) || error.code !== 'damaged') throw error;
        failed ??= error;
      }
    }
    // What can leave has left: a ledger that was cut is one reason more to have copies elsewhere.
    failed ??= broken;
  } catch (error) {
    failed = errorOf(error, vault);
    if (failed.code === 'interrupted') throw failed;
  }
  const settled = settledAt(work, name, env);
  const left = wanted.filter((ref) => !settled.has(copyKey(ref))).map(({ id }) => id);
  // What a person tried once is not what status has to nag about.
  if (work.from === 'configured' || readOffsite(vault).remotes[name] !== undefined)
    updateRemote(vault, name, env, ({ directory: before, ...record }) => ({
      ...record,
      last_try: new Date(ctx.now()).toISOString(),
      error: failed?.message ?? null,
      hint: failed?.hint ?? null,
      ...(place ?? (before === undefined ? {} : { directory: before })),
    }));
  return { remote: name, env, shipped, already, left, error: failed };
}

function errorOf(error: unknown, vault: Vault): CoraError {
  if (error instanceof CoraError) return error;
  // A vault without room, for the journal or the record.
  if (errnoOf(error) !== undefined) return writeFailure(error, vault.root);
  return new CoraError('internal', `Shipping failed: ${messageOf(error)}`, { cause: error });
}

/** What is there, and what was there for as long as retention keeps it. */
function settledAt({ vault, byName }: ShipWork, name: string, env: string): ReadonlySet<string> {
  const record = readOffsite(vault).remotes[name];
  if (record?.env !== env) return new Set();
  return new Set([...Object.keys(record.copies), ...(byName ? [] : (record.retired ?? []))]);
}

/**
 * Compares what is recorded with what the remote lists, and forgets what is not there any more.
 * @returns every object of the env with its bytes, and what is wrong where copies know another ledger than the one here
 * @throws CoraError refused where the env belongs to another vault
 */
async function reconcile(
  work: ShipWork,
  remote: Remote,
  env: string,
  ctx: Context,
): Promise<{ readonly present: Map<string, number>; readonly broken: CoraError | undefined }> {
  const { vault } = work;
  const present = await listObjects(remote, env);
  const record = readOffsite(vault).remotes[remote.name];
  const known = record?.env === env ? record.copies : {};
  const directories = new Map(Object.entries(known).map(([key, copy]) => [copyDirectory(env, copy.kind, copy.id), key]));
  const markers = [...present.keys()].filter((path) => path.endsWith(`/${COMPLETE}`)).map((path) => `${env}/${path.slice(0, -COMPLETE.length - 1)}`);
  let broken: CoraError | undefined;
  if (markers.some((directory) => !directories.has(directory))) {
    const { copies } = await listCopies(remote, env);
    refuseForeign(vault, remote, env, copies);
    broken = otherLedger(vault, remote.name, copies);
  }
  const totals = totalsOf(present);
  const lost = Object.entries(known).filter(([, copy]) => !isWhole(copy, totals.get(copyDirectory(env, copy.kind, copy.id).slice(env.length + 1))));
  for (const [key, copy] of lost) {
    work.problems.push({
      code: 'copy_lost',
      message: `The copy of ${copy.id} at ${remote.name} is not whole any more; it is sent again`,
      severity: 'warning',
    });
    ctx.monitor.problem(work.problems.at(-1) as Problem);
    forgetCopies(vault, remote.name, env, [key]);
  }
  return { present, broken };
}

type Total = { files: number; bytes: number; marked: boolean };

/** What each directory of a copy holds. */
function totalsOf(present: ReadonlyMap<string, number>): Map<string, Total> {
  const totals = new Map<string, Total>();
  for (const [path, size] of present) {
    const directory = /^(?:progress\/)?[^/]+\/[^/]+/.exec(path)?.[0] ?? '';
    const total = totals.get(directory) ?? { files: 0, bytes: 0, marked: false };
    totals.set(directory, total);
    if (path === `${directory}/${COMPLETE}`) total.marked = true;
    else {
      total.files += 1;
      total.bytes += size;
    }
  }
  return totals;
}

/** By numbers and sizes alone; `cora ship --check` reads every byte. */
function isWhole(copy: CopyRecord, total: Total | undefined): boolean {
  return total?.marked === true && total.files >= copy.files && total.bytes >= copy.bytes;
}

function refuseForeign(vault: Vault, remote: Remote, env: string, copies: readonly RemoteCopy[]): void {
  const foreign = copies.find(({ complete }) => complete.vault_id !== vault.info.vault_id)?.complete;
  if (foreign === undefined) return;
  throw new CoraError('refused', `${env} at ${remote.name} belongs to another vault: ${foreign.project} of ${foreign.host}`, {
    hint: 'give this project an env of its own: [offsite] env = "..." in cora.toml',
    details: { env, vault_id: foreign.vault_id, project: foreign.project, host: foreign.host },
  });
}

async function shipOne(
  work: ShipWork,
  remote: Remote,
  env: string,
  ref: SnapshotRef,
  all: ReadonlyMap<string, number>,
  ctx: Context,
): Promise<ShippedCopy> {
  const [started, startedAt] = [performance.now(), ctx.now()];
  const { vault, scratch } = work;
  const prefix = `${copyDirectory(env, ref.kind, ref.id).slice(env.length + 1)}/`;
  const present = new Map([...all].filter(([path]) => path.startsWith(prefix)).map(([path, size]) => [path.slice(prefix.length), size]));
  const shipment = shipmentOf({ vault, ref, report: readReport(vault, ref), remote, env, present, scratch });
  const { recipients, allowPlaintext } = work.setup.config;
  const before = await markerOf(shipment);
  if (recipients.length === 0) refuseSecrets(shipment, allowPlaintext);
  const sent = recipients.length === 0 ? { arrived: await shipPlain(shipment, ctx) } : await shipEncrypted(shipment, recipients, before, ctx);
  const { arrived } = sent;
  const marker = await writeMarker(shipment, arrived, 'objects' in sent ? { recipients, objects: sent.objects } : undefined, ctx);
  const lock = await lockShipped(work, remote, { directory: shipment.directory, objects: arrived.files + 1 }, startedAt, ctx);
  const record: CopyRecord = {
    id: ref.id,
    kind: ref.kind,
    shipped_at: marker.complete.shipped_at,
    checked_at: new Date(ctx.now()).toISOString(),
    bytes: arrived.bytes,
    files: arrived.files,
    encryption: marker.complete.encryption,
    marker_sha256: marker.sha256,
    lock,
  };
  recordCopy(vault, remote.name, env, record, ctx.lockWait);
  return { record, directory: shipment.directory, seconds: (performance.now() - started) / 1000 };
}

/** Counted from when its first byte could arrive: then a bucket's rule of the same length reaches far enough by itself. */
async function lockShipped(work: ShipWork, remote: Remote, copy: { directory: string; objects: number }, startedAt: number, ctx: Context) {
  const wanted = work.setup.config.lock;
  const lock = await lockCopy(remote, { ...copy, now: ctx.now(), until: wanted === undefined ? undefined : startedAt + wanted });
  if (wanted !== undefined && lock.state !== 'locked') {
    const message = `${copy.directory} at ${remote.name} is not locked, as offsite.lock asks: ${lock.why}`;
    work.problems.push({ code: 'not_locked', message, severity: 'warning' });
    ctx.monitor.problem(work.problems.at(-1) as Problem);
  }
  return lock;
}

/** The marker of this very copy, where a run before left one that is not recorded here (any more). */
async function markerOf({ remote, directory, present, sumsSha256 }: Shipment): Promise<Complete | undefined> {
  if (!present.has(COMPLETE)) return undefined;
  const text = await fetchSmall(remote, `${directory}/${COMPLETE}`, COMPLETE_MOST);
  try {
    const complete = text === undefined ? undefined : parseComplete(text.toString(), `${directory}/${COMPLETE}`);
    return complete?.sums_sha256 === sumsSha256 ? complete : undefined;
  } catch {
    // A marker that is damaged is written anew.
    return undefined;
  }
}
