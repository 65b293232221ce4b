// Whether a path is saved, and by which rule it is or is not: the same rules, in the same order, that a save walks by
// (source/walk.ts). Nothing is changed and no link is followed.

import { accessSync, constants, lstatSync, readlinkSync, type Stats } from 'node:fs';
import { ARTEFACTS, isArtefactPath } from '../base/artefact.ts';
import { type Bytes, basenameBytes, bytes, fromText, joinBytes, printable } from '../base/bytes.ts';
import { DEFAULT_EXCLUDES } from '../base/config.ts';
import { errnoOf } from '../base/errors.ts';
import { readTextIfThere } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { decidingPattern } from '../source/patterns.ts';
import { isNeverSaved } from '../source/walk.ts';
import { protectedPaths } from '../vault/append-only.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import type { History, ListingDamage } from '../vault/history.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import { isLeftOut } from './artefact-dumps.ts';
import { newestOf } from './log.ts';
import type { ProjectFacts } from './open-project.ts';
import { historyOf, type Version, versionsOf } from './path-history.ts';
import { candidatePaths } from './restore-word.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';

/** A rule of the configuration, where it was found. */
export type Rule = { readonly key: string; readonly pattern: string; readonly file: string | undefined; readonly line: number | undefined };

export type Reason =
  | 'saved'
  | 'never'
  | 'excluded_by_default'
  | 'excluded'
  | 'other_file_system'
  | 'behind_link'
  | 'optional_artefact'
  | 'database_companion'
  | 'unreadable'
  | 'special'
  | 'vault'
  | 'outside';

export type WhyResult = {
  readonly path: Bytes;
  /** What stands there now; undefined where nothing does. */
  readonly live: 'file' | 'directory' | 'link' | 'special' | undefined;
  /** What the next save would do with it, were it there. */
  readonly isSaved: boolean;
  readonly reason: Reason;
  /** The path itself, or the directory above it that decides. */
  readonly decidedBy: Bytes;
  readonly sentence: string;
  readonly rule: Rule | undefined;
  /** What else the configuration says of it. */
  readonly critical: Rule | undefined;
  readonly log: Rule | undefined;
  /** In a backup's archive only its newest part is kept. */
  readonly isCapped: boolean;
  readonly isDatabase: boolean;
  /** `cora protect` made it append-only. */
  readonly isAppendOnly: boolean;
  readonly last: Version | undefined;
  /** The newest snapshot has it. */
  readonly isInNewest: boolean;
  /** By size and time; undefined where that tells nothing (a database, a directory, nothing there). */
  readonly changedSince: boolean | undefined;
  readonly newest: SnapshotRef | undefined;
  readonly damaged: readonly ListingDamage[];
};

type Verdict = { readonly reason: Reason; readonly decidedBy: Bytes; readonly sentence: string; readonly rule?: Rule };

/**
 * @param word as it was typed; @param absolute seen from where the command runs
 * @param home of the user, for the machine's configuration file
 * @throws CoraError vault_missing
 */
export async function why(project: ProjectFacts, location: VaultLocation, word: Bytes, absolute: Bytes): Promise<WhyResult> {
  const vault = openLocated(location);
  requireOwn(vault, project);
  const history = await historyOf(vault);
  const path = meantPath(project.root, history, word, absolute);
  const stat = path === undefined ? undefined : lstatOf(joinBytes(project.root, path));
  const versions = path === undefined ? [] : versionsOf(history, path);
  const last = versions.at(-1);
  const isDirectory = stat?.isDirectory() ?? (last?.entry.type === 'd' || word.endsWith('/'));
  const verdict = path === undefined ? outside(absolute, fromText(vault.root)) : judge(project, path, isDirectory);
  const shown = path ?? absolute;
  const isFile = stat?.isFile() ?? !isDirectory;
  const isDatabase = stat?.isFile() === true && hasSqliteHeader(joinBytes(project.root, shown));
  const log = path === undefined || !isFile ? undefined : ruleOf(project, 'logs', project.config.logs, path, false);
  const critical = path === undefined || !isFile ? undefined : ruleOf(project, 'critical.patterns', project.config.critical.patterns, path, false);
  const newest = newestOf(history);
  return {
    path: shown,
    live: stat === undefined ? undefined : stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'special',
    isSaved: verdict.reason === 'saved' || verdict.reason === 'special',
    reason: verdict.reason,
    decidedBy: verdict.decidedBy,
    sentence: verdict.sentence,
    rule: verdict.rule,
    critical,
    log,
    isCapped: log !== undefined && critical === undefined && (stat?.size ?? 0) > project.config.logCap,
    isDatabase,
    isAppendOnly: path !== undefined && protectedPaths(vault).includes(path),
    last,
    isInNewest: last !== undefined && last.last.id === newest?.id,
    changedSince: isDatabase ? undefined : changedSince(joinBytes(project.root, shown), stat, last),
    newest,
    damaged: history.damaged,
  };
}

