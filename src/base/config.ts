// The configuration: its type, every default with its reason, and how layers merge. Reading TOML
// needs heavy libraries, so that part is config-file.ts and is loaded only when there is a file:
// a project without configuration never pays for it. docs/configuration.md lists every key.

import type { Artefact } from './artefact.ts';
import type { RulesSpec, WeekdayName } from './retention-rules.ts';
import type { Check, UserCommand, WebHook } from './user-command.ts';

/** Everything that `cora.toml` can say, with defaults filled in. Sizes in bytes, times in milliseconds. */
export type Config = {
  /** Name of the vault directory and of archives; undefined: the project directory's name. */
  readonly name: string | undefined;
  /** The vault directory, absolute or beginning with `~/`; undefined: the usual place. */
  readonly vault: string | undefined;
  /** gitignore patterns of logs: in a backup's archive each is cut to its newest `logCap` bytes. */
  readonly logs: readonly string[];
  readonly logCap: number;
  /** Files above this are listed in LARGE_FILES.txt. */
  readonly largeFile: number;
  /** Databases above this are in a backup's archive only, without a plain copy in `db/`. */
  readonly dbPlainMax: number;
  readonly scan: {
    /** gitignore patterns of what is left out, after the built-in ones. */
    readonly exclude: readonly string[];
    /** Whether the built-in list (`DEFAULT_EXCLUDES`) holds. */
    readonly excludeDefaults: boolean;
    readonly oneFileSystem: boolean;
  };
  /** `auto`: backups get the immutable flag where that can be; `off`: never. */
  readonly seal: 'auto' | 'off';
  readonly critical: {
    /** gitignore patterns of what is kept plain in `critical/`. Databases are always critical. */
    readonly patterns: readonly string[];
    /** gitignore patterns of what `cora protect` makes append-only. */
    readonly appendOnly: readonly string[];
  };
  readonly databases: {
    /** How long a copy waits for a database that its writer keeps locked. */
    readonly timeout: number;
  };
  readonly backup: {
    /** `backup auto` makes a backup when the newest good one is older. */
    readonly minAge: number;
  };
  /** What `cora rotate` cuts, and at which size or number of lines. */
  readonly rotate: { readonly patterns: readonly string[]; readonly maxSize: number; readonly maxLines: number };
  /** The user's own commands around a restore in place. */
  readonly restore: {
    /** Stops what uses the data, and starts it again. */
    readonly stop: UserCommand | undefined;
    readonly start: UserCommand | undefined;
    /** How long each of them may take. */
    readonly commandTimeout: number;
  };
  /** What belongs to the data under a name: databases, registries, cold directories, outputs of commands. */
  readonly artefacts: readonly Artefact[];
  /** What a drill measures itself by: how long a restore may take, and how old the newest good snapshot may be. */
  readonly drill: { readonly rto: number; readonly rpo: number };
  /** What must hold after a restore, a drill or a guarded command. */
  readonly checks: readonly Check[];
  /** When this counts as healthy, and who is told of a change (docs/health.md). */
  readonly health: {
    /** The newest good backup may be as old as this. */
    readonly maxAge: number;
    /** Bytes that the vault's disk must have left. */
    readonly minFree: number;
    /** Bytes that a live database's -wal may have. */
    readonly maxWal: number;
    /** A drill is overdue after this. */
    readonly drillEvery: number;
    readonly notify: UserCommand | undefined;
    readonly webhook: WebHook | undefined;
  };
  /** Where copies go that leave the machine (docs/offsite.md). */
  readonly offsite: {
    /** Remotes of rclone (`name:bucket/path`) or directories; none: nothing leaves. */
    readonly remotes: readonly string[];
    /** The directory below the remote; undefined: the vault's name. */
    readonly env: string | undefined;
    /** age public keys; none: in the clear. */
    readonly recipients: readonly string[];
    /** A copy in the clear may hold what looks like secrets. */
    readonly allowPlaintext: boolean;
    /** rclone's --bwlimit. */
    readonly bwlimit: string | undefined;
    /** A transfer ends that gets nowhere for this long. */
    readonly timeout: number;
    /** Saves go as well, not backups alone. */
    readonly saves: boolean;
    /** `backup now` sends the new backup off before it ends. */
    readonly afterBackup: boolean;
    /** Cora asks the remote to lock what it gets for this long; undefined: the bucket's own rule alone. */
    readonly lock: number | undefined;
    /** The file with SPACES_* keys, and rclone's configuration; undefined: the usual places. */
    readonly credentials: string | undefined;
    readonly rcloneConfig: string | undefined;
    /** What `ship --prune` keeps of the copies. */
    readonly retention: RulesSpec;
  };
  /** Phrases of the user's own for `cora say`, by what they ask for. */
  readonly phrases: { readonly [intent in 'save' | 'backup' | 'verify' | 'list' | 'size' | 'last' | 'health' | 'lost']?: readonly string[] };
  /** What clean-up keeps (docs/retention.md). */
  readonly retention: {
    /** Prune after each successful daily backup; undefined: where `cora init` set the project up. */
    readonly auto: boolean | undefined;
    readonly saves: RulesSpec;
    readonly backups: RulesSpec;
    readonly weekStarts: WeekdayName;
    /** Bytes that the vault may have; undefined: no limit. */
    readonly maxSize: number | undefined;
  };
  /** The pre-push hook. It reads these itself, in sh (hooks/pre-push), because it works without Node. */
  readonly hook: {
    readonly enabled: boolean;
    /** From this size on a file that goes out is named. */
    readonly warnSize: number;
    /** From this size on the push is stopped: bytes, `auto` (what the remote's host is known to refuse), or `off`. */
    readonly blockSize: number | 'auto' | 'off';
    /** How long a push waits for the save. */
    readonly budget: number;
    readonly onFailure: 'warn' | 'block';
    /** Shell patterns of branches whose pushes are not saved. */
    readonly skipBranches: readonly string[];
  };
};

