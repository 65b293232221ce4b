// The one error class and the one table of codes. A code is a stable word that programs
// may match; the table gives its exit code. Exit codes are documented in docs/exit-codes.md.

/** Exit codes of every command, by meaning (docs/exit-codes.md). */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  incomplete: 3,
  noVault: 10,
  locked: 11,
  remote: 12,
  refused: 20,
  damaged: 21,
  tooOld: 22,
  phrase: 64,
  internal: 70,
  skipped: 75,
  /** guard's own failure: its command was not run, and every other code is the command's. */
  notRun: 125,
  interrupted: 130,
} as const;

/** Every error code and the exit code it ends with. Codes are only ever added. */
export const ERROR_EXIT = {
  usage: EXIT.usage,
  unknown_snapshot: EXIT.usage,
  ambiguous_snapshot: EXIT.usage,
  ambiguous_moment: EXIT.usage,
  config_invalid: EXIT.usage,
  project_refused: EXIT.usage,
  target_not_empty: EXIT.refused,
  refused: EXIT.refused,
  vault_missing: EXIT.noVault,
  vault_foreign: EXIT.noVault,
  vault_version: EXIT.failed,
  locked: EXIT.locked,
  no_space: EXIT.failed,
  read_only: EXIT.failed,
  io: EXIT.failed,
  tool_missing: EXIT.failed,
  remote_failed: EXIT.remote,
  remote_missing: EXIT.remote,
  not_found: EXIT.failed,
  // AtoCore's codes (ATO-3), kept because users' programs match them.
  snapshot_directory_missing: EXIT.damaged,
  metadata_missing: EXIT.damaged,
  metadata_invalid_json: EXIT.damaged,
  db_snapshot_missing: EXIT.failed,
  db_open_failed: EXIT.failed,
  db_integrity_check_failed: EXIT.failed,
  registry_snapshot_missing: EXIT.failed,
  registry_invalid_json: EXIT.failed,
  chroma_snapshot_missing: EXIT.failed,
  validation_failed: EXIT.failed,
  db_locked: EXIT.locked,
  db_table_missing: EXIT.failed,
  db_out_of_memory: EXIT.failed,
  target_exists: EXIT.refused,
  /** An age identity that does not open this copy, or may not be used. */
  key_wrong: EXIT.refused,
  damaged: EXIT.damaged,
  too_old: EXIT.tooOld,
  /** Neither a command nor a phrase that is understood; nothing was done. */
  phrase_unknown: EXIT.phrase,
  interrupted: EXIT.interrupted,
  engine_broken: EXIT.internal,
  internal: EXIT.internal,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof ERROR_EXIT;

/** What a CoraError may carry besides its sentence. */
export type ErrorOptions = {
  /** The next command to type, or the next thing to do; one short sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Facts for `--json` (paths, sizes, ids); never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Instead of the code's own. */
  readonly exitCode?: number;
};

/** An error that a user can cause or meet. The message says what failed and on which path, with no final dot. */
export class CoraError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly exitCode: number;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CoraError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
    this.exitCode = options.exitCode ?? ERROR_EXIT[code];
  }
}

/** Node's `rm` says most of what the system refused in words alone: its code is empty, and the message begins so. */
const WORDS_ALONE = ', Unknown error: ';
const WORDS: ReadonlyMap<string, string> = new Map([
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['File too large', 'EFBIG'],
  ['Read-only file system', 'EROFS'],
  ['Device or resource busy', 'EBUSY'],
]);

/** What libuv has no word for, and disks say all the same. */
const UNKNOWN = /^Unknown system error -(\d+)/;
const NUMBERS: ReadonlyMap<string, readonly [word: string, text: string]> = new Map([
  ['116', ['ESTALE', 'stale file handle']],
  ['117', ['EUCLEAN', 'the file system is damaged (structure needs cleaning)']],
  ['121', ['EREMOTEIO', 'remote i/o error']],
  ['122', ['EDQUOT', 'disk quota exceeded']],
  ['123', ['ENOMEDIUM', 'no medium found']],
]);

/** The errno word of a Node system error (`ENOENT`), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return undefined;
  const number = UNKNOWN.exec(error.code)?.[1];
  if (number !== undefined) return NUMBERS.get(number)?.[0] ?? 'EIO';
  if (error.code !== '' || !error.message.startsWith(WORDS_ALONE)) return error.code;
  const said = error.message.slice(WORDS_ALONE.length);
  for (const [words, errno] of WORDS) if (said.startsWith(words)) return errno;
  return 'EIO';
}

/** The text of any thrown value, for a problem's message. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message.startsWith(WORDS_ALONE)) return error.message.slice(WORDS_ALONE.length);
  const known = NUMBERS.get(UNKNOWN.exec(error.message)?.[1] ?? '');
  return known === undefined ? error.message : error.message.replace(/^Unknown system error -\d+: Unknown system error -\d+/, known.join(': '));
}

/** What to do where a limit of the process or the machine is met, if the words for it are these. */
export function limitHint(words: string): { readonly hint?: string } {
  if (/\bE[MN]FILE\b/.test(words)) return { hint: 'raise the limit of open files (ulimit -n), then run the command again' };
  if (/\b(ENOMEM|EAGAIN)\b/.test(words)) return { hint: 'free memory or raise the limits (ulimit -v, ulimit -u), then run the command again' };
  return {};
}

/**
 * A system error of writing into the vault as the sentence a person can act on.
 * @param error what was thrown
 * @param what the path or thing that was being written
 */
export function writeFailure(error: unknown, what: string): CoraError {
  if (error instanceof CoraError) return error;
  switch (errnoOf(error)) {
    case 'ENOSPC':
      return new CoraError('no_space', `No space left while writing ${what}`, {
        hint: 'free space on that disk (df -h, df -i), then run the command again',
        cause: error,
      });
    case 'EDQUOT':
      return new CoraError('no_space', `The disk quota ended while writing ${what}`, {
        hint: 'raise the quota or free space, then run the command again',
        cause: error,
      });
    case 'EFBIG':
      return new CoraError('no_space', `The file size limit was reached while writing ${what}`, {
        hint: 'raise the limit (ulimit -f), then run the command again',
        cause: error,
      });
    case 'EROFS':
      return new CoraError('read_only', `The file system of ${what} is read-only`, {
        hint: 'remount it (mount -o remount,rw) or choose another vault with --vault',
        cause: error,
      });
    default:
      return new CoraError('io', `Writing ${what} failed: ${messageOf(error)}`, {
        hint: "check the vault's disk, then run the command again",
        cause: error,
        ...limitHint(messageOf(error)),
      });
  }
}
