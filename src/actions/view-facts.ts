// What lists and plots tell of every snapshot, kept in `.cache/view.json` so that thousands of reports are read once. Invariant: a
// convenience alone. It may be deleted at any time, a torn one counts as none, and nothing is restored or decided by it.

import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { BackupType, Report } from '../format/report.ts';
import { exists, readCacheFile, replaceFile } from '../os/files.ts';
import { type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { bytesBelow } from './list.ts';
import { isGood } from './report-state.ts';

/** Of one form of a snapshot. Numbers of a report that cannot be read are null. */
export type Facts = {
  readonly type: BackupType;
  readonly status: Report['status'];
  /** Its report can be read. */
  readonly readable: boolean;
  readonly scope: NonNullable<Report['scope']> | null;
  /** Complete, or incomplete with everything critical there. */
  readonly good: boolean;
  readonly sequence: number;
  readonly label: string | null;
  readonly note: string | null;
  readonly trigger: string | null;
  readonly branch: string | null;
  readonly files: number | null;
  readonly contentBytes: number | null;
  readonly filesNew: number | null;
  readonly filesChanged: number | null;
  readonly filesRemoved: number | null;
  readonly dataAdded: number | null;
  /** Seconds. */
  readonly duration: number | null;
  /** Of the databases' -wal files when they were copied; null where none is recorded. */
  readonly walBytes: number | null;
  readonly databases: number;
  readonly losses: number;
  readonly problems: number;
  readonly exportedFrom: string | null;
  /** Of its own files in the vault, and of its pack and its keyframe alone. */
  readonly storedBytes: number;
  readonly packBytes: number;
  readonly keyframeBytes: number;
};

type Kept = Facts & { readonly stamp: string };

const CACHE = `${NAMES.cache}/view.json`;
const HEADER = '#cora-view 1';
/** Snapshots that are read before others get a turn. */
const AT_ONCE = 50;

/** The facts of all snapshots of a vault, by form. */
export class FactsIndex {
  readonly #vault: Vault;
  #kept: Map<string, Kept> | undefined;
  #isStored = true;

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** True where the facts of all of them are at hand. */
  has(refs: readonly SnapshotRef[]): boolean {
    return this.#kept !== undefined && refs.every((ref) => this.#kept?.has(keyOf(ref)) === true);
  }

  of(ref: SnapshotRef): Facts {
    this.#kept ??= new Map();
    const kept = this.#kept;
    let facts = kept.get(keyOf(ref));
    if (facts === undefined) {
      facts = factsOf(this.#vault, ref);
      kept.set(keyOf(ref), facts);
      this.#isStored = false;
    }
    return facts;
  }

  /** Reads what is missing, and forgets what is gone. Others get their turn in between. */
  async load(refs: readonly SnapshotRef[]): Promise<void> {
    let kept = this.#kept;
    if (kept === undefined) {
      kept = new Map();
      const cached = readCache(this.#vault);
      for (const [index, ref] of refs.entries()) {
        const known = cached.get(keyOf(ref));
        if (known !== undefined && known.stamp === stampOf(this.#vault, ref)) kept.set(keyOf(ref), known);
        if (index % 1000 === 999) await setImmediate();
      }
      this.#kept = kept;
    }
    let read = 0;
    for (const ref of refs) {
      if (kept.has(keyOf(ref))) continue;
      this.of(ref);
      read += 1;
      if (read % AT_ONCE === 0) await setImmediate();
    }
    if (kept.size === refs.length) return;
    const there = new Set(refs.map(keyOf));
    for (const key of kept.keys()) if (!there.has(key)) kept.delete(key);
  }

  /** Writes the cache where it is behind. Not synced: a torn one is noticed. Never throws. */
  store(): void {
    if (this.#isStored || this.#kept === undefined) return;
    storeCache(this.#vault, CACHE, HEADER, Object.fromEntries(this.#kept));
    this.#isStored = true;
  }
}

const keyOf = ({ kind, id }: SnapshotRef) => `${kind} ${id}`;

function stampOf(vault: Vault, { directory }: SnapshotRef): string {
  const stat = lstatSync(`${vault.root}/${directory}/${NAMES.report}`, { throwIfNoEntry: false });
  return stat === undefined ? '-' : `${stat.size}-${stat.mtimeMs}-${stat.ino}`;
}

function factsOf(vault: Vault, ref: SnapshotRef): Kept {
  const directory = `${vault.root}/${ref.directory}`;
  const report = tryReport(vault, ref);
  const size = (name: string) => statSync(`${directory}/${name}`, { throwIfNoEntry: false })?.size ?? 0;
  const wals = report?.databases?.flatMap(({ wal_size: bytes }) => bytes ?? []) ?? [];
  return {
    stamp: stampOf(vault, ref),
    type: report?.type ?? (ref.kind === 'backup' ? 'manual' : ref.kind),
    status: report?.status ?? 'partial',
    readable: report !== undefined,
    scope: report?.scope ?? null,
    good: report !== undefined && isGood(report),
    sequence: report?.sequence ?? 0,
    label: report?.label ?? null,
    note: report?.note ?? null,
    trigger: report?.trigger ?? null,
    branch: report?.git?.branch ?? null,
    files: report?.total_files_processed ?? null,
    contentBytes: report?.total_bytes_processed ?? null,
    filesNew: report?.files_new ?? null,
    filesChanged: report?.files_changed ?? null,
    filesRemoved: report?.files_removed ?? null,
    dataAdded: report?.data_added ?? null,
    duration: report?.total_duration ?? null,
    walBytes: wals.length === 0 ? null : wals.reduce((sum, bytes) => sum + bytes, 0),
    databases: report?.databases?.length ?? 0,
    losses: report?.losses?.length ?? 0,
    problems: report?.problems?.length ?? 0,
    exportedFrom: report?.exported_from ?? null,
    storedBytes: bytesOf(directory),
    packBytes: size(NAMES.pack),
    keyframeBytes: ref.kind === 'save' ? size(NAMES.keyframe) : 0,
  };
}

/** Clean-up may take it while it is looked at. */
function bytesOf(directory: string): number {
  try {
    return bytesBelow(directory);
  } catch {
    return 0;
  }
}

function readCache(vault: Vault): ReadonlyMap<string, Kept> {
  const value = readStored(vault, CACHE, HEADER);
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value as Record<string, Kept>) : []);
}

/** What `storeCache` wrote; undefined where it is missing, torn, or of another form. */
export function readStored(vault: Vault, path: string, header: string): unknown {
  const text = readCacheFile(`${vault.root}/${path}`)?.toString('utf8');
  const end = text?.indexOf('\n') ?? -1;
  if (text === undefined || end < 0) return undefined;
  const body = text.slice(end + 1);
  if (text.slice(0, end) !== `${header} ${crc32(body)}`) return undefined;
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** A cache file of one header line, with the sum of what follows, and JSON. Where the vault cannot be written the next process does the same again. */
export function storeCache(vault: Vault, path: string, header: string, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  try {
    if (!exists(`${vault.root}/${NAMES.cache}`)) mkdirSync(`${vault.root}/${NAMES.cache}`, { mode: 0o700 });
    replaceFile(`${vault.root}/${path}`, `${header} ${crc32(body)}\n${body}`, false);
  } catch {
    // A vault on a read-only disk answers too.
  }
}
