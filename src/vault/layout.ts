// Every name in a vault, and snapshot ids: parse and format. Pure; docs/format.md is the contract.

import { CoraError } from '../base/errors.ts';

export const FORMAT = 1;
export const NAMES = {
  vaultJson: 'VAULT.json',
  readme: 'README.txt',
  restoreScript: 'restore.sh',
  manifest: 'MANIFEST.txt',
  report: 'REPORT.json',
  sums: 'SHA256SUMS.txt',
  largeFiles: 'LARGE_FILES.txt',
  pack: 'objects.tar.zst',
  checkpoint: 'checkpoint.tar.gz',
  keyframe: 'FILES.tsv.zst',
  delta: 'DELTA.tsv.zst',
  backupListing: 'FILES.tsv.gz',
  critical: 'critical',
  db: 'db',
  git: 'git',
  progress: 'progress',
  packs: 'progress/packs',
  ledger: 'ledger',
  chain: 'ledger/chain.log',
  database: 'ledger/cora.db',
  missingLines: 'ledger/missing-lines.json',
  protected: 'ledger/protected.json',
  lifted: 'ledger/lifted.json',
  rotating: 'ledger/rotating.json',
  init: 'ledger/init.json',
  pruning: 'ledger/pruning.json',
  adopted: 'ledger/adopted.json',
  offsite: 'ledger/offsite.json',
  torture: 'ledger/torture',
  httpToken: 'ledger/http-token',
  stage: '.stage',
  trash: '.trash',
  cache: '.cache',
  writeLock: '.lock',
  gcLock: '.gc-lock',
  shipLock: '.ship-lock',
} as const;

declare const snapshotId: unique symbol;
/** `YYYYMMDD-HHMMSS-<sha or nogit>[-N]`, made only by `parseId` and `formatId`. */
export type SnapshotId = string & { readonly [snapshotId]: true };

const ID = /^(\d{4})(\d{2})(\d{2})-(\d{2})(\d{2})(\d{2})-([0-9a-f]{6,40}|nogit)(?:-([2-9]|[1-9]\d+))?$/;

export function parseId(text: string): SnapshotId | undefined {
  const match = ID.exec(text);
  if (match === null || Number.isNaN(timeOfMatch(match))) return undefined;
  return text as SnapshotId;
}

function timeOfMatch(match: RegExpExecArray): number {
  return Date.parse(`${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}Z`);
}

/** The id's time in milliseconds since 1970. */
export function timeOfId(id: SnapshotId): number {
  const match = ID.exec(id);
  return match === null ? Number.NaN : timeOfMatch(match);
}

/** Orders ids by their time, and those of one second as they were made: `...-2` comes after the one without a number. */
export function compareIds(a: SnapshotId, b: SnapshotId): number {
  return timeOfId(a) - timeOfId(b) || Number(ID.exec(a)?.[8] ?? 1) - Number(ID.exec(b)?.[8] ?? 1);
}

/**
 * @param time milliseconds since 1970
 * @param sha the git commit, undefined outside git
 * @param number 1 for the first id in its second, then 2, 3, ...
 */
export function formatId(time: number, sha: string | undefined, number: number): SnapshotId {
  const iso = new Date(time).toISOString();
  const stamp = `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}-${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}`;
  const id = parseId(`${stamp}-${sha === undefined ? 'nogit' : sha.slice(0, 7)}${number > 1 ? `-${number}` : ''}`);
  if (id === undefined) throw new CoraError('internal', `No snapshot id can be made for the year ${iso}`);
  return id;
}

/** Where a save lies, relative to the vault: `progress/2026/11/21/143000-1a2b3c4`. */
export function saveDirectory(id: SnapshotId): string {
  return `${NAMES.progress}/${id.slice(0, 4)}/${id.slice(4, 6)}/${id.slice(6, 8)}/${id.slice(9)}`;
}

/** A fallback checkpoint lies where a save would. */
export function snapshotDirectory(kind: 'save' | 'backup' | 'fallback', id: SnapshotId): string {
  return kind === 'backup' ? id : saveDirectory(id);
}

/** What clean-up keeps of a save: its keyframe, and its sums, which the ledger vouches for. A name in `progress/packs/`. */
export function looseName(id: SnapshotId, file: typeof NAMES.keyframe | typeof NAMES.sums): string {
  return `${id}.${file}`;
}