/** What is there now is meant first, then what ever was; undefined for what lies outside of the project. */
function meantPath(root: Bytes, history: History, word: Bytes, absolute: Bytes): Bytes | undefined {
  const candidates = candidatePaths(root, word, absolute).filter((one) => !/(?:^|\/)\.\.(?:\/|$)/.test(one));
  return (
    candidates.find((one) => lstatOf(joinBytes(root, one)) !== undefined) ??
    candidates.find((one) => versionsOf(history, one).length > 0) ??
    candidates[0]
  );
}

function lstatOf(path: Bytes): Stats | undefined {
  try {
    return onPath(path, (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
  } catch (error) {
    // Above it is a file, or a directory that may not be looked into: then nothing is known of it.
    if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'EACCES' || errnoOf(error) === 'ELOOP') return undefined;
    throw error;
  }
}

function outside(absolute: Bytes, vault: Bytes): Verdict {
  const isVault = absolute === vault || absolute.startsWith(`${vault}/`);
  return {
    reason: isVault ? 'vault' : 'outside',
    decidedBy: absolute,
    sentence: isVault ? 'it lies in the vault itself' : 'it lies outside of the project',
  };
}

/** From the project down: the first directory that is not entered decides. */
function judge(project: ProjectFacts, path: Bytes, isDirectory: boolean): Verdict {
  const { config, root } = project;
  const device = lstatOf(root)?.dev;
  const defaults = new Set(config.scan.excludeDefaults ? DEFAULT_EXCLUDES.map((name) => name.replace(/\/$/, '')) : []);
  if (isArtefactPath(path))
    return { reason: 'never', decidedBy: bytes(ARTEFACTS), sentence: `${ARTEFACTS} is where snapshots keep the outputs of commands` };
  for (let end = path.indexOf('/'); path !== '.'; end = path.indexOf('/', end + 1)) {
    const at = bytes(end < 0 ? path : path.slice(0, end));
    const name = basenameBytes(at);
    const stat = lstatOf(joinBytes(root, at));
    const isLast = end < 0;
    // Of what is not there a name like node_modules is meant as the directory.
    const isDir = stat?.isDirectory() ?? (!isLast || isDirectory || defaults.has(name));
    if (isNeverSaved(name)) return { reason: 'never', decidedBy: at, sentence: neverSentence(name) };
    if (isDir && defaults.has(name)) {
      return {
        reason: 'excluded_by_default',
        decidedBy: at,
        sentence: `directories named ${printable(name)} can be made again (scan.exclude_defaults = false brings them in)`,
      };
    }
    const artefact = config.artefacts.find((one) => one.path === at && isLeftOut(one, {}));
    if (artefact !== undefined)
      return {
        reason: 'optional_artefact',
        decidedBy: at,
        sentence: `it is the optional artefact ${artefact.name} (cora save --with ${artefact.name} takes it)`,
      };
    const rule = ruleOf(project, 'scan.exclude', config.scan.exclude, at, isDir);
    if (rule !== undefined)
      return { reason: 'excluded', decidedBy: at, sentence: `${printable(at)} matches ${printable(rule.pattern)} in scan.exclude`, rule };
    if (!isLast && stat?.isSymbolicLink() === true) {
      return {
        reason: 'behind_link',
        decidedBy: at,
        sentence: `${printable(at)} is a symbolic link to ${printable(targetOf(joinBytes(root, at)))}: the link is saved, not what is behind it`,
      };
    }
    if (!isLast && isDir && stat !== undefined && config.scan.oneFileSystem && stat.dev !== device) {
      return {
        reason: 'other_file_system',
        decidedBy: at,
        sentence: `${printable(at)} is another file system (scan.one_file_system = false brings it in)`,
      };
    }
    if (isLast) return judgeItself(root, at, stat);
  }
  return { reason: 'saved', decidedBy: path, sentence: 'no rule leaves it out' };
}

function judgeItself(root: Bytes, path: Bytes, stat: Stats | undefined): Verdict {
  const full = joinBytes(root, path);
  const base = path.replace(/-(?:wal|shm|journal)$/, '');
  if (base !== path && (stat === undefined || stat.isFile()) && hasSqliteHeader(joinBytes(root, base))) {
    return {
      reason: 'database_companion',
      decidedBy: path,
      sentence: `it is a part of the database ${printable(base)}, whose copy holds what is in it`,
    };
  }
  if (stat !== undefined && !stat.isFile() && !stat.isDirectory() && !stat.isSymbolicLink()) {
    return { reason: 'special', decidedBy: path, sentence: 'a FIFO, socket or device is recorded; it has no content' };
  }
  if (stat?.isSymbolicLink() !== true && stat !== undefined && !isReadable(full, stat.isDirectory())) {
    return { reason: 'unreadable', decidedBy: path, sentence: 'whoever runs this may not read it' };
  }
  return { reason: 'saved', decidedBy: path, sentence: 'no rule leaves it out' };
}

function isReadable(path: Bytes, isDirectory: boolean): boolean {
  try {
    onPath(path, (reachable) => accessSync(reachable, isDirectory ? constants.R_OK | constants.X_OK : constants.R_OK));
    return true;
  } catch {
    return false;
  }
}

function targetOf(path: Bytes): Bytes {
  return bytes(onPath(path, (reachable) => readlinkSync(reachable, { encoding: 'latin1' })));
}

function neverSentence(name: Bytes): string {
  if (name === '.git') return "git's own directory is not saved as files; backups hold a bundle of what no remote has (cora show)";
  return `${printable(name)} is Cora's own`;
}

/** The pattern that decides, and the line of the configuration where it stands. */
function ruleOf(project: ProjectFacts, key: string, patterns: readonly string[], path: Bytes, isDirectory: boolean): Rule | undefined {
  const pattern = decidingPattern(patterns, path, isDirectory);
  if (pattern === undefined) return undefined;
  // The machine's file wins over the project's, and a list replaces the list before it.
  for (const { path: file } of Object.values(project.owners ?? {}).toReversed()) {
    const line = lineOf(file, key.split('.').at(-1) ?? key, pattern);
    if (line !== undefined) return { key, pattern, file, line };
  }
  return { key, pattern, file: undefined, line: undefined };
}

/** The first line, from the one of the key on, that has the pattern as a string of TOML. */
function lineOf(file: string, key: string, pattern: string): number | undefined {
  let text: string | undefined;
  try {
    text = readTextIfThere(file);
  } catch {
    return undefined;
  }
  const lines = text?.split('\n') ?? [];
  const from = lines.findIndex((line) => new RegExp(`^\\s*(?:\\w+\\.)*${key}\\s*=`).test(line));
  if (from < 0) return undefined;
  const at = lines.findIndex((line, index) => index >= from && (line.includes(JSON.stringify(pattern)) || line.includes(`'${pattern}'`)));
  return at < 0 ? undefined : at + 1;
}

function changedSince(path: Bytes, stat: Stats | undefined, last: Version | undefined): boolean | undefined {
  if (stat?.isFile() !== true || last === undefined) return undefined;
  const { type, size, mtime } = last.entry;
  if (type !== 'f' && type !== 'S' && type !== 'h') return true;
  const exact = onPath(path, (reachable) => lstatSync(reachable, { bigint: true, throwIfNoEntry: false }));
  return exact === undefined || Number(exact.size) !== size || exact.mtimeNs !== mtime;
}
