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

export type SnapshotRow = {
  readonly snapshot_id: string;
  readonly kinds: readonly string[];
  readonly type?: string;
  readonly status: string;
  readonly time: string;
  readonly label?: string | null;
  readonly note?: string | null;
  readonly total_files_processed?: number | null;
  readonly total_bytes_processed?: number | null;
  readonly size?: number | null;
  readonly total_duration?: number | null;
  readonly files_new?: number | null;
  readonly files_changed?: number | null;
  readonly files_removed?: number | null;
  readonly protection?: string | null;
  readonly verified_at?: string | null;
  readonly verified_ok?: boolean | null;
  readonly shipped_at?: string | null;
  readonly pinned?: boolean;
  readonly pinned_until?: string | null;
  readonly losses?: number | null;
  readonly problems?: number | null;
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

export type Loss = { readonly path?: string; readonly message?: string; readonly kind?: string; readonly code?: string };

/** The fields of REPORT.json that the page shows. */
export type ReportFacts = {
  readonly status?: string;
  readonly type?: string;
  readonly host?: string;
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

export type SnapshotDetail = SnapshotRow & {
  readonly forms: readonly { readonly kind?: string; readonly path: string; readonly report: ReportFacts }[];
};

export type TreeEntry = PathRef & {
  readonly name?: string;
  readonly type: string;
  readonly size: number | null;
  readonly mtime: string | null;
  readonly mode?: string | number;
  readonly link?: string | null;
  readonly database?: boolean;
};

export type TreePage = { readonly path?: string; readonly total: number; readonly entries: readonly TreeEntry[]; readonly next: string | null };

export type TextAnswer = { readonly size: number; readonly text: string | null; readonly truncated?: boolean; readonly base64?: string | null };

/** A snapshot that something refers to: its id, or id and moment. */
export type SnapshotPoint = string | { readonly snapshot_id: string; readonly time?: string };

export type Version = {
  readonly first: SnapshotPoint;
  readonly last: SnapshotPoint;
  readonly snapshots?: number;
  readonly gone_in?: SnapshotPoint | null;
  readonly type: string;
  readonly size: number | null;
  readonly sha256?: string | null;
  readonly mtime?: string | null;
  readonly database?: boolean;
};

export type Versions = PathRef & {
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
  | { readonly kind: 'text'; readonly unified: string }
  | { readonly kind: 'rows'; readonly tables: readonly TableDifference[] }
  | { readonly kind: 'none'; readonly reason: string };

export type Found = PathRef & {
  readonly last: SnapshotPoint;
  readonly first?: SnapshotPoint;
  readonly time?: string | null;
  readonly size?: number | null;
  readonly present?: boolean;
  readonly type?: string;
};

export type FindPage = { readonly total: number; readonly found: readonly Found[]; readonly next: string | null };

export type Day = {
  readonly day: string;
  readonly saves: number;
  readonly backups: number;
  readonly bytes: number;
  readonly total: number;
  readonly suspect?: number;
};

export type Storage = {
  readonly vault_bytes: number;
  readonly free_bytes: number;
  readonly content_bytes: number;
  readonly unique_bytes?: number;
  readonly shared_bytes?: number;
  readonly saved_bytes?: number;
  readonly snapshots: readonly {
    readonly snapshot_id: string;
    readonly time: string;
    readonly kinds: readonly string[];
    readonly size: number;
    readonly unique?: number | null;
    readonly shared?: number | null;
  }[];
  readonly days: readonly Day[];
};

export type Trends = {
  readonly runs: readonly {
    readonly snapshot_id: string;
    readonly time: string;
    readonly kind: string;
    readonly total_duration: number | null;
    readonly size: number | null;
    readonly total_bytes_processed: number | null;
    readonly wal_size?: number | null;
    readonly ok?: boolean;
  }[];
  readonly drills: readonly { readonly time: string; readonly ok: boolean; readonly seconds?: number | null; readonly snapshot_id?: string | null }[];
};

export type RestorePlan = {
  readonly snapshot_id: string;
  readonly kind?: string;
  readonly in_place: boolean;
  readonly directory?: string;
  readonly create: number;
  readonly replace: number;
  readonly keep: number;
  readonly bytes: number;
  readonly changes: readonly (PathRef & { readonly action: string; readonly size: number })[];
  readonly other_deployment?: string | null;
  readonly live_databases?: readonly string[];
  readonly move_aside?: readonly PathRef[];
  readonly token: string;
  readonly expires_at?: string;
  readonly confirm?: string;
};

export type RestoreDone = {
  readonly snapshot_id: string;
  readonly directory?: string;
  readonly files: number;
  readonly bytes: number;
  readonly databases?: number;
  readonly kept?: number;
  readonly seconds?: number;
  readonly pre_restore_snapshot?: string | null;
  readonly moved_aside?: number;
};

export type UndoPlan = {
  readonly direction: string;
  readonly snapshot_id: string;
  readonly entries: number;
  readonly databases: readonly string[];
  readonly token: string;
  readonly confirm?: string;
};
