// What the answers of /api/v1 look like to the page (docs/http.md, docs/json.md). Fields that an older or newer server may
// leave out are optional; the page shows what it gets.

/** A path as it is written, and its exact bytes where it is not UTF-8. */
export type PathRef = { readonly path: string; readonly path_base64?: string | undefined };

/** RFC 9457, with Cora's error code and the next command. */
export type ProblemDocument = {
  readonly title?: string;
  readonly status: number;
  readonly detail?: string;
  readonly code?: string;
  readonly next?: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
};

export type Level = 'ok' | 'note' | 'warning' | 'critical';
export type PromiseName = 'durable' | 'verified' | 'sealed' | 'offsite' | 'drilled';

/** One of the five; `kept` null: not set up, or unknown. */
export type Kept = {
  readonly name: PromiseName;
  readonly kept: boolean | null;
  readonly at: string | null;
  readonly age_seconds: number | null;
  readonly snapshot_id: string | null;
  readonly text: string;
  readonly next: string | null;
};

export type Health = {
  readonly level: 'ok' | 'warning' | 'critical';
  readonly checks: readonly { readonly name: string; readonly level: Level; readonly message: string; readonly next?: string | null }[];
  readonly promises: readonly Kept[];
  readonly version: string;
  readonly project: string;
  readonly root?: string;
  readonly vault?: string;
};

/** When something was tried, and how it went. */
export type Checked = { readonly ok: boolean; readonly time: string } | null;

/** A snapshot with all that is known of it. */
export type SnapshotRow = {
  readonly snapshot_id: string;
  readonly kinds: readonly string[];
  readonly type?: string | null;
  readonly status: string;
  readonly time: string;
  readonly label?: string | null;
  readonly note?: string | null;
  readonly trigger?: string | null;
  readonly branch?: string | null;
  readonly total_files_processed?: number | null;
  readonly total_bytes_processed?: number | null;
  readonly total_duration?: number | null;
  readonly files_new?: number | null;
  readonly files_changed?: number | null;
  readonly files_removed?: number | null;
  readonly size?: number | null;
  readonly unique_bytes?: number | null;
  readonly protection?: string | null;
  readonly seal_missing?: boolean;
  readonly verified?: Checked;
  readonly drilled?: Checked;
  readonly offsite?: readonly { readonly remote: string; readonly time: string }[];
  readonly pinned?: boolean;
  readonly pinned_until?: string | null;
  readonly losses?: number;
  readonly problems?: number;
};

export type SnapshotList = { readonly total: number; readonly snapshots: readonly SnapshotRow[]; readonly next: string | null };

export type DatabaseFacts = {
  readonly path: string;
  readonly size?: number;
  readonly rows?: number | null;
  readonly tables?: Readonly<Record<string, number>>;
  readonly check_result?: string | null;
  readonly check?: string | null;
};

export type Loss = PathRef & {
  readonly kind: string;
  readonly before: number;
  readonly after: number;
  readonly table?: string;
  readonly last_good?: string;
};

export type LossPage = { readonly frozen: boolean; readonly losses: readonly (Loss & { readonly accept: string })[] };

/** The fields of REPORT.json that the page shows. */
export type ReportFacts = {
  readonly status?: string;
  readonly type?: string;
  readonly host?: { readonly hostname: string };
  readonly git?: { readonly branch?: string | null; readonly sha?: string | null } | null;
  readonly note?: string | null;
  readonly label?: string | null;
  readonly trigger?: string | null;
  readonly backup_start?: string;
  readonly total_duration?: number;
  readonly files_new?: number;
  readonly files_changed?: number;
  readonly files_unmodified?: number;
  readonly files_removed?: number;
  readonly total_files_processed?: number;
  readonly total_bytes_processed?: number;
  readonly data_added?: number;
  readonly data_added_packed?: number;
  readonly databases?: readonly DatabaseFacts[];
  readonly losses?: readonly Loss[];
  readonly problems?: readonly { readonly code?: string; readonly message: string; readonly path?: string; readonly severity?: string }[];
  readonly large_files?: readonly { readonly path: string; readonly size: number }[];
};

export type SnapshotDetail = {
  readonly snapshot: SnapshotRow;
  readonly forms: readonly {
    readonly kind: string;
    readonly path: string;
    readonly protection_reason?: string | null;
    readonly report: ReportFacts;
  }[];
};

export type TreeEntry = PathRef & {
  readonly name?: string;
  readonly type: string;
  readonly size: number | null;
  readonly mtime: string | null;
  readonly link?: string;
  /** Of a directory: entries in it. */
  readonly children?: number | null;
};

