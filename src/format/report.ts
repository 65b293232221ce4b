// REPORT.json: the one typed record of a snapshot (docs/json.md). MANIFEST.txt and
// LARGE_FILES.txt are views of it. restic's key names stand where the meaning is the same.

import type { Problem } from '../base/context.ts';

/** `fallback`: a plain tar checkpoint that scripts/save.sh made where the engine could not start. */
export type SnapshotKind = 'save' | 'backup' | 'fallback';

/** ATLAS-3's kinds of backup, and ours after those. */
export type BackupType = 'daily' | 'weekly' | 'monthly' | 'manual' | 'auto' | 'save' | 'fallback';

/** One SQLite database in a snapshot. */
export type DatabaseReport = {
  readonly path: string;
  readonly path_base64?: string;
  /** `copy`: by SQLite's backup interface; `raw`: bytes as they were, because it could not be copied. */
  readonly stored: 'copy' | 'raw';
  /** Journal mode of the live database: wal, delete, truncate, persist, memory, off. */
  readonly journal_mode: string;
  readonly page_size: number;
  readonly user_version: number;
  readonly application_id: number;
  /** PRAGMA schema_version. */
  readonly schema_version: number;
  /** Of everything that is declared in it; a change of this is a migration. Not in reports of before this was recorded. */
  readonly schema_sha256?: string;
  /** Bytes of its -wal when it was copied; absent where there was none. */
  readonly wal_size?: number;
  readonly check: 'quick_check' | 'integrity_check' | 'none';
  /** `ok`, or the first lines of what the check said. */
  readonly check_result: string;
  /** Rows over all tables. */
  readonly rows: number;
  /** Rows by table, virtual and shadow tables left out. */
  readonly tables: Readonly<Record<string, number>>;
  readonly size: number;
  /** Backups: false where the copy is in the archive only, because it is over `db_plain_max`. */
  readonly plain?: boolean;
};

/** A directory that is one unit with its database, such as a Chroma vector store. */
export type UnitReport = {
  readonly kind: 'chroma';
  readonly path: string;
  readonly database: string;
  /** Documents in the store, undefined where they could not be counted. */
  readonly documents?: number;
};

/** A named artefact (`[[artefacts]]`) of this snapshot. */
export type ArtefactReport = {
  readonly name: string;
  readonly kind: 'database' | 'json' | 'directory' | 'command';
  /** In the listing; of a command's output `.cora-artefacts/<name>`. */
  readonly path: string;
  readonly path_base64?: string;
  /** Of content in this snapshot. */
  readonly bytes: number;
  /** Null for a directory, for a file in pieces (a command's output has it all the same), and where there is none. */
  readonly sha256: string | null;
  /** RFC 3339: when its content was taken; earlier than the snapshot for an output that was taken over. */
  readonly captured_at: string | null;
  readonly ok: boolean;
  readonly error: string | null;
};

export type GitReport = {
  readonly sha: string;
  readonly branch: string | null;
  readonly detached: boolean;
  readonly remotes: readonly string[];
  /** Backups: file names below git/ and what they hold. */
  readonly bundle?: string | null;
  readonly untracked?: number;
  readonly ignored?: number;
};

export type Report = {
  readonly schema: 1;
  readonly kind: SnapshotKind;
  readonly type: BackupType;
  readonly snapshot_id: string;
  readonly sequence: number;
  /** Hash of the chain line before this snapshot's. */
  readonly previous: string;
  /** `suspect`: something critical was lost since an earlier snapshot (`losses`); `partial`: something could not be saved. */
  readonly status: 'complete' | 'partial' | 'suspect';
  readonly vault_id: string;
  readonly project: { readonly name: string; readonly root: string };
  readonly host: Readonly<Record<'hostname' | 'os' | 'kernel' | 'arch' | 'node' | 'cora', string>>;
  readonly timezone: string;
  readonly git: GitReport | null;
  /** Fallback checkpoints: the whole project, or critical files and databases only; and why there was no engine. */
  readonly scope?: 'tree' | 'critical';
  readonly reason?: string;
  readonly note: string | null;
  readonly label: string | null;
  readonly trigger: string;
  /** RFC 3339; the start is the instant the snapshot stands for. */
  readonly backup_start: string;
  readonly backup_end: string;
  /** Saves: id of the keyframe, null where this save is one. Backups: null. */
  readonly keyframe: string | null;
  /** Backups: id of the save it was exported from. */
  readonly exported_from: string | null;
  readonly files_new: number;
  readonly files_changed: number;
  readonly files_unmodified: number;
  readonly files_removed: number;
  readonly dirs: number;
  readonly links: number;
  readonly specials: number;
  /** Bytes of new objects before and after compression. */
  readonly data_added: number;
  readonly data_added_packed: number;
  readonly total_files_processed: number;
  readonly total_bytes_processed: number;
  /** Seconds. */
  readonly total_duration: number;
  readonly databases: readonly DatabaseReport[];
  readonly units: readonly UnitReport[];
  /** Only where artefacts are configured. */
  readonly artefacts?: readonly ArtefactReport[];
  /** Paths of critical files that are in it. */
  readonly critical: readonly string[];
  /** Bytes of each of them; not in reports of before this was recorded. */
  readonly critical_sizes?: Readonly<Record<string, number>>;
  /** Files over the large-file limit, largest first. */
  readonly large_files: readonly { readonly path: string; readonly size: number }[];
  /** Backups: logs whose newest part only is in the archive. */
  readonly capped: readonly { readonly path: string; readonly size: number; readonly stored: number; readonly sha256: string }[];
  /** What is there and not in the snapshot, and why. */
  readonly not_covered: readonly { readonly path: string; readonly reason: string }[];
  /** Backups: what has extended attributes, ACLs or capabilities, which are not kept. Absent where getfattr is not installed, and in saves. */
  readonly attributes_lost?: readonly AttributesLost[];
  readonly problems: readonly Problem[];
  /** What was there in an earlier snapshot and is not in this one; `tables` are the rows it had. */
  readonly losses?: readonly LossReport[];
};

/** `names` as getfattr has them: `user.comment`, `system.posix_acl_access`, `security.capability`. */
export type AttributesLost = { readonly path: string; readonly path_base64?: string; readonly names: readonly string[] };

/** A critical file or database that vanished, was emptied or shrank (docs/json.md). */
export type LossReport = {
  readonly path: string;
  readonly path_base64?: string;
  readonly kind: 'gone' | 'emptied' | 'shrunk' | 'rows' | 'table';
  readonly before: number;
  readonly after: number;
  readonly table?: string;
  readonly tables?: Readonly<Record<string, number>>;
  readonly last_good: string;
};
