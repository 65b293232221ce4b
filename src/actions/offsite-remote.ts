// A remote as ship, recover and status use it: what the configuration names, with its keys, found there, and its copies listed.
// Invariant: what a remote says is never taken for more than it is: a listing that fails is an error, not an empty remote.

import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import type { Config } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { COMPLETE, COMPLETE_MOST, type Complete, copyDirectory, parseComplete } from '../format/complete.ts';
import { type CredentialPlaces, type Credentials, readCredentials } from '../os/credentials.ts';
import { readTextIfThere, tryRemove } from '../os/files.ts';
import { RCLONE_EXIT, type Rclone, type RcloneResult, rclone } from '../os/rclone.ts';
import { localDirectoryOf } from '../os/rclone-places.ts';

/** What says where copies go. */
export type OffsiteSetup = {
  readonly config: Config['offsite'];
  readonly places: CredentialPlaces;
};

export type Remote = {
  /** As it was configured or typed: the name under which it is recorded. */
  readonly name: string;
  /** What rclone gets: `spaces:cora-backups`, or an absolute path. */
  readonly base: string;
  /** rclone's type: `local`, `s3`, `webdav`, `sftp`, `crypt`, ... */
  readonly type: string;
  readonly rclone: Rclone;
  readonly credentials: Credentials;
};

/** A copy that its marker says is whole. */
export type RemoteCopy = {
  /** Below the remote: `prod/2026-11-21/<id>`. */
  readonly directory: string;
  readonly complete: Complete;
  /** sha256 of COMPLETE.json. */
  readonly sha256: string;
};

export type RemoteCopies = {
  readonly copies: readonly RemoteCopy[];
  /** Markers that cannot be read: their directories do not count. */
  readonly damaged: readonly { readonly directory: string; readonly reason: string }[];
};

/** The remotes that are configured, each place once, or the one that SPACES_* and BACKUP_BUCKET name. */
export function remotesOf({ config, places }: OffsiteSetup): readonly string[] {
  const { remotes } = config;
  if (remotes.length > 0) return remotes.filter((name, index) => remotes.findIndex((one) => isSamePlace(one, name, places.home)) === index);
  const { defaultRemote } = remoteSettings({ config, places });
  return defaultRemote === undefined ? [] : [defaultRemote];
}

/** Whether two names say the same place in other words: `~/nas`, `/home/me/nas/`. By their text alone. */
export function isSamePlace(one: string, other: string, home: string | undefined): boolean {
  return baseOf(one, home) === baseOf(other, home);
}

/** What was typed, under the name that the configuration has for it: copies are recorded by name. */
export function configuredName({ config, places }: OffsiteSetup, typed: string): string {
  return config.remotes.find((name) => isSamePlace(name, typed, places.home)) ?? typed;
}

/** Keys and rclone's configuration of a set-up, without asking rclone. @throws CoraError config_invalid */
export function remoteSettings({ config, places }: OffsiteSetup): Credentials {
  return readCredentials(expanded(config, places), places);
}

/** The directory of this machine that a remote leads to, by its name or rclone's configuration; undefined where it leads elsewhere. */
export function directoryOf(setup: OffsiteSetup, name: string): string | undefined {
  const { rcloneConfig } = remoteSettings(setup);
  return localDirectoryOf(name, (rcloneConfig === undefined ? undefined : readTextIfThere(rcloneConfig)) ?? '', setup.places.home);
}

/**
 * @param name as configured; `typed`: by a person, who may not give a connection string
 * @throws CoraError usage, config_invalid, tool_missing, remote_failed where rclone knows no such remote
 */
export async function openRemote(setup: OffsiteSetup, name: string, from: 'configured' | 'typed', ctx: Context): Promise<Remote> {
  if (from === 'typed' && !setup.config.remotes.includes(name)) requirePlain(name);
  const credentials = remoteSettings(setup);
  for (const warning of credentials.warnings.filter((one) => isNew(ctx, one)))
    ctx.monitor.problem({ code: 'credentials_shared', message: warning, severity: 'warning' });
  const access: Rclone = { credentials, timeout: setup.config.timeout, bwlimit: setup.config.bwlimit, signal: ctx.signal };
  const base = baseOf(name, setup.places.home);
  return { name, base, type: await typeOf(base, access, credentials), rclone: access, credentials };
}

const SAID = new WeakMap<Context['monitor'], Set<string>>();

/** Several remotes read the same files: what is wrong with them is said once. */
function isNew({ monitor }: Context, warning: string): boolean {
  const said = SAID.get(monitor) ?? new Set();
  SAID.set(monitor, said);
  if (said.has(warning)) return false;
  said.add(warning);
  return true;
}

