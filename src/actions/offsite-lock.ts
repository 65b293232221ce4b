// Whether a copy off-site can still be deleted there: what the bucket and each object say of Object Lock, and the lock set where
// the configuration asks for one. Invariant: `locked` is said only where the bucket says that it has Object Lock AND the server
// shows a lock on every object; nothing is ever set on a bucket that did not say so (Swift would overwrite the object).

import { CoraError } from '../base/errors.ts';
import { rclone } from '../os/rclone.ts';
import { openS3, type S3 } from '../os/s3.ts';
import { isFailure, type LockMode, type LockRule, type ObjectVersion, type Retention, type S3Failure } from '../os/s3-answer.ts';
import { type RemoteOptions, type S3Place, s3PlaceOf } from '../os/s3-settings.ts';
import type { LockState } from '../vault/offsite-shape.ts';
import { below, type Remote } from './offsite-remote.ts';

/** What a bucket can do. `rule` is what it gives each new object by itself. */
type BucketLock =
  | { readonly state: 'enabled'; readonly rule: LockRule | undefined }
  | { readonly state: 'none'; readonly why: string }
  | { readonly state: 'unknown'; readonly why: string };

export type LockRequest = {
  /** Below the remote: `prod/2026-11-21/<id>`. */
  readonly directory: string;
  /** Objects that the copy has, its marker included: fewer are no copy. */
  readonly objects: number;
  /** Milliseconds since 1970: a lock that ends before is no lock. */
  readonly now: number;
  /** Locked at least until then (milliseconds since 1970); undefined: what is there is only read. */
  readonly until: number | undefined;
  /** Milliseconds for all of it; default 10 minutes. */
  readonly limit?: number;
};

type Place = Extract<S3Place, { readonly kind: 's3' }>;

/** The end of each sentence about a place without. */
const NO_LOCK = 'has no Object Lock';
const VERSIONS_ONLY = 'the bucket keeps versions, and nothing locks them';
const LIMIT_MS = 600_000;
const AT_ONCE = 8;

/**
 * The lock of a copy that is whole and checked: set where `until` asks for it and the bucket has Object Lock, then read back.
 * A server that does not answer, or not as S3 does, is `unknown`; nothing but damage and an interrupt is thrown.
 * @throws CoraError damaged where the server changed an object when it was asked to lock it; interrupted
 */
export async function lockCopy(remote: Remote, request: LockRequest): Promise<LockState> {
  return await withS3(remote, request.directory, request.limit, async (s3, place) => {
    const bucket = await probeLock(s3, place.bucket);
    if (bucket.state !== 'enabled') return { state: bucket.state, why: bucket.why };
    const prefix = `${place.prefix}/`;
    const refusal = request.until === undefined ? undefined : await setLock(s3, place.bucket, prefix, bucket, new Date(request.until));
    if (refusal !== undefined) return refusal;
    return await lockOf(s3, place.bucket, prefix, request);
  });
}

/** True where a delete at the remote leaves the old version there, which goes on costing. */
export function keepsVersions(lock: LockState): boolean {
  return lock.state === 'locked' || (lock.state === 'none' && !lock.why.endsWith(NO_LOCK));
}

async function probeLock(s3: S3, bucket: string): Promise<BucketLock> {
  const lock = await s3.objectLock(bucket);
  if (!isFailure(lock)) return { state: 'enabled', rule: lock.rule };
  if (lock.failed !== 'unset' && lock.failed !== 'unsupported')
    return { state: 'unknown', why: said(lock, 'ask whether the bucket has Object Lock') };
  const versions = (await s3.versioning(bucket)) === 'Enabled';
  return { state: 'none', why: versions ? VERSIONS_ONLY : `the bucket ${NO_LOCK}` };
}

/** The least that every object of the copy has. */
async function lockOf(s3: S3, bucket: string, prefix: string, { objects, now }: LockRequest): Promise<LockState> {
  const found = await currentOf(s3, bucket, prefix);
  if (isFailure(found)) return { state: 'unknown', why: said(found, 'list the versions of objects') };
  if (found.length < objects) return { state: 'unknown', why: `the bucket lists ${found.length} objects of ${objects}` };
  const locks = await each(found, (object) => retentionOf(s3, bucket, object));
  const unclear = locks.find((lock) => isFailure(lock) && lock.failed !== 'unset');
  if (isFailure(unclear)) return { state: 'unknown', why: said(unclear, "read an object's lock") };
  const held = locks.flatMap((lock) => (isFailure(lock) || lock.until.getTime() <= now ? [] : [lock]));
  if (held.length < locks.length) return { state: 'none', why: whyOpen(locks.length, held.length, locks.length - locks.filter(isFailure).length) };
  const until = new Date(Math.min(...held.map((lock) => lock.until.getTime())));
  const mode: LockMode = held.every((lock) => lock.mode === 'COMPLIANCE') ? 'COMPLIANCE' : 'GOVERNANCE';
  return { state: 'locked', mode, until: until.toISOString() };
}

function whyOpen(all: number, held: number, withLock: number): string {
  if (held > 0) return `${all - held} of ${all} objects are not locked`;
  return withLock > 0 ? 'its locks have ended' : 'the bucket has Object Lock but no rule that sets it; offsite.lock would';
}

