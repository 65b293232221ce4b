// ledger/chain.log: one line a run, each with the hash of the line before (docs/format.md). It is
// the order of snapshots, and the proof that none was removed or altered.

import { createHash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, statSync } from 'node:fs';
import { CoraError, errnoOf } from '../base/errors.ts';
import { readTextIfThere, syncDirectory, writeAll } from '../os/files.ts';
import { NAMES } from './layout.ts';

export type ChainLine = {
  readonly sequence: number;
  readonly kind: string;
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly time: string;
  /** sha256 of the line before. */
  readonly previous: string;
  /** sha256 of the snapshot's SHA256SUMS.txt, or `-`. */
  readonly sums: string;
  readonly extra: string;
};

/** What the next line refers to. */
export type ChainHead = { readonly sequence: number; readonly hash: string; readonly line: ChainLine | undefined };

export const NO_HASH = '0'.repeat(64);

/** Kind of the line that says that snapshots came back from a copy elsewhere. A rebuilt ledger begins with one. */
export const RECOVER = 'recover';

/** What the first line of a ledger follows: nothing; where the vault was rebuilt, the last line that was known of the lost ledger. */
export function originOf(first: ChainLine | undefined): { readonly sequence: number; readonly hash: string } {
  return first?.kind === RECOVER ? { sequence: first.sequence - 1, hash: first.previous } : { sequence: 0, hash: NO_HASH };
}

/** `extra` of the line of a snapshot that came back: the place that it had when it was made, which its report names too. */
export const recoveredExtra = (sequence: number) => `recovered,${sequence}`;

/** A snapshot's place in the history: that of its line, or the one it had before it came back from a copy. */
export function placeOf({ sequence, extra }: ChainLine): number {
  return recoveredPlace(extra) ?? sequence;
}

/** The place that `extra` names; undefined where the snapshot was made here. */
export function recoveredPlace(extra: string): number | undefined {
  const match = /^recovered,(\d{1,15})$/.exec(extra);
  return match === null ? undefined : Number(match[1]);
}

/** Bytes that are read first to find the last line. */
const TAIL = 4096;

export function formatLine(line: ChainLine): string {
  return `${line.sequence} ${line.kind} ${line.id} ${line.time} ${line.previous} ${line.sums} ${line.extra}`;
}

/** @throws CoraError damaged where the text is no chain line */
export function parseLine(text: string): ChainLine {
  const fields = text.split(' ');
  const [sequence, kind, id, time, previous, sums, extra] = fields;
  if (fields.length !== 7 || sequence === undefined || !/^\d{1,15}$/.test(sequence) || previous?.length !== 64 || extra === undefined) {
    throw new CoraError('damaged', `The ledger has a malformed line: ${JSON.stringify(text.slice(0, 60))}`, { hint: 'cora verify --chain' });
  }
  return { sequence: Number(sequence), kind: kind ?? '', id: id ?? '', time: time ?? '', previous, sums: sums ?? '', extra };
}

export function hashLine(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

/** The last whole line; a tail without a newline is a line that a crash cut, and is not one. */
export function readHead(vaultRoot: string): ChainHead {
  // A line may be long: it can hold paths.
  for (let length = TAIL; ; length *= 8) {
    const { text: tail, whole } = readTail(`${vaultRoot}/${NAMES.chain}`, length);
    const end = tail.lastIndexOf('\n');
    const begin = end <= 0 ? -1 : tail.lastIndexOf('\n', end - 1);
    if (begin < 0 && !whole) continue;
    if (end < 0) return { sequence: 0, hash: NO_HASH, line: undefined };
    const text = tail.slice(begin + 1, end);
    const line = parseLine(text);
    return { sequence: line.sequence, hash: hashLine(text), line };
  }
}

function readTail(path: string, length: number): { text: string; whole: boolean } {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { text: '', whole: true };
    throw error;
  }
  try {
    const size = fstatSync(fd).size;
    const tail = Buffer.alloc(Math.min(size, length));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    return { text: tail.toString('latin1'), whole: tail.length === size };
  } finally {
    closeSync(fd);
  }
}

