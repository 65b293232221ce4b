// Results as the `result` of the JSON document (docs/json.md). Pure. Fields are only ever added;
// a snapshot's own figures stand under restic's names, as they do in REPORT.json.

import type { BackupResult } from '../actions/backup.ts';
import type { ListResult } from '../actions/list.ts';
import type { SaveResult } from '../actions/save.ts';
import type { ShowResult } from '../actions/show.ts';
import type { LastRun, StatusResult } from '../actions/status.ts';
import type { VerifyResult } from '../actions/verify.ts';
import { type Bytes, base64Of, isText, toText } from '../base/bytes.ts';
import type { Pin } from '../base/retention-rules.ts';
import type { Report } from '../format/report.ts';
import type { SealState } from '../vault/seal.ts';

export type Document = Readonly<Record<string, unknown>>;

export const pathFields = (key: string, path: Bytes): Document =>
  isText(path) ? { [key]: toText(path) } : { [key]: toText(path), [`${key}_base64`]: base64Of(path) };
const rfc3339 = (time: number) => new Date(time).toISOString();

/** What a caller wants to know of a new snapshot; the whole is REPORT.json, and `cora show --json`. */
function figures(report: Report): Document {
  return {
    sequence: report.sequence,
    type: report.type,
    status: report.status,
    label: report.label,
    note: report.note,
    backup_start: report.backup_start,
    backup_end: report.backup_end,
    files_new: report.files_new,
    files_changed: report.files_changed,
    files_unmodified: report.files_unmodified,
    files_removed: report.files_removed,
    data_added: report.data_added,
    data_added_packed: report.data_added_packed,
    total_files_processed: report.total_files_processed,
    total_bytes_processed: report.total_bytes_processed,
    total_duration: report.total_duration,
    databases: report.databases,
    ...(report.artefacts === undefined ? {} : { artefacts: report.artefacts }),
    critical: report.critical,
  };
}

export function saveDocument(result: SaveResult): Document {
  return {
    outcome: result.outcome,
    changed: result.outcome === 'saved',
    snapshot_id: result.id,
    path: result.path,
    age_seconds: Math.round(result.ageMs / 1000),
    losses: result.losses,
    ...(result.report === undefined ? {} : figures(result.report)),
  };
}

export function backupDocument(result: BackupResult): Document {
  return {
    outcome: result.outcome,
    snapshot_id: result.id,
    path: result.path,
    age_seconds: Math.round(result.ageMs / 1000),
    losses: result.save?.losses ?? [],
    ...(result.report === undefined
      ? {}
      : { ...figures(result.report), size: result.bytes, archive_seconds: result.archiveSeconds, ...sealFields(result.seal) }),
    save: result.save === undefined ? null : saveDocument(result.save),
  };
}

function pinFields(pin: Pin | undefined): Document {
  return { pinned: pin !== undefined, pinned_until: pin?.until === undefined ? null : rfc3339(pin.until) };
}

/** What keeps a backup from being changed; null for a save. */
function sealFields(seal: SealState | undefined): Document {
  return { protection: seal?.protection ?? null, protection_reason: seal?.reason ?? null };
}

export function listDocument(result: ListResult): Document {
  return {
    total: result.total,
    snapshots: result.snapshots.map((snapshot) => ({
      snapshot_id: snapshot.id,
      kinds: snapshot.kinds,
      type: snapshot.type,
      status: snapshot.status,
      sequence: snapshot.sequence,
      time: rfc3339(snapshot.time),
      total_files_processed: snapshot.files ?? null,
      total_bytes_processed: snapshot.contentBytes ?? null,
      ...(snapshot.layout === undefined ? {} : { layout: snapshot.layout }),
      size: snapshot.storedBytes,
      label: snapshot.label,
      note: snapshot.note,
      ...pinFields(snapshot.pin),
      protection: snapshot.protection ?? null,
      path: snapshot.path,
    })),
  };
}

export function showDocument(result: ShowResult): Document {
  return {
    snapshot_id: result.id,
    ...pinFields(result.pin),
    forms: result.forms.map(({ path, report, seal }) => ({ path, ...sealFields(seal), report })),
  };
}

export function verifyDocument(result: VerifyResult): Document {
  return {
    snapshots: result.snapshots.map((snapshot) => ({
      snapshot_id: snapshot.id,
      kind: snapshot.kind,
      ok: snapshot.damaged.length === 0,
      files: snapshot.files,
      bytes: snapshot.bytes,
      seconds: snapshot.seconds,
      cold: snapshot.cold,
      ...sealFields(snapshot.seal),
      seal_missing: snapshot.sealMissing,
      damaged: snapshot.damaged.map(({ path, file, reason }) => ({ path, file, reason })),
    })),
    remaining: result.remaining,
    seconds: result.seconds,
  };
}

function drilled(drill: StatusResult['lastDrill']): Document | null {
  if (drill === undefined) return null;
  return {
    snapshot_id: drill.id,
    time: rfc3339(drill.time),
    ok: drill.outcome === 'ok',
    outcome: drill.outcome,
    whole: drill.whole,
    seconds: drill.seconds ?? null,
  };
}

function tortured(run: StatusResult['lastTorture']): Document | null {
  if (run === undefined) return null;
  return { id: run.id, time: rfc3339(run.time), ok: run.losses === 0, points: run.points, losses: run.losses, file_system: run.fileSystem };
}

export function statusDocument(result: StatusResult): Document {
  const last = (run: LastRun | undefined) => (run === undefined ? null : { snapshot_id: run.id, time: rfc3339(run.time), ok: run.ok });
  return {
    project: result.project,
    vault: {
      path: result.vault.path,
      exists: result.vault.exists,
      size: result.vault.bytes,
      free: result.vault.freeBytes,
      same_disk: result.vault.sameDisk,
    },
    last_save: last(result.lastSave),
    last_backup: last(result.lastBackup),
    last_verify: last(result.lastVerify),
    last_drill: drilled(result.lastDrill),
    last_torture: tortured(result.lastTorture),
    saves: result.saves,
    backups: result.backups,
    fallbacks: result.fallbacks,
    sealed: result.sealed,
    large_files: result.largeFiles,
    growth: result.growth,
    failures: {
      count: result.failures.count,
      last: result.failures.last === undefined ? null : { ...result.failures.last, time: rfc3339(result.failures.last.time) },
      pushes_without_save: result.failures.pushesWithoutSave,
    },
    losses: result.losses,
    frozen: result.frozen,
    warnings: result.warnings,
  };
}
