// `cora key test`: opens a real copy at a remote with a real identity. The records are opened whole, and of everything else the
// beginning, or all with `deep`. Invariant: what is said to open was decrypted and compared with what was sent.

import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { CompleteObject } from '../format/complete.ts';
import { decryptFile, decryptHead, decryptNowhere } from '../os/age-decrypt.ts';
import { type IdentityFile, readIdentityFile } from '../os/age-keys.ts';
import { exists, freeBytes } from '../os/files.ts';
import { takeLock } from '../os/lock.ts';
import { RCLONE_EXIT, rclone } from '../os/rclone.ts';
import { requireProgram, run } from '../os/run.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { updateRemote } from '../vault/offsite-record.ts';
import { lockForWriting, openStage, type Vault } from '../vault/vault.ts';
import { usualIdentities } from './key-place.ts';
import { below, failure, listCopies, type OffsiteSetup, openRemote, type Remote, type RemoteCopy, requireThere } from './offsite-remote.ts';
import { stopIfAborted } from './settle.ts';
import { RECORDS } from './ship-parts.ts';

/** An object of a copy that opened. */
export type OpenedObject = {
  readonly name: string;
  /** Bytes of plaintext that were read. */
  readonly bytes: number;
  /** All of it, compared with what was sent; else its beginning. */
  readonly whole: boolean;
};

export type KeyTest = {
  readonly remote: string;
  readonly directory: string;
  readonly id: string;
  readonly identity: string;
  readonly objects: readonly OpenedObject[];
  /** True where the ledger has a line of it now. */
  readonly recorded: boolean;
  readonly seconds: number;
};

export type KeyTestOptions = {
  /** Absolute path of the identity file; undefined: every one that lies in `~/.config/cora/keys`. */
  readonly identity: string | undefined;
  readonly home: string | undefined;
  /** A remote as configured or typed. */
  readonly remote: string;
  readonly from: 'configured' | 'typed';
  /** undefined: any. */
  readonly env: string | undefined;
  /** Everything, not the beginnings alone. */
  readonly deep: boolean;
};

/** Of what is not opened whole, this much is fetched and the smaller part of it must open. */
const HEAD_BYTES = 512 << 10;
const OPENED_BYTES = 256 << 10;
/** By the end of an object's name: what its plaintext begins with. */
const MAGIC: readonly (readonly [string, readonly number[]])[] = [
  ['.gz.age', [0x1f, 0x8b]],
  ['.zst.age', [0x28, 0xb5, 0x2f, 0xfd]],
];

/**
 * @param vault where the test is recorded; undefined where there is none (a machine that only restores)
 * @throws CoraError not_found (no identity, no encrypted copy), key_wrong, damaged, remote_failed, no_space, interrupted
 */
export async function testKey(setup: OffsiteSetup, vault: Vault | undefined, options: KeyTestOptions, ctx: Context): Promise<KeyTest> {
  const begun = performance.now();
  const identities = options.identity === undefined ? await usualIdentities(options.home, ctx) : [await readIdentityFile(options.identity)];
  const remote = await openRemote(setup, options.remote, options.from, ctx);
  await requireThere(remote);
  const { copies } = await listCopies(remote, options.env);
  const copy = chosenFrom(copies, identities, options.env, remote);
  const stage = vault === undefined ? undefined : openStage(vault);
  const scratch = stage?.path ?? mkdtempSync(join(tmpdir(), 'cora-key-'));
  const objects: OpenedObject[] = [];
  try {
    for (const object of copy.complete.objects) {
      stopIfAborted(ctx);
      objects.push(await openObject({ remote, copy, identities, scratch, deep: options.deep, ctx }, object));
    }
  } catch (error) {
    throw withOlder(error, copies, identities);
  } finally {
    stage?.release();
    rmSync(scratch, { recursive: true, force: true });
  }
  if (!objects.some(({ name, whole }) => name === RECORDS && whole)) throw damaged(remote, copy, RECORDS, 'is missing in COMPLETE.json');
  // Another vault's copy says nothing about this one's.
  const isOwn = vault?.info.vault_id === copy.complete.vault_id;
  const recorded = vault !== undefined && isOwn && record(vault, remote, copy, options.deep, ctx);
  const seconds = (performance.now() - begun) / 1000;
  const identity = (identities.find((file) => isFor(copy, [file])) ?? identities[0])?.path ?? '';
  return { remote: remote.name, directory: copy.directory, id: copy.complete.snapshot_id, identity, objects, recorded, seconds };
}