function expanded(config: Config['offsite'], { home }: CredentialPlaces) {
  const absolute = (path: string | undefined) => (path?.startsWith('~/') === true ? `${home ?? ''}/${path.slice(2)}` : path);
  return { credentials: absolute(config.credentials), rcloneConfig: absolute(config.rcloneConfig) };
}

function requirePlain(name: string): void {
  if (name.startsWith(':') || /^[^/]*,[^/]*:/.test(name)) {
    throw new CoraError('usage', `${name} is a connection string; name a remote of rclone's configuration instead`, { hint: 'rclone config' });
  }
  if (!/^(\/|~\/|[A-Za-z0-9_][^/]*:)/.test(name)) {
    throw new CoraError('usage', `${name} is no remote`, { hint: 'write it as name:bucket/path or as an absolute path' });
  }
}

function baseOf(name: string, home: string | undefined): string {
  if (name.startsWith('~/')) return baseOf(`${home ?? ''}/${name.slice(2)}`, home);
  const trimmed = name.startsWith('/') ? normalize(name) : name;
  return trimmed.length > 1 ? trimmed.replace(/([^:])\/+$/, '$1') : trimmed;
}

async function typeOf(base: string, access: Rclone, { rcloneConfig }: Credentials): Promise<string> {
  if (base.startsWith('/')) return 'local';
  if (base.startsWith(':')) return base.slice(1, base.search(/[,:]/) > 0 ? base.slice(1).search(/[,:]/) + 1 : undefined);
  const label = base.slice(0, base.search(/[,:]/));
  const result = await rclone(access, ['listremotes', '--long']);
  if (result.exitCode !== 0) throw failure(base, 'its configuration cannot be read', result);
  for (const line of result.stdout.toString().split('\n')) {
    const match = /^(.*?):\s*(\S+)\s*$/.exec(line);
    if (match?.[1]?.toLowerCase() === label.toLowerCase()) return match[2] ?? '';
  }
  throw new CoraError('remote_failed', `rclone knows no remote named ${label}`, {
    hint:
      rcloneConfig === undefined
        ? 'make ~/.config/rclone/rclone.conf (rclone config), or /etc/cora/backup.env with SPACES_* for the remote spaces'
        : 'rclone config',
  });
}

/** A path below the remote. */
export function below(remote: Pick<Remote, 'base'>, path: string): string {
  if (path === '') return remote.base;
  return /[:/]$/.test(remote.base) ? `${remote.base}${path}` : `${remote.base}/${path}`;
}

/**
 * Looks whether the bucket, or the directory that was named, is there: it is never made, because a slip or an unmounted disk looks the same.
 * @throws CoraError remote_missing, remote_failed
 */
export async function requireThere(remote: Remote): Promise<void> {
  const result = await rclone(remote.rclone, ['lsf', '--max-depth=1', '--dirs-only', '--', isBucket(remote) ? bucketOf(remote.base) : remote.base]);
  if (result.exitCode === 0) return;
  if (result.exitCode === RCLONE_EXIT.directoryNotFound) {
    throw new CoraError(
      'remote_missing',
      `${remote.name} is not there: ${isBucket(remote) ? 'the bucket does not exist' : 'the directory does not exist, or its disk is not mounted'}`,
      {
        hint: isBucket(remote)
          ? 'make the bucket at your provider, or correct offsite.remote'
          : 'mount it, make it (mkdir), or correct offsite.remote',
      },
    );
  }
  throw failure(remote.name, 'cannot be reached', result);
}

/** Backends whose first path component is a container that has to exist (https://rclone.org/overview/). */
export function isBucket({ type }: Pick<Remote, 'type'>): boolean {
  return ['s3', 'b2', 'google cloud storage', 'azureblob', 'swift', 'oracleobjectstorage', 'qingstor', 'storj'].includes(type);
}

function bucketOf(base: string): string {
  return /^[^:]*:[^/]*/.exec(base)?.[0] ?? base;
}

/**
 * Every object below a directory of the remote, with its bytes; empty where the directory does not exist.
 * @throws CoraError remote_failed
 */
export async function listObjects(remote: Remote, directory: string): Promise<Map<string, number>> {
  const result = await rclone(remote.rclone, [
    'lsjson',
    '-R',
    '--files-only',
    '--no-modtime',
    '--no-mimetype',
    '--fast-list',
    '--',
    below(remote, directory),
  ]);
  if (result.exitCode === RCLONE_EXIT.directoryNotFound) return new Map();
  if (result.exitCode !== 0) throw failure(remote.name, 'cannot be listed', result);
  const rows = JSON.parse(result.stdout.toString() || '[]') as readonly { readonly Path: string; readonly Size: number }[];
  return new Map(rows.map(({ Path, Size }) => [Path, Size]));
}

