// One snapshot to one remote, encrypted with age: each object is encrypted as it streams, nothing of it touches the disk. A run that
// is cut off leaves a journal of the objects that arrived; they are read back before they are believed, the others are sent again.

import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { bytes, fromText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { formatSums, type Sum } from '../format/checksums.ts';
import { type Complete, type CompleteObject, OBJECT_SUMS } from '../format/complete.ts';
import { startEncrypt } from '../os/age.ts';
import { readTextIfThere, replaceFile } from '../os/files.ts';
import { startUpload, type Upload } from '../os/rclone.ts';
import { NAMES } from '../vault/layout.ts';
import { below, failure } from './offsite-remote.ts';
import { compareRemote } from './ship-compare.ts';
import type { Arrived, Shipment } from './ship-copy.ts';
import { contentOf, type Part, partsOf, plainBytesOf } from './ship-parts.ts';

type Journal = { readonly recipients: readonly string[]; readonly sums_sha256: string; readonly objects: readonly CompleteObject[] };

/**
 * Uploads what is not there and proves that all of it is.
 * @param marker of the same copy, where one lies there already
 * @throws CoraError remote_failed, damaged, config_invalid for a recipient that is none, interrupted
 */
export async function shipEncrypted(
  shipment: Shipment,
  recipients: readonly string[],
  marker: Complete | undefined,
  ctx: Context,
): Promise<{ readonly arrived: Arrived; readonly objects: readonly CompleteObject[] }> {
  const { local, sumsSha256 } = shipment;
  const parts = partsOf([...shipment.sums, { path: bytes(NAMES.sums), sha256: sumsSha256 }]);
  const journal = journalPath(shipment);
  const objects = await arrivedBefore(shipment, recipients, marker, ctx);
  const totalBytes = parts.reduce((sum, part) => sum + plainBytesOf(local, part), 0);
  ctx.monitor.phase('ship');
  let done = objects.reduce((sum, object) => sum + object.plain_bytes, 0);
  for (const part of parts) {
    if (objects.some(({ name }) => name === part.name)) continue;
    const report = (sent: number) =>
      ctx.monitor.progress({ phase: 'ship', files: objects.length, totalFiles: parts.length, bytes: done + sent, totalBytes });
    const object = await sendPart(shipment, part, recipients, report, ctx);
    done += object.plain_bytes;
    objects.push(object);
    mkdirSync(`${shipment.vault.root}/${NAMES.cache}/offsite`, { recursive: true, mode: 0o700 });
    const value: Journal = { recipients, sums_sha256: sumsSha256, objects };
    replaceFile(journal, `${JSON.stringify(value)}\n`, false);
  }
  const sums = await sendSums(shipment, objects, ctx);
  const differences = await compareRemote(shipment.remote, shipment.directory, sums, undefined, shipment.scratch, ctx);
  if (differences.length > 0) {
    throw new CoraError('remote_failed', `${shipment.remote.name} does not hold what was sent: ${differences[0]?.path}`, {
      hint: 'cora ship sends it again',
      details: { differences },
    });
  }
  rmSync(journal, { force: true });
  const bytesSent = objects.reduce((sum, object) => sum + object.bytes, 0) + formatSums(sumsOf(objects)).length;
  return { arrived: { files: objects.length + 1, bytes: bytesSent }, objects };
}

function journalPath({ vault, remote, directory }: Shipment): string {
  const key = createHash('sha256').update(`${remote.name}\n${directory}`).digest('hex').slice(0, 32);
  return `${vault.root}/${NAMES.cache}/offsite/${key}.json`;
}

/** Objects of this copy, for the same recipients, that were read back just now and are right. */
async function arrivedBefore(
  shipment: Shipment,
  recipients: readonly string[],
  marker: Complete | undefined,
  ctx: Context,
): Promise<CompleteObject[]> {
  const claimed = marker?.encryption === 'age' ? marker : readJournal(journalPath(shipment));
  if (claimed === undefined || claimed.sums_sha256 !== shipment.sumsSha256 || claimed.recipients.join() !== recipients.join()) return [];
  const there = claimed.objects.filter(({ name, bytes: size }) => shipment.present.get(name) === size);
  if (there.length === 0) return [];
  const differences = await compareRemote(shipment.remote, shipment.directory, sumsOf(there), undefined, shipment.scratch, ctx);
  return there.filter(({ name }) => !differences.some(({ path }) => path === name));
}

function readJournal(path: string): Journal | undefined {
  try {
    const value: unknown = JSON.parse(readTextIfThere(path) ?? 'null');
    return typeof value === 'object' && value !== null && 'objects' in value && 'recipients' in value ? (value as Journal) : undefined;
  } catch {
    return undefined;
  }
}

function sumsOf(objects: readonly CompleteObject[]): Sum[] {
  return objects.map(({ name, sha256 }) => ({ path: fromText(name), sha256 }));
}

async function sendPart(
  shipment: Shipment,
  part: Part,
  recipients: readonly string[],
  report: (plainBytes: number) => void,
  ctx: Context,
): Promise<CompleteObject> {
  const { local, remote, directory } = shipment;
  const encryption = await startEncrypt(recipients, { signal: ctx.signal });
  const upload = startUpload(remote.rclone, `${below(remote, directory)}/${part.name}`, plainBytesOf(local, part));
  const plain = { digest: createHash('sha256'), bytes: 0 };
  const cipher = { digest: createHash('sha256'), bytes: 0 };
  const source = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of contentOf(local, part)) {
      plain.digest.update(chunk);
      plain.bytes += chunk.length;
      yield chunk;
    }
  };
  // Objects that streams pass on are buffers, one chunk at a time: what is read waits for what is sent.
  const feeding = pipeline(Readable.from(source(), { objectMode: false }), encryption.plaintext);
  feeding.catch(() => undefined);
  try {
    for await (const chunk of encryption.ciphertext as AsyncIterable<Buffer>) {
      cipher.digest.update(chunk);
      cipher.bytes += chunk.length;
      await upload.write(chunk);
      report(plain.bytes);
    }
    await feeding;
    await encryption.done;
  } catch (error) {
    encryption.plaintext.destroy();
    throw await reasonOf(error, feeding, upload, shipment, part);
  }
  const result = await upload.finish();
  if (result.exitCode !== 0) throw failure(remote.name, `did not take ${part.name}`, result);
  return {
    name: part.name,
    bytes: cipher.bytes,
    sha256: cipher.digest.digest('hex'),
    plain_bytes: plain.bytes,
    plain_sha256: plain.digest.digest('hex'),
  };
}

/** What is behind the failure: a damaged file, rclone that ended, or age. An upload that is not whole must not end as if it were. */
async function reasonOf(error: unknown, feeding: Promise<void>, upload: Upload, { remote }: Shipment, part: Part): Promise<unknown> {
  if (upload.hasEnded()) {
    const result = await upload.finish();
    if (result.exitCode !== 0) return failure(remote.name, `did not take ${part.name}`, result);
  } else await upload.abandon();
  const source = await feeding.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return source instanceof CoraError ? source : error;
}

async function sendSums(shipment: Shipment, objects: readonly CompleteObject[], ctx: Context): Promise<Sum[]> {
  const text = formatSums(sumsOf(objects));
  const { remote, directory } = shipment;
  const upload = startUpload(remote.rclone, `${below(remote, directory)}/${OBJECT_SUMS}`, text.length);
  try {
    await upload.write(text);
  } catch {
    // rclone has ended; its result says why.
  }
  const result = await upload.finish();
  if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
  if (result.exitCode !== 0) throw failure(remote.name, `did not take ${OBJECT_SUMS}`, result);
  return [...sumsOf(objects), { path: bytes(OBJECT_SUMS), sha256: createHash('sha256').update(text).digest('hex') }];
}