/** The newest of one env; over all envs the newest that was made for the identity, because the others are other projects'. */
function chosenFrom(copies: readonly RemoteCopy[], identities: readonly IdentityFile[], env: string | undefined, remote: Remote): RemoteCopy {
  const encrypted = copies.filter(({ complete }) => complete.encryption === 'age');
  const chosen = (env === undefined ? encrypted.findLast((copy) => isFor(copy, identities)) : undefined) ?? encrypted.at(-1);
  if (chosen !== undefined) return chosen;
  const why = copies.length === 0 ? 'no copy' : 'no encrypted copy: what is there is in the clear, and needs no key';
  throw new CoraError('not_found', `${remote.name} holds ${why}`, { hint: 'cora key new --write, then cora ship' });
}

const isFor = ({ complete }: RemoteCopy, identities: readonly IdentityFile[]) =>
  identities.some(({ recipients }) => complete.recipients.some((recipient) => recipients.includes(recipient)));

/** A key that was changed opens what was made before. */
function withOlder(error: unknown, copies: readonly RemoteCopy[], identities: readonly IdentityFile[]): unknown {
  const older = copies.findLast((copy) => isFor(copy, identities));
  if (!(error instanceof CoraError) || error.code !== 'key_wrong' || older === undefined) return error;
  return new CoraError('key_wrong', `${error.message}; it opens copies up to ${older.complete.snapshot_id}`, {
    hint: error.hint ?? '',
    cause: error,
  });
}

type Work = {
  readonly remote: Remote;
  readonly copy: RemoteCopy;
  readonly identities: readonly IdentityFile[];
  readonly scratch: string;
  readonly deep: boolean;
  readonly ctx: Context;
};

async function openObject(work: Work, object: CompleteObject): Promise<OpenedObject> {
  if (object.name === RECORDS) return openRecords(work, object);
  if (work.deep) return openWhole(work, object);
  return openHead(work, object);
}

async function openRecords(work: Work, object: CompleteObject): Promise<OpenedObject> {
  const { copy, remote, identities, scratch, ctx } = work;
  const file = await fetchObject(work, object);
  const tar = join(scratch, 'records.tar');
  const plain = await decryptFile(createReadStream(file), identities, tar, optionsOf(work, object));
  requireSame(work, object, plain);
  // As a person would read it: tar knows every form of entry.
  const read = await run(requireProgram('tar', 'tar'), ['--force-local', '-xOf', tar, '--', NAMES.sums], { signal: ctx.signal });
  if (read.exitCode !== 0 || createHash('sha256').update(read.stdout).digest('hex') !== copy.complete.sums_sha256) {
    throw damaged(remote, copy, object.name, `does not hold the ${NAMES.sums} of the snapshot`);
  }
  rmSync(file);
  rmSync(tar);
  return { name: object.name, bytes: plain.bytes, whole: true };
}

async function openWhole(work: Work, object: CompleteObject): Promise<OpenedObject> {
  const file = await fetchObject(work, object);
  const plain = await decryptNowhere(createReadStream(file), work.identities, optionsOf(work, object));
  requireSame(work, object, plain);
  rmSync(file);
  return { name: object.name, bytes: plain.bytes, whole: true };
}

async function openHead(work: Work, object: CompleteObject): Promise<OpenedObject> {
  const { remote, copy, identities } = work;
  const result = await rclone(remote.rclone, ['cat', `--head=${HEAD_BYTES}`, '--', below(remote, `${copy.directory}/${object.name}`)], {
    retries: 2,
  });
  if (isMissing(result.exitCode)) throw damaged(remote, copy, object.name, 'is missing');
  if (result.exitCode !== 0) throw failure(remote.name, 'cannot be read', result);
  const head = result.stdout;
  if (head.length !== Math.min(HEAD_BYTES, object.bytes)) throw damaged(remote, copy, object.name, head.length === 0 ? 'is missing' : 'is cut');
  if (object.bytes <= HEAD_BYTES) {
    if (createHash('sha256').update(head).digest('hex') !== object.sha256) throw damaged(remote, copy, object.name, 'is not what was sent');
    const plain = await decryptNowhere(Readable.from([head]), identities, optionsOf(work, object));
    requireSame(work, object, plain);
    return { name: object.name, bytes: plain.bytes, whole: true };
  }
  const opened = await decryptHead(Readable.from([head]), identities, OPENED_BYTES, optionsOf(work, object));
  const magic = MAGIC.find(([end]) => object.name.endsWith(end))?.[1] ?? [];
  if (magic.some((byte, at) => opened[at] !== byte)) throw damaged(remote, copy, object.name, 'opens, and does not hold what its name says');
  return { name: object.name, bytes: opened.length, whole: false };
}