type Partly<T> = { readonly [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : T[K] extends object ? Partly<T[K]> : Exclude<T[K], undefined> };

/** One file's part of the configuration: only the keys that it sets. */
export type PartialConfig = Partly<Config>;

/** What every project can make again (CORA-6). `scan.exclude_defaults = false` brings it in; `.git` never is. */
export const DEFAULT_EXCLUDES: readonly string[] = ['node_modules/', 'venv/', '.venv/', '__pycache__/'];

export const defaultConfig: Config = {
  name: undefined,
  vault: undefined,
  // The usual names; a log elsewhere is kept whole, which costs room and loses nothing.
  logs: ['*.log', 'logs/**'],
  // A log's last days, while a runaway log cannot make a backup useless by its size (CORA-5).
  logCap: 50_000_000,
  // What git hosts begin to refuse (CORA-7, CORA-9).
  largeFile: 50_000_000,
  // A plain copy is quick to put back, but costs the room twice.
  dbPlainMax: 2 * 1024 ** 3,
  scan: {
    exclude: [],
    excludeDefaults: true,
    // A mount inside a project is mostly a share or another disk, and may hang.
    oneFileSystem: true,
  },
  // A backup that a slip can delete is none.
  seal: 'auto',
  critical: {
    // What git never held and nobody can make again: an assistant's memory, and secrets.
    patterns: ['AI_WORK_LOG.md', 'AI_DISCUSSION_SPACE.md', 'BOOTUP.md', 'MVP_REQUIREMENTS.md', 'CLAUDE.md', 'AGENTS.md', '.env*'],
    // What only grows. The flag would stop any program that rewrites its file, so nothing else has it by default.
    appendOnly: ['AI_WORK_LOG.md', 'AI_DISCUSSION_SPACE.md'],
  },
  // Longer than the write of a healthy program, short enough for a save every 15 minutes.
  databases: { timeout: 30_000 },
  // Hooks and assistants ask often; four backups a day is what a disk bears for years.
  backup: { minAge: 6 * 3_600_000 },
  // What assistants still read whole; more is cut off or refused by them.
  rotate: { patterns: ['AI_WORK_LOG.md', 'AI_DISCUSSION_SPACE.md'], maxSize: 1 << 20, maxLines: 5000 },
  // A database may take its time to write out what it holds.
  restore: { stop: undefined, start: undefined, commandTimeout: 120_000 },
  artefacts: [],
  // DB-3: what a person waits for, and an hour's work.
  drill: { rto: 15 * 60_000, rpo: 3_600_000 },
  checks: [],
  // One night may be missed; a drill comes each quarter. A -wal is written back at 4 MB by itself: what is far beyond has a reader that never ends.
  health: {
    maxAge: 36 * 3_600_000,
    minFree: 1_000_000_000,
    maxWal: 256_000_000,
    drillEvery: 100 * 86_400_000,
    notify: undefined,
    webhook: undefined,
  },
  // A minute without a byte is no slow line but a dead one. Copies off-site are few and whole: more of them are kept than here.
  offsite: {
    remotes: [],
    env: undefined,
    recipients: [],
    allowPlaintext: false,
    bwlimit: undefined,
    timeout: 60_000,
    saves: false,
    afterBackup: true,
    lock: undefined,
    credentials: undefined,
    rcloneConfig: undefined,
    retention: 'atlas',
  },
  phrases: {},
  // What it replaced kept as much. Nothing is removed by itself until somebody said so; `cora init` does.
  retention: { auto: undefined, saves: 'cortex', backups: 'atlas', weekStarts: 'monday', maxSize: undefined },
  // Longer and people begin to type --no-verify.
  hook: { enabled: true, warnSize: 50_000_000, blockSize: 'auto', budget: 2000, onFailure: 'warn', skipBranches: [] },
};

/**
 * The defaults with each part laid over them in turn, the last one winning key by key.
 * A list replaces the list before it; it is not joined with it.
 */
export function mergeConfig(...parts: readonly PartialConfig[]): Config {
  let config = defaultConfig;
  for (const part of parts) {
    config = {
      ...config,
      ...part,
      scan: { ...config.scan, ...part.scan },
      critical: { ...config.critical, ...part.critical },
      databases: { ...config.databases, ...part.databases },
      backup: { ...config.backup, ...part.backup },
      rotate: { ...config.rotate, ...part.rotate },
      restore: { ...config.restore, ...part.restore },
      drill: { ...config.drill, ...part.drill },
      health: { ...config.health, ...part.health },
      offsite: { ...config.offsite, ...part.offsite },
      phrases: { ...config.phrases, ...part.phrases },
      retention: { ...config.retention, ...part.retention },
      hook: { ...config.hook, ...part.hook },
    };
  }
  return config;
}

/**
 * A part without the keys that decide where root writes and what it removes: for a file that another user owns when we
 * run as root. `dropped` names those that were set, for a warning.
 */
export function withoutPrivilegedKeys(part: PartialConfig): { readonly part: PartialConfig; readonly dropped: readonly string[] } {
  // Where copies go, and who can read them, is root's to say.
  const { vault, retention, offsite, ...rest } = part;
  const { saves, backups, maxSize, ...harmless } = retention ?? {};
  const dropped = Object.entries({ vault, offsite, 'retention.saves': saves, 'retention.backups': backups, 'retention.max_size': maxSize });
  const names = dropped.filter(([, value]) => value !== undefined).map(([name]) => name);
  const isForeign = saves !== undefined || backups !== undefined || maxSize !== undefined;
  // Rules that are not followed may have kept more than the default: then nothing is removed by itself.
  const kept = retention === undefined ? {} : { retention: isForeign ? { ...harmless, auto: false } : harmless };
  return { part: { ...rest, ...kept }, dropped: names };
}

/**
 * Reads the text of one configuration file.
 * @param text TOML, decoded as UTF-8
 * @param source the file's name for messages
 * @throws CoraError config_invalid, naming the line or the key (and the nearest known key)
 */
export async function parseConfig(text: string, source: string): Promise<PartialConfig> {
  const { parseConfigFile } = await import('./config-file.ts');
  return parseConfigFile(text, source);
}
