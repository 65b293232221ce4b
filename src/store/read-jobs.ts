// The jobs that read objects: check them, restore files, export plain copies. Content that does not
// have its hash is never written under a final name.

import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { bytes, dirnameBytes, fsPath, joinBytes } from '../base/bytes.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import { readCold } from '../os/cold-read.ts';
import { onPath } from '../os/long-path.ts';
import type {
  Attributes,
  CheckObjectsJob,
  CheckObjectsResult,
  Content,
  ExportFileJob,
  ExportFileResult,
  HashColdJob,
  HashColdResult,
  HashFilesJob,
  HashFilesResult,
  RestoreFilesJob,
  RestoreFilesResult,
  RestoreItem,
  RestorePartJob,
  RestorePartResult,
} from './jobs.ts';
import type { ObjectReader } from './object-reader.ts';
import { RECORD_WORDS } from './object-table.ts';
import { temporaryName } from './temporary-name.ts';
import { isZero } from './zeros.ts';

export function checkObjects(job: CheckObjectsJob, reader: ObjectReader): CheckObjectsResult {
  const damaged: number[] = [];
  let count = 0;
  for (const record of job.records) {
    const words = reader.table.records.slice(record * RECORD_WORDS, record * RECORD_WORDS + 8);
    try {
      count += reader.read(new Uint8Array(words.buffer)).length;
    } catch {
      damaged.push(record);
    }
  }
  return { damaged, bytes: count };
}

/** Calls `visit` with each object of the content in order; `offset` is where it belongs in the file. */
export function eachObject(content: Content, reader: ObjectReader, visit: (part: Buffer, offset: number) => void): void {
  if (content.size === 0) return;
  for (let at = 0, offset = 0; at < content.hashes.length; at += 32) {
    const part = reader.read(content.hashes.subarray(at, at + 32));
    visit(part, offset);
    offset += part.length;
  }
}

const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export function restoreFiles(job: RestoreFilesJob, reader: ObjectReader): RestoreFilesResult {
  const failures: { path: string; code: string; message: string }[] = [];
  let count = 0;
  for (const item of job.items) {
    try {
      restoreFile(item, job.owners, reader);
      count += item.content.size;
    } catch (error) {
      failures.push({ path: item.path, code: errnoOf(error) ?? 'EIO', message: messageOf(error) });
    }
  }
  return { failures, bytes: count };
}

function restoreFile(item: RestoreItem, owners: boolean, reader: ObjectReader): void {
  const final = bytes(item.path);
  const temp = joinBytes(dirnameBytes(final), temporaryName());
  const fd = onPath(temp, (path) => openSync(path, WRITE_NEW, 0o600));
  try {
    try {
      writeContent(fd, item.content, reader, 0);
      if (item.content.sparse) ftruncateSync(fd, item.content.size);
      finishFile(fd, item.attributes, owners);
    } finally {
      closeSync(fd);
    }
    onPath(temp, (from) => onPath(final, (to) => renameSync(from, to)));
  } catch (error) {
    onPath(temp, (path) => unlinkSync(path));
    throw error;
  }
}

/** Owner before mode: chown clears setuid bits. Times come later, for all files at once (os/times.ts). */
export function finishFile(fd: number, attributes: Attributes, owners: boolean): void {
  if (owners) fchownSync(fd, attributes.uid, attributes.gid);
  fchmodSync(fd, attributes.mode);
}

function writeContent(fd: number, content: Content, reader: ObjectReader, start: number): void {
  eachObject(content, reader, (part, offset) => {
    if (content.sparse && isZero(part)) return;
    let done = 0;
    while (done < part.length) done += writeSync(fd, part, done, part.length - done, start + offset + done);
  });
}

export function restorePart(job: RestorePartJob, reader: ObjectReader): RestorePartResult {
  try {
    const fd = onPath(bytes(job.path), (path) => openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW));
    try {
      writeContent(fd, job.content, reader, job.offset);
    } finally {
      closeSync(fd);
    }
    return { failures: [], bytes: job.content.size };
  } catch (error) {
    return { failures: [{ path: job.path, code: errnoOf(error) ?? 'EIO', message: messageOf(error) }], bytes: 0 };
  }
}

export function exportFile(job: ExportFileJob, reader: ObjectReader): ExportFileResult {
  const whole = createHash('sha256');
  const fd = job.target === undefined ? -1 : openSync(fsPath(bytes(job.target)), WRITE_NEW, 0o600);
  let size = 0;
  try {
    eachObject(job.content, reader, (part, offset) => {
      whole.update(part);
      size += part.length;
      if (fd < 0 || (job.content.sparse && isZero(part))) return;
      let done = 0;
      while (done < part.length) done += writeSync(fd, part, done, part.length - done, offset + done);
    });
    if (fd >= 0 && job.content.sparse) ftruncateSync(fd, job.content.size);
    if (fd >= 0 && job.sync) fsyncSync(fd);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
  return { sha256: whole.digest('hex'), size };
}

export function hashFiles(job: HashFilesJob): HashFilesResult {
  return {
    sha256: job.paths.map((path) => {
      try {
        return onPath(bytes(path), hashPlainFile);
      } catch {
        return undefined;
      }
    }),
  };
}

let plain = Buffer.alloc(0);

function hashPlainFile(path: string | Buffer): string {
  if (plain.length === 0) plain = Buffer.allocUnsafeSlow(1 << 20);
  const whole = createHash('sha256');
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let count = readSync(fd, plain); count > 0; count = readSync(fd, plain)) whole.update(plain.subarray(0, count));
  } finally {
    closeSync(fd);
  }
  return whole.digest('hex');
}

export function hashCold(job: HashColdJob): HashColdResult {
  const whole = createHash('sha256');
  const { bytes: size, cold } = onPath(bytes(job.path), (path) => readCold(path, (part) => whole.update(part)));
  return { sha256: whole.digest('hex'), size, cold };
}
