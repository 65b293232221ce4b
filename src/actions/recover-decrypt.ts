// An encrypted copy into a directory of ours: each object is fetched, compared with the marker, decrypted, compared again, and
// unpacked; its ciphertext goes then, and the next run has no more to do with it. What the plaintext says is believed no further
// than its sums: anybody can encrypt for a recipient, which is public.

import { createHash } from 'node:crypto';
import { chmodSync, createReadStream, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import type { CompleteObject } from '../format/complete.ts';
import { decryptFile } from '../os/age-decrypt.ts';
import { type IdentityFile, readIdentityFile } from '../os/age-keys.ts';
import { exists, namesIn, syncDirectory } from '../os/files.ts';
import { requireProgram, run } from '../os/run.ts';
import { syncFileSystem } from '../os/sync.ts';
import { NAMES } from '../vault/layout.ts';
import { bytesBelow } from './list.ts';
import { listObjects, type Remote, type RemoteCopy } from './offsite-remote.ts';
import { downloadObject, type FetchProgress } from './recover-download.ts';
import { compare, damagedCopy, type Fetched, filesBelow, finishFiles, refuseDamaged, requireRoom, requireSums, safeSums } from './recover-fetch.ts';
import { stopIfAborted } from './settle.ts';

const HOUR = 3_600_000;

/**
 * The identities to open a copy with: those that were named, else every one in the usual place.
 * @param home for `~/.config/cora/keys/*.txt`
 * @throws CoraError key_wrong where none is there, or none that the copy was made for; what `readIdentityFile` throws
 */
export async function identitiesFor(copy: RemoteCopy, named: readonly string[], home: string | undefined, ctx: Context): Promise<IdentityFile[]> {
  const usual = home === undefined ? undefined : `${home}/.config/cora/keys`;
  const found = usual === undefined ? [] : namesIn(usual).filter((name) => name.endsWith('.txt'));
  const paths = named.length > 0 ? named : found.map((name) => `${usual}/${name}`);
  if (paths.length === 0) {
    throw new CoraError('key_wrong', `The copy ${copy.directory} is encrypted, and there is no identity to open it with in ${usual ?? 'HOME'}`, {
      hint: 'name the file with --identity FILE; from a paper key: one line, AGE-SECRET-KEY-1..., in a file with mode 600',
    });
  }
  const files: IdentityFile[] = [];
  for (const path of paths) {
    try {
      files.push(await readIdentityFile(path));
    } catch (error) {
      // Of several that merely lie there, one that is no key must not keep the right one from opening.
      if (named.length > 0 || paths.length === 1 || !(error instanceof CoraError)) throw error;
      ctx.monitor.problem({ code: 'identity_skipped', path, message: error.message, severity: 'warning' });
    }
  }
  const { recipients } = copy.complete;
  if (files.some((file) => file.recipients.some((recipient) => recipients.includes(recipient)))) return files;
  throw new CoraError('key_wrong', `The copy ${copy.directory} does not open with ${paths.join(', ')}: it was encrypted for another key`, {
    hint: `it is the identity of ${recipients.join(' or ')} that opens it; name its file with --identity FILE`,
    details: { recipients: [...recipients] },
  });
}

/**
 * @param stage `parts/`, `done/` and `files/` in it are ours
 * @throws CoraError damaged, key_wrong, remote_failed, no_space, interrupted
 */
export async function fetchEncrypted(
  remote: Remote,
  copy: RemoteCopy,
  stage: string,
  identities: readonly IdentityFile[],
  ctx: Context,
): Promise<Fetched> {
  const { objects } = copy.complete;
  requireObjects(copy, await listObjects(remote, copy.directory));
  const open = objects.filter(({ name }) => !exists(`${stage}/done/${name}`));
  const had = bytesBelow(`${stage}/parts`);
  requireRoom(stage, roomFor(open) - had);
  const total = open.reduce((sum, object) => sum + object.bytes, 0);
  const progress: FetchProgress = { files: 0, bytes: 0, totalFiles: open.length, totalBytes: total };
  const seconds = { download: 0, decrypt: 0 };
  // The records first: a key that does not fit is known before the rest is fetched, and they say what the others are.
  for (const object of open.toSorted((a, b) => rankOf(a) - rankOf(b) || a.bytes - b.bytes)) {
    const begun = performance.now();
    const cipher = await fetchObject(remote, copy, object, stage, progress, ctx);
    const fetched = performance.now();
    await openObject(copy, object, cipher, stage, identities, ctx);
    writeFileSync(`${stage}/done/${object.name}`, '');
    rmSync(cipher);
    seconds.download += (fetched - begun) / 1000;
    seconds.decrypt += (performance.now() - fetched) / 1000;
  }
  const files = `${stage}/files`;
  const begun = performance.now();
  const sums = safeSums(readSums(copy, files), copy);
  syncFileSystem(fromText(stage));
  const wrong = await compare(files, sums, ctx);
  if (wrong.length > 0)
    refuseDamaged(
      copy,
      wrong.map(({ path }) => toText(path)),
      'decrypted, is not what was backed up',
    );
  finishFiles(files, sums, ctx);
  return {
    directory: files,
    files: sums.length + 1,
    bytes: bytesBelow(files),
    downloaded: Math.max(0, total - had),
    downloadSeconds: seconds.download,
    decryptSeconds: seconds.decrypt,
    checkSeconds: (performance.now() - begun) / 1000,
  };
}

const isTar = ({ name }: CompleteObject) => name.endsWith('.tar.age');
const rankOf = ({ name }: CompleteObject) => (name === 'records.tar.age' ? 0 : 1);

function requireObjects({ complete, ...copy }: RemoteCopy, there: ReadonlyMap<string, number>): void {
  const whole = { complete, ...copy };
  const missing = complete.objects.filter(({ name }) => !there.has(name)).map(({ name }) => name);
  if (missing.length > 0) refuseDamaged(whole, missing, missing.length === 1 ? 'is missing' : 'are missing');
  const other = complete.objects.filter(({ name, bytes: size }) => there.get(name) !== size).map(({ name }) => name);
  if (other.length > 0) refuseDamaged(whole, other, other.length === 1 ? 'has another size' : 'have another size');
}

/** What stays, and beside it the largest object as it is opened: its ciphertext, and where it is a tar that too. */
function roomFor(objects: readonly CompleteObject[]): number {
  const stays = objects.reduce((sum, { plain_bytes: size }) => sum + size, 0);
  return stays + Math.max(0, ...objects.map((object) => object.bytes + (isTar(object) ? object.plain_bytes : 0)));
}

async function fetchObject(
  remote: Remote,
  copy: RemoteCopy,
  object: CompleteObject,
  stage: string,
  progress: FetchProgress,
  ctx: Context,
): Promise<string> {
  const file = `${stage}/parts/${object.name}`;
  // A part that a cut left may be of another object; what is wrong when it came whole is wrong at the remote.
  for (const isLast of [!exists(file), true]) {
    ctx.monitor.phase('fetch');
    const came = await downloadObject(remote, `${copy.directory}/${object.name}`, file, object.bytes, progress, ctx);
    if (came && (await hashOf(file, ctx)) === object.sha256) return file;
    rmSync(file, { force: true });
    if (isLast) break;
  }
  return refuseDamaged(copy, [object.name], 'was altered');
}

async function hashOf(file: string, ctx: Context): Promise<string> {
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    stopIfAborted(ctx);
    digest.update(chunk);
  }
  return digest.digest('hex');
}

