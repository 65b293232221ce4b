// What a snapshot says of itself besides its listing: counts, critical and large files, databases,
// the machine. From the tree's columns; REPORT.json is made of it.

import { arch, hostname, release, type } from 'node:os';
import { type Bytes, bytes, toText } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import type { Context, Problem } from '../base/context.ts';
import type { ArtefactReport, BackupType, DatabaseReport, GitReport, LossReport, Report, SnapshotKind, UnitReport } from '../format/report.ts';
import { headCommit } from '../os/git.ts';
import type { Matcher } from '../source/patterns.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, type Scan } from '../source/walk.ts';
import { FLAG_DATABASE, FLAG_HARD_LINK, type Tree } from '../store/stat-cache.ts';
import { isListed } from './tree-rows.ts';

export type Described = {
  readonly dirs: number;
  readonly links: number;
  readonly specials: number;
  readonly files: number;
  readonly bytes: number;
  readonly critical: readonly string[];
  readonly criticalSizes: Readonly<Record<string, number>>;
  readonly largeFiles: readonly { readonly path: string; readonly size: number }[];
};

export function describeTree(tree: Tree, isCritical: Matcher, config: Config): Described {
  let dirs = 0;
  let links = 0;
  let specials = 0;
  let files = 0;
  let total = 0;
  const critical: string[] = [];
  const criticalSizes: Record<string, number> = {};
  const largeFiles: { path: string; size: number }[] = [];
  for (let row = 0; row < tree.count; row++) {
    if (!isListed(tree, row)) continue;
    const path = bytes(tree.paths[row] ?? '');
    switch ((tree.mode[row] ?? 0) & S_IFMT) {
      case S_IFDIR:
        dirs += 1;
        break;
      case S_IFLNK:
        links += 1;
        break;
      case S_IFREG: {
        files += 1;
        const size = tree.stored[row] ?? 0;
        if (((tree.flags[row] ?? 0) & FLAG_HARD_LINK) === 0) total += size;
        if (((tree.flags[row] ?? 0) & FLAG_DATABASE) !== 0 || isCritical(path, false)) {
          critical.push(toText(path));
          criticalSizes[toText(path)] = size;
        }
        if (size > config.largeFile) largeFiles.push({ path: toText(path), size });
        break;
      }
      default:
        specials += 1;
    }
  }
  largeFiles.sort((a, b) => b.size - a.size);
  return { dirs, links, specials, files, bytes: total, critical, criticalSizes, largeFiles };
}

/** Reports of databases by path, carried over from save to save in the tree's notes. */
export type DatabaseNotes = Readonly<Record<string, DatabaseReport>>;

export function databaseNotes(tree: Tree | undefined): DatabaseNotes {
  return (tree?.notes['databases'] ?? {}) as DatabaseNotes;
}

export function hostFacts(ctx: Context): Report['host'] {
  return { hostname: hostname(), os: type(), kernel: release(), arch: arch(), node: process.version, cora: ctx.version };
}

/** HEAD of the repository around the project; null outside git or before the first commit. */
export function gitFacts(root: Bytes): GitReport | null {
  const head = headCommit(root);
  return head === undefined ? null : { sha: head.sha, branch: head.branch, detached: head.detached, remotes: [] };
}

export type Identity = Pick<Report, 'snapshot_id' | 'sequence' | 'previous'>;

export type ReportFacts = {
  readonly kind: SnapshotKind;
  readonly type: BackupType;
  readonly vaultId: string;
  readonly project: { readonly root: Bytes; readonly name: string };
  readonly git: GitReport | null;
  readonly note: string | null;
  readonly label: string | null;
  readonly trigger: string;
  readonly started: number;
  readonly keyframe: string | null;
  readonly exportedFrom: string | null;
  readonly described: Described;
  readonly counts: { readonly filesNew: number; readonly filesChanged: number; readonly filesUnmodified: number; readonly filesRemoved: number };
  readonly added: number;
  readonly addedPacked: number;
  readonly databases: readonly DatabaseReport[];
  readonly units: readonly UnitReport[];
  readonly artefacts: readonly ArtefactReport[];
  readonly capped: Report['capped'];
  readonly notCovered: Scan['notCovered'];
  readonly attributesLost?: Report['attributes_lost'];
  readonly problems: readonly Problem[];
  readonly losses: readonly LossReport[];
};

/** At most this many left-out paths are listed; a project with more has a pattern that says why. */
const NOT_COVERED_MOST = 200;

export function makeReport(facts: ReportFacts, identity: Identity, ctx: Context): Report {
  const ended = ctx.now();
  return {
    schema: 1,
    kind: facts.kind,
    type: facts.type,
    ...identity,
    status: statusOf(facts),
    vault_id: facts.vaultId,
    project: { name: facts.project.name, root: toText(facts.project.root) },
    host: hostFacts(ctx),
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    git: facts.git,
    note: facts.note,
    label: facts.label,
    trigger: facts.trigger,
    backup_start: new Date(facts.started).toISOString(),
    backup_end: new Date(ended).toISOString(),
    keyframe: facts.keyframe,
    exported_from: facts.exportedFrom,
    files_new: facts.counts.filesNew,
    files_changed: facts.counts.filesChanged,
    files_unmodified: facts.counts.filesUnmodified,
    files_removed: facts.counts.filesRemoved,
    dirs: facts.described.dirs,
    links: facts.described.links,
    specials: facts.described.specials,
    data_added: facts.added,
    data_added_packed: facts.addedPacked,
    total_files_processed: facts.described.files,
    total_bytes_processed: facts.described.bytes,
    total_duration: Math.max(0, ended - facts.started) / 1000,
    databases: facts.databases,
    units: facts.units,
    ...(facts.artefacts.length === 0 ? {} : { artefacts: facts.artefacts }),
    critical: facts.described.critical,
    critical_sizes: facts.described.criticalSizes,
    large_files: facts.described.largeFiles,
    capped: facts.capped,
    not_covered: facts.notCovered.slice(0, NOT_COVERED_MOST),
    ...(facts.attributesLost === undefined ? {} : { attributes_lost: facts.attributesLost }),
    problems: facts.problems,
    losses: facts.losses,
  };
}

function statusOf({ losses, problems }: ReportFacts): Report['status'] {
  if (losses.length > 0) return 'suspect';
  return problems.some((problem) => problem.severity === 'error') ? 'partial' : 'complete';
}