/** The whole object in the scratch directory, with the sum that it was sent with. */
async function fetchObject({ remote, copy, scratch, ctx }: Work, object: CompleteObject): Promise<string> {
  const room = freeBytes(scratch);
  if (room < object.bytes + (64 << 20)) {
    throw new CoraError('no_space', `${object.name} has ${object.bytes} bytes, and ${scratch} has room for ${room}`, {
      hint: 'free space, or test without --deep',
    });
  }
  const file = join(scratch, object.name);
  ctx.monitor.phase('fetch');
  const onProgress = ({ bytes }: { readonly bytes: number }) =>
    ctx.monitor.progress({ phase: 'fetch', files: 0, totalFiles: 1, bytes, totalBytes: object.bytes });
  const args = ['copyto', '--', below(remote, `${copy.directory}/${object.name}`), file];
  const result = await rclone(remote.rclone, args, { retries: 2, onProgress });
  // Some remotes end well where there is nothing (rclone on S3): only the file itself tells.
  if (exists(file)) {
    if (result.exitCode === 0 && statSync(file).size === object.bytes && (await sumOf(file)) === object.sha256) return file;
    if (result.exitCode === 0) throw damaged(remote, copy, object.name, 'is not what was sent');
  } else if (result.exitCode === 0 || isMissing(result.exitCode)) throw damaged(remote, copy, object.name, 'is missing');
  throw failure(remote.name, 'cannot be read', result);
}

const isMissing = (exitCode: number | null) => exitCode === RCLONE_EXIT.fileNotFound || exitCode === RCLONE_EXIT.directoryNotFound;

async function sumOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

const optionsOf = ({ copy, ctx }: Work, { name }: CompleteObject) => ({
  signal: ctx.signal,
  recipients: copy.complete.recipients,
  name: `${copy.directory}/${name}`,
});

function requireSame({ remote, copy }: Work, object: CompleteObject, plain: { readonly bytes: number; readonly sha256: string }): void {
  if (plain.bytes === object.plain_bytes && plain.sha256 === object.plain_sha256) return;
  throw damaged(remote, copy, object.name, 'opens, and is not what was encrypted');
}

function damaged(remote: Remote, { directory }: RemoteCopy, name: string, what: string): CoraError {
  return new CoraError('damaged', `${directory}/${name} at ${remote.name} ${what}`, { hint: 'cora ship --check, then cora ship' });
}

/** True where it stands in the ledger. A failure to record takes nothing from the proof. */
function record(vault: Vault, remote: Remote, { complete, sha256 }: RemoteCopy, deep: boolean, ctx: Context): boolean {
  const time = new Date(ctx.now()).toISOString();
  try {
    const shipping = takeLock(`${vault.root}/${NAMES.shipLock}`, 'exclusive', ctx.lockWait);
    try {
      const lock = lockForWriting(vault, ctx.lockWait);
      try {
        const extra = encodeURIComponent(`${remote.name},${complete.env},${deep ? 'all' : 'head'}`);
        appendLine(vault.root, readHead(vault.root), { kind: 'key-test', id: complete.snapshot_id, time, sums: sha256, extra });
      } finally {
        lock.release();
      }
      updateRemote(vault, remote.name, complete.env, (known) => ({ ...known, opened_at: time }));
    } finally {
      shipping.release();
    }
    return true;
  } catch (error) {
    ctx.monitor.problem({ code: 'not_recorded', message: `The test is not in the ledger: ${messageOf(error)}`, severity: 'warning' });
    return false;
  }
}