/**
 * The copies at a remote, oldest first, from their markers alone.
 * @param env of one; undefined: all that lie below the remote
 * @throws CoraError remote_failed
 */
export async function listCopies(remote: Remote, env: string | undefined): Promise<RemoteCopies> {
  const scratch = mkdtempSync(join(tmpdir(), 'cora-markers-'));
  try {
    const depth = env === undefined ? '/*' : '';
    const included = [`--include=${depth}/[0-9]*/*/${COMPLETE}`, `--include=${depth}/progress/[0-9]*/*/${COMPLETE}`];
    const from = below(remote, env ?? '');
    // Whoever may write there must not fill our disk; what is too large is named all the same.
    const [result, oversized] = await Promise.all([
      rclone(remote.rclone, ['copy', '--fast-list', '--transfers=16', `--max-size=${COMPLETE_MOST}b`, ...included, '--', from, scratch], {
        retries: 2,
      }),
      rclone(remote.rclone, ['lsf', '-R', '--files-only', '--fast-list', `--min-size=${COMPLETE_MOST + 1}b`, ...included, '--', from]),
    ]);
    if (result.exitCode === RCLONE_EXIT.directoryNotFound) return { copies: [], damaged: [] };
    for (const one of [result, oversized]) if (one.exitCode !== 0) throw failure(remote.name, 'cannot be listed', one);
    const prefix = env === undefined ? '' : `${env}/`;
    const { copies, damaged } = readMarkers(scratch, prefix);
    return { copies, damaged: [...damaged, ...tooLarge(oversized.stdout.toString(), prefix)] };
  } finally {
    tryRemove(scratch);
  }
}

function tooLarge(listing: string, prefix: string): { directory: string; reason: string }[] {
  return listing.split('\n').flatMap((name) => {
    if (!name.endsWith(`/${COMPLETE}`)) return [];
    return { directory: `${prefix}${name.slice(0, -COMPLETE.length - 1)}`, reason: `${COMPLETE} has more bytes than a marker` };
  });
}

function readMarkers(scratch: string, prefix: string): RemoteCopies {
  const copies: RemoteCopy[] = [];
  const damaged: { directory: string; reason: string }[] = [];
  for (const name of readdirSync(scratch, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith(`/${COMPLETE}`)) continue;
    const directory = `${prefix}${name.slice(0, -COMPLETE.length - 1)}`;
    try {
      const text = readFileSync(`${scratch}/${name}`);
      const complete = parseComplete(text.toString(), `${directory}/${COMPLETE}`);
      if (copyDirectory(complete.env, complete.kind, complete.snapshot_id) !== directory) {
        throw new CoraError('damaged', `${directory}/${COMPLETE} belongs to another directory`);
      }
      copies.push({ directory, complete, sha256: createHash('sha256').update(text).digest('hex') });
    } catch (error) {
      damaged.push({ directory, reason: messageOf(error) });
    }
  }
  copies.sort((a, b) => (a.complete.backup_start < b.complete.backup_start ? -1 : 1));
  return { copies, damaged };
}

/** The sentence of a call that failed: what, and the most telling thing that rclone said. */
export function failure(what: string, verb: string, result: RcloneResult): CoraError {
  const said = result.timedOut ? 'it did not answer in time' : whyOf(result.errors);
  return new CoraError('remote_failed', `${what} ${verb}: ${said}`, {
    hint: hintOf(said),
    details: { rclone_exit: result.exitCode, errors: [...result.errors] },
  });
}

function whyOf(errors: readonly string[]): string {
  const telling = errors.find((line) =>
    /SignatureDoesNotMatch|InvalidAccessKey|AccessDenied|Forbidden|Unauthorized|no space|quota|NoSuchBucket|refused|timeout|no such host/i.test(line),
  );
  return (telling ?? errors.at(-1) ?? 'rclone ended without a word').split('\n')[0]?.slice(0, 300) ?? '';
}

function hintOf(said: string): string {
  if (/SignatureDoesNotMatch|InvalidAccessKey|AccessDenied|Forbidden|Unauthorized|unable to authenticate|\b40[13]\b/i.test(said))
    return 'correct the keys (docs/offsite.md), then cora ship';
  if (/NoSuchBucket|\b404\b/i.test(said)) return 'make the bucket at your provider, or correct offsite.remote';
  if (/no space|quota|too big|\b507\b/i.test(said)) return 'free space at the remote (cora ship --prune), then cora ship';
  return 'the local backup is not touched; cora ship tries again';
}