async function openObject(
  copy: RemoteCopy,
  object: CompleteObject,
  cipher: string,
  stage: string,
  identities: readonly IdentityFile[],
  ctx: Context,
): Promise<void> {
  const plain = `${stage}/parts/${object.name}.plain`;
  const options = { signal: ctx.signal, recipients: copy.complete.recipients, name: `${copy.directory}/${object.name}` };
  const opened = await decryptFile(createReadStream(cipher, { highWaterMark: 1 << 20 }), identities, plain, options);
  if (opened.sha256 !== object.plain_sha256) refuseDamaged(copy, [object.name], 'decrypted, is not what was encrypted');
  if (isTar(object)) await unpack(copy, object, plain, stage, ctx);
  else nameSingle(copy, object, plain, stage);
}

/** The archive has the name that SHA256SUMS.txt gives to what has its hash. */
function nameSingle(copy: RemoteCopy, object: CompleteObject, plain: string, stage: string): void {
  const sums = safeSums(readSums(copy, `${stage}/files`), copy);
  const sum = sums.find(({ path, sha256 }) => sha256 === object.plain_sha256 && !path.includes('/'));
  if (sum === undefined) throw damagedCopy(copy, [object.name], 'is no file of the backup');
  renameSync(plain, fsPath(bytes(`${fromText(`${stage}/files`)}/${sum.path}`)));
  syncDirectory(`${stage}/files`);
}