/** A line as it stands in the file; `line` is undefined where the text is none. */
export type ChainText = { readonly line: ChainLine | undefined; readonly hash: string };

type Remembered = { readonly key: string; readonly lines: readonly ChainText[] };
let remembered: Remembered | undefined;

/** Every line in order, also those that are damaged; for checks. A file that did not change is not read again in this process. */
export function readLines(vaultRoot: string): ChainText[] {
  const key = keyOf(vaultRoot);
  if (remembered === undefined || remembered.key !== key) remembered = { key, lines: readAll(vaultRoot).map(textOf) };
  return [...remembered.lines];
}

/** The file as it stands: a year of saves has 35,000 lines, and one command asks for them many times. */
function keyOf(vaultRoot: string): string {
  const path = `${vaultRoot}/${NAMES.chain}`;
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? `${path} none` : `${path} ${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
}

function textOf(text: string): ChainText {
  const hash = hashLine(text);
  try {
    return { line: parseLine(text), hash };
  } catch {
    return { line: undefined, hash };
  }
}

/** Every line in order. @throws CoraError damaged at one that is none */
export function readChain(vaultRoot: string): { line: ChainLine; hash: string }[] {
  return readLines(vaultRoot).map(({ line, hash }, at) => ({ line: line ?? parseLine(readAll(vaultRoot)[at] ?? ''), hash }));
}

function readAll(vaultRoot: string): string[] {
  const lines = (readTextIfThere(`${vaultRoot}/${NAMES.chain}`) ?? '').split('\n');
  lines.pop();
  return lines;
}

/** Appends a line durably. The caller holds the write lock. A tail that a crash cut is removed first. */
export function appendLine(vaultRoot: string, head: ChainHead, line: Omit<ChainLine, 'sequence' | 'previous'>): ChainHead {
  const path = `${vaultRoot}/${NAMES.chain}`;
  const whole: ChainLine = { ...line, sequence: head.sequence + 1, previous: head.hash };
  const text = formatLine(whole);
  const fd = openSync(path, 'a+', 0o600);
  let fresh: boolean;
  try {
    const size = fstatSync(fd).size;
    fresh = size === 0;
    const whole = lengthOfWholeLines(fd, size);
    if (whole < size) ftruncateSync(fd, whole);
    writeAll(fd, Buffer.from(`${text}\n`, 'latin1'));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  if (fresh) syncDirectory(`${vaultRoot}/${NAMES.ledger}`);
  return { sequence: whole.sequence, hash: hashLine(text), line: whole };
}

/** Bytes up to and with the last newline. */
function lengthOfWholeLines(fd: number, size: number): number {
  for (let length = TAIL; ; length *= 8) {
    const tail = Buffer.alloc(Math.min(size, length));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    const newline = tail.lastIndexOf(10);
    if (newline >= 0 || tail.length === size) return size - tail.length + newline + 1;
  }
}

/** Lines from a sequence on, oldest first, reading no more of the file than that takes. */
export function linesFrom(vaultRoot: string, sequence: number): { readonly line: ChainLine; readonly hash: string }[] {
  for (let length = 16_384; ; length *= 8) {
    const { text, whole } = readTail(`${vaultRoot}/${NAMES.chain}`, length);
    const lines = text.split('\n');
    lines.pop();
    if (!whole) lines.shift();
    const first = lines[0];
    if (!whole && (first === undefined || parseLine(first).sequence > sequence)) continue;
    return lines.map((line) => ({ line: parseLine(line), hash: hashLine(line) })).filter(({ line }) => line.sequence >= sequence);
  }
}

/** The newest line that `wanted` accepts, reading backwards from the end; undefined where there is none. */
export function findLast(vaultRoot: string, wanted: (line: ChainLine) => boolean): ChainLine | undefined {
  for (let length = 16_384; ; length *= 8) {
    const { text, whole } = readTail(`${vaultRoot}/${NAMES.chain}`, length);
    const lines = text.split('\n');
    lines.pop();
    if (!whole) lines.shift();
    for (const line of lines.reverse()) {
      const parsed = parseLine(line);
      if (wanted(parsed)) return parsed;
    }
    if (whole) return undefined;
  }
}