/** Sets the lock on each object whose own ends earlier. @returns why that cannot be, or undefined */
async function setLock(
  s3: S3,
  bucket: string,
  prefix: string,
  lock: BucketLock & { readonly state: 'enabled' },
  wanted: Date,
): Promise<LockState | undefined> {
  // Servers keep whole seconds.
  const until = new Date(Math.ceil(wanted.getTime() / 1000) * 1000);
  const found = await currentOf(s3, bucket, prefix);
  if (isFailure(found)) return { state: 'unknown', why: said(found, 'list the versions of objects') };
  const before = await each(found, async (object) => ({ object, lock: await retentionOf(s3, bucket, object) }));
  const short = before
    .filter((one) => isFailure(one.lock) || one.lock.until.getTime() < wanted.getTime())
    .sort((a, b) => a.object.size - b.object.size);
  const set = async ({ object, lock: held }: (typeof short)[number]): Promise<S3Failure | 'set'> => {
    // A mode that is there stays: a governance lock is made longer by any key, but turned into the other by few.
    const mode = isFailure(held) ? (lock.rule?.mode ?? 'COMPLIANCE') : held.mode;
    return await s3.setRetention(bucket, object.key, object.versionId, { mode, until });
  };
  const [first, ...rest] = short;
  if (first === undefined) return undefined;
  // The smallest object is the trial: what a server does to it is looked at before the others are touched.
  const trial = await tried(s3, bucket, first.object, until, () => set(first));
  if (trial !== undefined) return trial;
  const refused = (await each(rest, set)).find(isFailure);
  return isFailure(refused) ? { state: 'unknown', why: said(refused, 'lock an object') } : undefined;
}

async function tried(
  s3: S3,
  bucket: string,
  object: ObjectVersion,
  until: Date,
  set: () => Promise<S3Failure | 'set'>,
): Promise<LockState | undefined> {
  const before = await s3.head(bucket, object.key);
  if (isFailure(before)) return { state: 'unknown', why: said(before, 'look at an object') };
  const answer = await set();
  const after = await s3.head(bucket, object.key);
  if (!isFailure(after) && (after.size !== before.size || after.etag !== before.etag)) {
    throw new CoraError('damaged', `The remote changed ${object.key} when it was asked to lock it`, {
      hint: 'take `lock` out of [offsite], then cora ship: it sends that copy again',
    });
  }
  if (isFailure(answer)) return { state: 'unknown', why: said(answer, 'lock an object') };
  if (isFailure(after)) return { state: 'unknown', why: said(after, 'look at an object') };
  const shown = await retentionOf(s3, bucket, object);
  const holds = !isFailure(shown) && shown.until.getTime() >= until.getTime();
  return holds ? undefined : { state: 'unknown', why: 'the server took the lock and does not show it' };
}

/** The copy's objects as they are now, each by the version that is its content; what was deleted is none. */
async function currentOf(s3: S3, bucket: string, prefix: string): Promise<S3Failure | readonly ObjectVersion[]> {
  const all = await s3.versions(bucket, prefix);
  return isFailure(all) ? all : all.filter(({ latest, deleteMarker }) => latest && !deleteMarker);
}

/** By its headers; where they show none, asked: a key that may not see it gets no header either. */
async function retentionOf(s3: S3, bucket: string, { key, versionId }: ObjectVersion): Promise<S3Failure | Retention> {
  const head = await s3.head(bucket, key, versionId);
  if (isFailure(head)) return head;
  return head.retention ?? (await s3.retention(bucket, key, versionId));
}

async function withS3<T>(
  remote: Remote,
  directory: string,
  limit: number | undefined,
  act: (s3: S3, place: Place) => Promise<T>,
): Promise<T | { readonly state: 'unknown' | 'none'; readonly why: string }> {
  const place = await placeOf(remote, directory);
  if (place.kind === 'unknown') return { state: 'unknown', why: place.why };
  if (place.kind === 'other') return { state: 'none', why: `a ${place.type} remote ${NO_LOCK}` };
  const { signal } = remote.rclone;
  const ends = AbortSignal.timeout(limit ?? LIMIT_MS);
  const s3 = await openS3(place.settings, { signal: AbortSignal.any([signal, ends]), timeout: Math.min(remote.rclone.timeout, 30_000) });
  try {
    return await act(s3, place);
  } catch (error) {
    if (signal.aborted) throw new CoraError('interrupted', 'Interrupted', { cause: error });
    if (ends.aborted) return { state: 'unknown', why: 'asking about every object took too long' };
    throw error;
  } finally {
    s3.close();
  }
}

async function placeOf(remote: Remote, directory: string): Promise<S3Place> {
  const { env } = remote.credentials;
  const path = below(remote, directory);
  // Only these two can lie in a bucket; the others are known by their type.
  if (remote.type !== 's3' && remote.type !== 'alias') return s3PlaceOf(path, env, { [nameOf(path)]: { type: remote.type } });
  // Its keys come on a pipe, to nobody else.
  const dump = await rclone(remote.rclone, ['config', 'dump']);
  if (dump.exitCode !== 0) return { kind: 'unknown', why: "rclone's configuration cannot be read" };
  try {
    return s3PlaceOf(path, env, JSON.parse(dump.stdout.toString()) as Readonly<Record<string, RemoteOptions>>);
  } catch {
    return { kind: 'unknown', why: "rclone's configuration cannot be read" };
  }
}

function nameOf(path: string): string {
  return path.slice(0, Math.max(path.indexOf(':'), 0));
}

function said({ failed, why }: S3Failure, what: string): string {
  return failed === 'denied' ? `this key may not ${what}` : why;
}

/** In order, a few at once; the first error ends it. */
async function each<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await act(items[at] as T);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return results;
}