export type TreePage = { readonly total: number; readonly entries: readonly TreeEntry[]; readonly next: string | null };

export type TextAnswer = { readonly size: number; readonly text: string | null; readonly truncated: boolean };

/** A snapshot that something refers to. */
export type SnapshotPoint = { readonly snapshot_id: string; readonly time: string };

export type Version = {
  readonly first: SnapshotPoint;
  readonly last: SnapshotPoint;
  readonly snapshots: number;
  readonly gone_in: string | null;
  readonly type: string;
  readonly size: number | null;
  /** Of a database. */
  readonly rows: number | null;
  readonly suspect: boolean;
};

/** `ready` false: the history is being read for the first time. */
export type Versions = PathRef & {
  readonly ready?: boolean;
  readonly present: boolean;
  readonly total: number;
  readonly versions: readonly Version[];
  readonly next: string | null;
};

export type Cell = string | number | boolean | null | { readonly base64: string };
export type TableDifference = {
  readonly table: string;
  readonly columns: readonly string[];
  readonly before: readonly (readonly Cell[])[];
  readonly after: readonly (readonly Cell[])[];
  readonly more?: boolean;
  readonly reason?: string | null;
};

export type ContentDifference =
  | { readonly kind: 'text'; readonly unified: string; readonly truncated?: boolean }
  | { readonly kind: 'rows'; readonly tables: readonly TableDifference[] }
  | { readonly kind: 'none'; readonly reason: string };

export type VersionDifference = {
  readonly change: 'same' | 'created' | 'changed' | 'deleted';
  readonly aspects: readonly string[];
  readonly content: ContentDifference | null;
};

type EntryFacts = { readonly type: string; readonly size: number | null };

export type ChangePage = {
  readonly before: SnapshotPoint | null;
  readonly created: number;
  readonly changed: number;
  readonly deleted: number;
  readonly total: number;
  readonly next: string | null;
  readonly files: readonly (PathRef & {
    readonly change: string;
    readonly aspects: readonly string[];
    readonly before: EntryFacts | null;
    readonly after: EntryFacts | null;
    readonly renamed_from?: string;
  })[];
  readonly databases: readonly (PathRef & {
    readonly change: string;
    readonly rows: { readonly before: number | null; readonly after: number | null };
  })[];
};

/** A path that some snapshot has, and the newest one that does. */
export type Found = PathRef & {
  readonly type: string;
  readonly size: number | null;
  readonly gone: boolean;
  readonly last_seen: SnapshotPoint;
  readonly gone_in: SnapshotPoint | null;
};

export type FindPage = {
  readonly ready?: boolean;
  /** Null where there is no snapshot. */
  readonly newest: string | null;
  readonly total: number;
  readonly gone: number;
  readonly found: readonly Found[];
  readonly next: string | null;
};

/** Columns, oldest first; bits of flags as in docs/http.md. */
export type TimelineColumns = {
  readonly total: number;
  readonly times: readonly (number | string)[];
  readonly flags: readonly number[];
  readonly sizes: readonly number[];
};

export type Day = { readonly day: string; readonly saves: number; readonly backups: number; readonly bytes: number; readonly total: number };

export type Storage = {
  readonly ready?: boolean;
  readonly vault_bytes: number;
  readonly free_bytes: number;
  readonly content_bytes: number;
  readonly saved_bytes: number | null;
  readonly dedup_ratio: number | null;
  readonly compression_ratio: number | null;
  readonly backup_bytes?: number;
  readonly stored_bytes?: number | null;
  readonly growth: readonly Day[];
  readonly snapshots: readonly {
    readonly snapshot_id: string;
    readonly time: string;
    readonly kinds: readonly string[];
    readonly size: number;
    readonly unique_bytes: number | null;
    readonly shared_bytes: number | null;
  }[];
};

export type Trends = {
  readonly points: readonly {
    readonly snapshot_id: string;
    readonly time: string;
    readonly kind: string;
    readonly duration: number | null;
    readonly size: number | null;
    readonly content_bytes: number | null;
    readonly wal_bytes: number | null;
    readonly ok: boolean;
  }[];
  readonly drills: {
    readonly count: number;
    readonly succeeded: number;
    readonly points: readonly { readonly time: string; readonly ok: boolean; readonly seconds: number | null }[];
  };
};

export type RunRow = {
  readonly time: string;
  readonly command: string;
  readonly trigger: string | null;
  readonly level: 'info' | 'warn' | 'error';
  readonly snapshot_id: string | null;
  readonly seconds: number | null;
  readonly message: string | null;
};

export type RunPage = { readonly total: number; readonly failed: number; readonly runs: readonly RunRow[] };
