// What worker threads are asked to do, as plain data. One file, so that both ends agree.

import type { CopyCheck, CopyPath } from '../os/sqlite.ts';
import type { SharedTable } from './object-table.ts';

/** Set once for the whole life of a pool. */
export type PoolSetup = {
  readonly table: SharedTable;
  /** Absolute paths of packs by pack number. */
  readonly packs: readonly string[];
  /** For capture: the pack being written. */
  readonly output?: {
    readonly path: string;
    readonly pack: number;
    /** One BigInt64: bytes of the pack reserved so far. */
    readonly offset: SharedArrayBuffer;
  };
};

/** A small file to read whole. `path` is absolute, one character a byte. */
export type FileItem = {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
  /** Databases' staged copies are stored without looking for the SQLite header. */
  readonly staged?: boolean;
};

export type StoreFilesJob = { readonly kind: 'files'; readonly items: readonly FileItem[] };

/** A run of whole pieces of a cut file. */
export type StoreSegmentJob = {
  readonly kind: 'segment';
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  readonly piece: number;
};

export const FILE_STORED = 0;
export const FILE_DATABASE = 1;
export const FILE_UNSTABLE = 2;
export const FILE_FAILED = 3;
/** Grew while it was read, and was cut at the size it had. */
export const FILE_GREW = 4;

export type StoredFileFacts = {
  readonly status: number;
  /** errno word where status is FILE_FAILED. */
  readonly error?: string;
  /** Facts of the open file after it was read. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: bigint;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
};

/** Frames written: offset, length and crc32 of each, three numbers a frame. */
export type FrameList = Float64Array;

export type StoreFilesResult = {
  readonly facts: readonly StoredFileFacts[];
  /** 32 bytes an item. */
  readonly hashes: Uint8Array;
  readonly frames: FrameList;
  readonly added: number;
  readonly bytesRead: number;
};

export type StoreSegmentResult = {
  /** 32 bytes a piece that could be read. */
  readonly hashes: Uint8Array;
  /** Bytes read; less than asked where the file ended. */
  readonly bytesRead: number;
  readonly error?: string;
  readonly frames: FrameList;
  readonly added: number;
};

/** Decode and hash objects. Record numbers of the table, ordered by pack and offset. */
export type CheckObjectsJob = { readonly kind: 'check-objects'; readonly records: Uint32Array };
export type CheckObjectsResult = { readonly damaged: readonly number[]; readonly bytes: number };

/** Where content comes from: one object, or pieces of one size. Hashes are 32 bytes each, one after the other. */
export type Content = {
  readonly size: number;
  /** Bytes of each piece but the last; 0 for one object (or none, where size is 0). */
  readonly piece: number;
  readonly hashes: Uint8Array;
  /** Zero pieces become holes. */
  readonly sparse: boolean;
};

export type Attributes = { readonly mode: number; readonly uid: number; readonly gid: number };

export type RestoreItem = {
  /** Absolute final path, one character a byte. Its directory exists. */
  readonly path: string;
  readonly content: Content;
  readonly attributes: Attributes;
};

/** Writes whole files: temporary name in the same directory, attributes, rename. */
export type RestoreFilesJob = {
  readonly kind: 'restore-files';
  readonly items: readonly RestoreItem[];
  /** Set owners (root only). */
  readonly owners: boolean;
};
export type RestoreFilesResult = {
  readonly failures: readonly { readonly path: string; readonly code: string; readonly message: string }[];
  readonly bytes: number;
};

/** Writes a run of pieces into an existing file, which `restoreBegin` made at its full size. */
export type RestorePartJob = {
  readonly kind: 'restore-part';
  readonly path: string;
  readonly offset: number;
  readonly content: Content;
};
export type RestorePartResult = RestoreFilesResult;

/** Writes a plain copy (mode 0600) in one pass and gives the sha256 of the whole; no target only hashes. */
export type ExportFileJob = { readonly kind: 'export-file'; readonly target: string | undefined; readonly content: Content; readonly sync: boolean };
export type ExportFileResult = { readonly sha256: string; readonly size: number };

/** Hashes files as they are now; absolute paths, one character a byte. */
export type HashFilesJob = { readonly kind: 'hash-files'; readonly paths: readonly string[] };
/** In the order of the paths; undefined where a file cannot be read. */
export type HashFilesResult = { readonly sha256: readonly (string | undefined)[] };

/**
 * A part of a backup's archive, at most a few MiB: `literals` (headers and padding) and the content of
 * objects, interleaved by `plan`. Flat arrays: an object for each of a million files would cost more than deflating them.
 */
export type ArchiveBatchJob = {
  readonly kind: 'archive-batch';
  readonly literals: Uint8Array;
  /** Objects in order, 32 bytes each. */
  readonly hashes: Uint8Array;
  /** Four numbers a step: bytes of `literals`; then objects, bytes of the first to leave out, bytes of content they must give. */
  readonly plan: Uint32Array;
};
export type ArchiveBatchResult = { readonly member: Uint8Array; readonly rawBytes: number };

/** Finds where a line begins in objects: for the part of a log that an archive keeps. */
export type FindLineJob = {
  readonly kind: 'find-line';
  readonly hashes: Uint8Array;
  /** The first place that will do, counted from the first object's first byte; at least 1. */
  readonly from: number;
  /** Bytes after `from` to search at most. */
  readonly within: number;
};
/** Where the line begins, or `from` where none begins in reach. */
export type FindLineResult = { readonly offset: number };

/** Syncs a finished pack and reads it back against the checksums of its frames. */
export type SealPackJob = { readonly kind: 'seal-pack'; readonly path: string; readonly frames: readonly FrameList[]; readonly size: number };
export type SealPackResult = { readonly sha256: string };

/** Hashes a file of the vault as it is on the disk, past the page cache where the file system can. */
export type HashColdJob = { readonly kind: 'hash-cold'; readonly path: string };
export type HashColdResult = { readonly sha256: string; readonly size: number; readonly cold: boolean };

/** SQLite's own check of a stored copy, and its rows. */
export type CheckDatabaseJob = { readonly kind: 'check-database'; readonly path: CopyPath; readonly check: 'quick_check' | 'integrity_check' };

export type Job =
  | StoreFilesJob
  | StoreSegmentJob
  | CheckObjectsJob
  | RestoreFilesJob
  | RestorePartJob
  | ExportFileJob
  | HashFilesJob
  | CheckDatabaseJob
  | SealPackJob
  | HashColdJob
  | ArchiveBatchJob
  | FindLineJob;

export type JobResult<J extends Job> = J extends StoreFilesJob
  ? StoreFilesResult
  : J extends StoreSegmentJob
    ? StoreSegmentResult
    : J extends CheckObjectsJob
      ? CheckObjectsResult
      : J extends RestoreFilesJob
        ? RestoreFilesResult
        : J extends RestorePartJob
          ? RestorePartResult
          : J extends ExportFileJob
            ? ExportFileResult
            : J extends HashFilesJob
              ? HashFilesResult
              : J extends CheckDatabaseJob
                ? CopyCheck
                : J extends SealPackJob
                  ? SealPackResult
                  : J extends HashColdJob
                    ? HashColdResult
                    : J extends ArchiveBatchJob
                      ? ArchiveBatchResult
                      : J extends FindLineJob
                        ? FindLineResult
                        : never;
