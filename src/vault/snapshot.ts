// From a staged directory to a visible snapshot: texts, sums, fsync, read back, rename, ledger. The
// rename is the commit point: before it the snapshot does not exist, after it it is complete.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, bytes, fromBuffer, fromText, fsPath, joinBytes, printable } from '../base/bytes.ts';
import { CoraError, messageOf, writeFailure } from '../base/errors.ts';
import { formatSums, parseSums, type Sum } from '../format/checksums.ts';
import { largeFilesText, manifestText } from '../format/manifest.ts';
import type { Report, SnapshotKind } from '../format/report.ts';
import { readCold } from '../os/cold-read.ts';
import { exists, makeDirectories, readTextIfThere, replaceFile, syncDirectory, syncTreeDirectories, writeNewFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { appendLine, type ChainHead, findLast, readHead, recoveredExtra } from './chain.ts';
import { formatId, NAMES, parseId, type SnapshotId, snapshotDirectory } from './layout.ts';
import type { Vault } from './vault.ts';

/** A file of the staged directory: its hash was taken while writing, its bytes are already synced. */
export type StagedFile = {
  readonly path: Bytes;
  readonly size: number;
  readonly sha256: string;
  /** Its bytes were read back from the disk already, after the sync. */
  readonly verified?: boolean;
};

export type CommitRequest = {
  readonly kind: SnapshotKind;
  /** Absolute path of the staged directory. */
  readonly stage: string;
  /** Every file in it. */
  readonly files: readonly StagedFile[];
  /** Milliseconds since 1970 that the id is made of. */
  readonly time: number;
  readonly sha: string | undefined;
  /** The id to take if it is free for this kind (a backup takes its save's). */
  readonly sameAs?: SnapshotId | undefined;
  readonly report: (identity: Pick<Report, 'snapshot_id' | 'sequence' | 'previous'>) => Report;
};

export type Committed = { readonly id: SnapshotId; readonly directory: string; readonly report: Report; readonly head: ChainHead };

/**
 * Makes a staged directory a snapshot. The caller holds the write lock.
 * @throws CoraError validation_failed where the disk does not hold what was written; no_space, read_only, io
 */
export function commitSnapshot(vault: Vault, request: CommitRequest): Committed {
  const head = readHead(vault.root);
  const id = freeId(vault, request);
  const report = request.report({ snapshot_id: id, sequence: head.sequence + 1, previous: head.hash });
  const directory = snapshotDirectory(request.kind, id);
  const final = `${vault.root}/${directory}`;
  try {
    const sums = writeTexts(request, report);
    refuseStrangers(request.stage, sums);
    syncTreeDirectories(request.stage);
    const verified = new Set<string>(request.files.filter((file) => file.verified === true).map(({ path }) => path));
    readBack(
      request.stage,
      sums.filter(({ path }) => !verified.has(path)),
    );
    makeDirectories(vault.root, dirname(final));
    writeIntent(vault, `${request.kind} ${id}`);
    if (exists(final)) throw new CoraError('internal', `${final} appeared while it was being made`);
    renameSync(request.stage, final);
    syncDirectory(dirname(final));
    const next = appendSnapshot(vault, head, request.kind, id);
    return { id, directory, report, head: next };
  } catch (error) {
    throw writeFailure(error, final);
  }
}

/** A crash between the rename and the ledger's line leaves this intent; the next run writes the line. */
function writeIntent(vault: Vault, intent: string): void {
  replaceFile(`${vault.root}/${NAMES.stage}/intent`, `${intent}\n`, true);
}

/**
 * The intent of a snapshot that comes back from a copy: its report names the ledger that was lost, so it is known by its sums.
 * @param sums sha256 of its SHA256SUMS.txt
 */
export function intendRecovered(vault: Vault, kind: SnapshotKind, id: SnapshotId, sums: string): void {
  writeIntent(vault, `${kind} ${id} recovered ${sums}`);
}

function freeId(vault: Vault, request: CommitRequest): SnapshotId {
  if (request.sameAs !== undefined && !exists(`${vault.root}/${snapshotDirectory(request.kind, request.sameAs)}`)) return request.sameAs;
  for (let number = 1; ; number++) {
    const id = formatId(request.time, request.sha, number);
    if (!exists(`${vault.root}/${snapshotDirectory('save', id)}`) && !exists(`${vault.root}/${snapshotDirectory('backup', id)}`)) return id;
  }
}

/** Writes REPORT.json, MANIFEST.txt, LARGE_FILES.txt and, last, SHA256SUMS.txt; gives the sums of all but the last. */
function writeTexts(request: CommitRequest, report: Report): Sum[] {
  const sums: Sum[] = request.files.map(({ path, sha256 }) => ({ path, sha256 }));
  const write = (name: string, text: string): void => {
    writeNewFile(`${request.stage}/${name}`, text);
    sums.push({ path: fromText(name), sha256: createHash('sha256').update(text).digest('hex') });
  };
  write(NAMES.report, `${JSON.stringify(report, null, 2)}\n`);
  if (request.kind === 'backup') write(NAMES.largeFiles, largeFilesText(report));
  write(
    NAMES.manifest,
    manifestText(
      report,
      request.files.map((file) => ({ path: Buffer.from(file.path, 'latin1').toString(), size: file.size })),
    ),
  );
  const text = formatSums(sums);
  writeNewFile(`${request.stage}/${NAMES.sums}`, text);
  return [...sums, { path: bytes(NAMES.sums), sha256: createHash('sha256').update(text).digest('hex') }];
}

/** What the sums do not name would be damage as soon as it is visible: a file that could not be removed, for one. */
function refuseStrangers(stage: string, sums: readonly Sum[]): void {
  const named = new Set<string>(sums.map(({ path }) => path));
  const top = fromText(stage);
  const look = (directory: Bytes): void => {
    for (const entry of onPath(joinBytes(top, directory), (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
      const path = directory === '' ? fromBuffer(entry.name) : joinBytes(directory, fromBuffer(entry.name));
      if (entry.isDirectory()) look(path);
      else if (!named.has(path)) {
        throw new CoraError('io', `${printable(path)} was left in the staged snapshot, and is no part of it`, {
          hint: "check the vault's disk (dmesg, smartctl), then run the command again",
        });
      }
    }
  };
  look(bytes(''));
}

/** Reads every file from the disk, past the cache, and compares with what was meant to be written. */
function readBack(stage: string, sums: readonly Sum[]): void {
  for (const { path, sha256 } of sums) {
    const digest = createHash('sha256');
    readCold(fsPath(bytes(`${Buffer.from(stage).toString('latin1')}/${path}`)), (part) => digest.update(part));
    if (digest.digest('hex') !== sha256) {
      throw new CoraError('validation_failed', `The disk does not hold what was written to ${Buffer.from(path, 'latin1').toString()}`, {
        hint: "check the vault's disk (smartctl, dmesg), then run the command again",
      });
    }
  }
}

function appendSnapshot(vault: Vault, head: ChainHead, kind: SnapshotKind, id: SnapshotId, extra = '-', time = new Date()): ChainHead {
  const sums = readFileSync(`${vault.root}/${snapshotDirectory(kind, id)}/${NAMES.sums}`);
  return appendLine(vault.root, head, {
    kind,
    id,
    time: time.toISOString(),
    sums: createHash('sha256').update(sums).digest('hex'),
    extra,
  });
}

/**
 * Writes the ledger's line of a snapshot that a crash left without one, if it verifies and names the present head (one that came
 * back from a copy: if it is the one of the intent). One that does not verify must not stop the runs after it: it stays without a line, and `cora verify --chain` names it.
 * The caller holds the write lock. Returns the id where a line was written.
 * @param unfit told about one that does not verify, and why
 */
export function adoptUnrecorded(vault: Vault, unfit: (id: SnapshotId, reason: string) => void = () => undefined): SnapshotId | undefined {
  const intent = readTextIfThere(`${vault.root}/${NAMES.stage}/intent`);
  const match = intent === undefined ? null : /^(save|backup|fallback) (\S+)(?: recovered ([0-9a-f]{64}))?\n$/.exec(intent);
  const kind: SnapshotKind = match?.[1] === 'backup' || match?.[1] === 'fallback' ? match[1] : 'save';
  const id = parseId(match?.[2] ?? '');
  if (id === undefined) return undefined;
  const directory = `${vault.root}/${snapshotDirectory(kind, id)}`;
  const head = readHead(vault.root);
  if (head.line?.kind === kind && head.line.id === id) return undefined;
  if (!exists(`${directory}/${NAMES.sums}`)) return undefined;
  let scope: unknown;
  try {
    const report: unknown = JSON.parse(readFileSync(`${directory}/${NAMES.report}`, 'utf8'));
    const sums = readFileSync(`${directory}/${NAMES.sums}`);
    const recovered = match?.[3];
    if (recovered === undefined ? !namesHead(report, head) : hashOf(sums) !== recovered) return undefined;
    if (recovered !== undefined && findLast(vault.root, (line) => line.kind === kind && line.id === id) !== undefined) return undefined;
    readBack(directory, parseSums(sums));
    scope = (report as { readonly scope?: unknown }).scope;
    if (recovered !== undefined) {
      // Its sums are those of the intent, so it is the report that was looked at before that was written.
      const known = report as Report;
      appendSnapshot(vault, head, kind, id, recoveredExtra(known.sequence), timeOfReport(known));
      return id;
    }
  } catch (error) {
    unfit(id, messageOf(error));
    return undefined;
  }
  appendSnapshot(vault, head, kind, id, scope === 'tree' || scope === 'critical' ? scope : '-');
  return id;
}

function hashOf(sums: Buffer): string {
  return createHash('sha256').update(sums).digest('hex');
}

/** When the snapshot was finished, else when it was begun: that it came back from a copy later is no new backup. */
export function timeOfReport({ backup_start: start, backup_end: end }: Report): Date {
  return new Date(Number.isNaN(Date.parse(end)) ? start : end);
}

function namesHead(report: unknown, head: ChainHead): report is object {
  return typeof report === 'object' && report !== null && 'previous' in report && report.previous === head.hash;
}