function readSums(copy: RemoteCopy, files: string): Buffer {
  const path = `${files}/${NAMES.sums}`;
  if (!exists(path)) return refuseDamaged(copy, [NAMES.sums], 'is in none of its objects');
  return requireSums(readFileSync(path), copy);
}

/** Unpacks into an empty directory of its own; only plain files go on from there. */
async function unpack(copy: RemoteCopy, object: CompleteObject, plain: string, stage: string, ctx: Context): Promise<void> {
  const scratch = `${stage}/parts/unpacked`;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { mode: 0o700 });
  const tar = requireProgram('tar', 'tar');
  const args = ['--force-local', '-xf', plain, '-C', scratch, '--no-same-owner', '--no-same-permissions'];
  const result = await run(tar, args, { timeout: 12 * HOUR, signal: ctx.signal });
  stopIfAborted(ctx);
  if (/No space left|Disk quota/.test(result.stderr)) {
    throw new CoraError('no_space', `No space left while unpacking ${object.name}`, { hint: 'free space there, then run the command again' });
  }
  if (result.exitCode !== 0) refuseDamaged(copy, [object.name], `cannot be unpacked (${result.stderr.trim().split('\n')[0]})`);
  const root = fromText(scratch);
  let room = lstatSync(plain).size;
  for (const path of filesBelow(root, '')) {
    const from = fsPath(bytes(`${root}/${path}`));
    const stat = lstatSync(from);
    if (!stat.isFile()) refuseDamaged(copy, [object.name], 'holds something else than files');
    // A sparse file of terabytes takes no room here, and days to read.
    room -= stat.size;
    if (room < 0) refuseDamaged(copy, [object.name], 'holds files that are larger than itself');
    chmodSync(from, 0o600);
    try {
      moveTo(from, `${stage}/files`, bytes(path));
    } catch (error) {
      if (!['ENOTDIR', 'EISDIR', 'EEXIST', 'ENOTEMPTY'].includes(errnoOf(error) ?? '')) throw error;
      refuseDamaged(copy, [object.name], `has ${toText(bytes(path))} where another object has a file or directory`);
    }
  }
  rmSync(scratch, { recursive: true, force: true });
  rmSync(plain);
}

function moveTo(from: string | Buffer, files: string, path: Bytes): void {
  let directory = fromText(files);
  for (const part of path.split('/').slice(0, -1)) {
    directory = bytes(`${directory}/${part}`);
    if (lstatSync(fsPath(directory), { throwIfNoEntry: false }) === undefined) mkdirSync(fsPath(directory), { mode: 0o700 });
  }
  renameSync(from, fsPath(bytes(`${fromText(files)}/${path}`)));
}
