// Named artefacts in a capture: what of the project is left out this time, which directories are read under
// their application's lock, which rows the snapshot has besides the project's, and what the report says.
// Invariant: a directory with a lock is never read without it; where it is not to be had, it is left out and named.

import { ARTEFACTS, type Artefact, artefactPath } from '../base/artefact.ts';
import { type Bytes, bytes, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { pathFields } from '../base/path-fields.ts';
import type { ArtefactReport, DatabaseReport } from '../format/report.ts';
import { S_IFDIR, S_IFREG, type Scan } from '../source/walk.ts';
import type { Tree } from '../store/stat-cache.ts';
import { type ArtefactRun, isLeftOut } from './artefact-dumps.ts';
import { lockDirectory } from './artefact-lock.ts';
import { type Scanned, scanProject } from './capture.ts';
import type { ProjectFacts } from './open-project.ts';
import { isListed } from './tree-rows.ts';

/** The scan that a save is made of, and the locks that it holds. */
export type ArtefactScan = {
  readonly scanned: Scanned;
  readonly problems: readonly Problem[];
  /** Gives the locks back, and says what went wrong with that; safe to call twice. */
  readonly unlock: () => Promise<readonly Problem[]>;
};

/** What is carried from save to save, by name. */
type Carried = Readonly<Record<string, { readonly captured_at: string; readonly sha256: string }>>;

/** Scans the project, and once more under the locks of those directories that have changed. */
export async function scanWithArtefacts(
  project: ProjectFacts,
  old: Tree | undefined,
  rereadSlice: number,
  run: ArtefactRun,
  ctx: Context,
): Promise<ArtefactScan> {
  const { artefacts } = project.config;
  const scan = (omitted: ReadonlyMap<string, string>) =>
    scanProject(project.root, project.config, old, rereadSlice, ctx, { omitted, addRows: (found, before) => addRows(found, before, artefacts, run) });
  const omitted = new Map<string, string>();
  for (const one of artefacts) {
    if (one.path !== undefined && isLeftOut(one, run.choice)) omitted.set(one.path, leftOutBecause(one));
  }
  const first = scan(omitted);
  const problems: Problem[] = run.dumps.flatMap(({ problem }) => problem ?? []);
  const changed = artefacts.filter(
    (one) => needsLock(one) && one.path !== undefined && !omitted.has(one.path) && hasChanged(first, old, one.path, one.lock),
  );
  if (changed.length === 0) return { scanned: first, problems, unlock: async () => [] };

  const held: (() => Promise<Problem | undefined>)[] = [];
  const unlock = async () => {
    const found: Problem[] = [];
    for (const release of held.splice(0).toReversed()) {
      const problem = await release();
      if (problem !== undefined) found.push(problem);
    }
    return found;
  };
  try {
    for (const one of changed) {
      const lock = await lockDirectory(project, one, run.choice.host, ctx);
      if (lock.release !== undefined) held.push(lock.release);
      else {
        const path = one.path ?? bytes('');
        omitted.set(path, `the artefact ${one.name}: ${lock.why}`);
        const problem: Problem = {
          code: 'artefact_busy',
          ...pathFields(path),
          message: `The artefact ${one.name} is not in this snapshot: ${lock.why}`,
          severity: 'error',
        };
        problems.push(problem);
        ctx.monitor.problem(problem);
      }
    }
    return { scanned: scan(omitted), problems, unlock };
  } catch (error) {
    await unlock();
    throw error;
  }
}

const needsLock = ({ lock, lockCommand }: Artefact) => (lock ?? lockCommand) !== undefined;

function leftOutBecause({ name, optional }: Artefact): string {
  return optional ? `the optional artefact ${name} (--with ${name} takes it)` : `the artefact ${name}, left out with --without`;
}

const isBelow = (path: string, directory: string) => path === directory || path.startsWith(`${directory}/`);

/** Whether anything in a directory is not as the last save has it; its lock file alone, which may lie in it, says nothing. */
function hasChanged({ scan, diff }: Scanned, old: Tree | undefined, directory: string, lock: string | undefined): boolean {
  if (old === undefined) return true;
  if (diff.removedRows.some((row) => isBelow(old.paths[row] ?? '', directory))) return true;
  const read = new Set(diff.toRead);
  return scan.paths.some((path, row) => path !== lock && isBelow(path, directory) && (read.has(row) || (diff.oldRow[row] ?? -1) < 0));
}

/** The reserved directory and what commands gave: new outputs, and those of the last save that are not due again. */
function addRows(scan: Scan, old: Tree | undefined, artefacts: readonly Artefact[], run: ArtefactRun): void {
  const rows: (() => void)[] = [];
  for (const one of artefacts) {
    if (one.command === undefined || isLeftOut(one, run.choice)) continue;
    const path = artefactPath(one.name);
    const dump = run.dumps.find(({ artefact }) => artefact.name === one.name);
    const before = old === undefined ? -1 : old.paths.indexOf(path);
    if (dump?.file !== undefined) {
      const { file } = dump;
      rows.push(() => addRow(scan, path, { size: file.size, mode: S_IFREG | 0o600, time: Math.floor(Date.parse(dump.capturedAt)) }, file.path));
    } else if (dump === undefined && old !== undefined && before >= 0 && isListed(old, before)) {
      const [size, time, mode] = [old.size[before] ?? 0, old.mtimeMs[before] ?? 0, old.mode[before] ?? 0];
      rows.push(() => addRow(scan, path, { size, mode, time }, undefined));
    }
  }
  if (rows.length === 0) return;
  addRow(scan, bytes(ARTEFACTS), { size: 0, mode: S_IFDIR | 0o700, time: 0 }, undefined);
  for (const add of rows) add();
}

function addRow(
  scan: Scan,
  path: Bytes,
  facts: { readonly size: number; readonly mode: number; readonly time: number },
  content: Bytes | undefined,
): void {
  scan.virtual.set(scan.paths.length, content);
  scan.paths.push(path);
  scan.size.push(facts.size);
  scan.mtimeMs.push(facts.time);
  scan.ctimeMs.push(facts.time);
  scan.ino.push(0);
  scan.mode.push(facts.mode);
  // The project's owner: a restore as root must not give a dump to nobody in particular.
  scan.uid.push(scan.uid[0] ?? 0);
  scan.gid.push(scan.gid[0] ?? 0);
  scan.links.push(1);
  scan.blocks.push(Math.ceil(facts.size / 512));
  scan.device.push(0);
}

/** Where the tree's notes keep what the next save must know of outputs that it takes over. */
const NOTE = 'artefacts';

export type ArtefactOutcome = {
  readonly reports: readonly ArtefactReport[];
  readonly problems: readonly Problem[];
  readonly notes: Readonly<Record<string, unknown>>;
};

/** What the report says of each artefact, and problems of those that should be in the project and are not. */
export function describeArtefacts(
  project: ProjectFacts,
  run: ArtefactRun,
  found: { readonly tree: Tree; readonly old: Tree | undefined; readonly started: number },
  databases: readonly DatabaseReport[],
  known: readonly Problem[],
): ArtefactOutcome {
  const carried = (found.old?.notes[NOTE] ?? {}) as Carried;
  const notes: Record<string, Carried[string]> = {};
  // What the loss watch says is of the content, which was captured well.
  const broken = known.filter(({ severity, code }) => severity === 'error' && code !== 'lost');
  const reports: ArtefactReport[] = [];
  const problems: Problem[] = [];
  for (const one of project.config.artefacts) {
    if (isLeftOut(one, run.choice)) continue;
    const path = one.path ?? artefactPath(one.name);
    const rows = rowsAt(found.tree, path);
    const bytesOf = rows.reduce((sum, row) => sum + (found.tree.stored[row] ?? 0), 0);
    const first = rows[0];
    let error = broken.find((problem) => problem.path !== undefined && isBelow(problem.path, toText(path)))?.message;
    if (one.command === undefined) {
      if (error === undefined) {
        const missing = missingProblem(one, path, rows.length > 0, databases);
        if (missing !== undefined) problems.push(missing);
        error = missing?.message;
      }
      const capturedAt = new Date(found.started).toISOString();
      reports.push(
        report(one, path, bytesOf, first === undefined ? null : hashOfRow(found.tree, first), first === undefined ? null : capturedAt, error),
      );
      continue;
    }
    const dump = run.dumps.find(({ artefact }) => artefact.name === one.name);
    const fact = dump === undefined ? carried[one.name] : dump.file && { captured_at: dump.capturedAt, sha256: dump.file.sha256 };
    if (first === undefined || fact === undefined) {
      reports.push(report(one, path, 0, null, null, error ?? 'its command runs with backups, and has given nothing yet'));
      continue;
    }
    notes[one.name] = fact;
    reports.push(report(one, path, bytesOf, fact.sha256, fact.captured_at, error));
  }
  return { reports, problems, notes: reports.length === 0 ? {} : { [NOTE]: notes } };
}

function report(
  { name, kind }: Artefact,
  path: Bytes,
  size: number,
  sha256: string | null,
  capturedAt: string | null,
  error: string | undefined,
): ArtefactReport {
  return { name, kind, ...pathFields(path), bytes: size, sha256, captured_at: capturedAt, ok: error === undefined, error: error ?? null };
}

/** Listed regular files at or below a path. */
function rowsAt(tree: Tree, path: string): number[] {
  const rows: number[] = [];
  for (let row = 0; row < tree.count; row++) {
    if (isListed(tree, row) && ((tree.mode[row] ?? 0) & 0o170000) === S_IFREG && isBelow(tree.paths[row] ?? '', path)) rows.push(row);
  }
  return rows;
}

/** Of a file that is one object; null of one in pieces. */
function hashOfRow(tree: Tree, row: number): string | null {
  if ((tree.piece[row] ?? 0) > 0 || (tree.stored[row] ?? 0) === 0) return null;
  const at = (tree.first[row] ?? 0) * 32;
  return Buffer.from(tree.hashes.subarray(at, at + 32)).toString('hex');
}

const MISSING = {
  database: 'db_snapshot_missing',
  json: 'registry_snapshot_missing',
  directory: 'artefact_missing',
  command: 'artefact_missing',
} as const;

function missingProblem(one: Artefact, path: Bytes, there: boolean, databases: readonly DatabaseReport[]): Problem | undefined {
  const problem = (code: string, message: string): Problem => ({ code, ...pathFields(path), message, severity: 'error' });
  if (!there) return problem(MISSING[one.kind], `The artefact ${one.name} is not there`);
  const isKnown = databases.some((database) => database.path === toText(path));
  if (one.kind === 'database' && !isKnown)
    return problem('db_open_failed', `The artefact ${one.name} is no SQLite database; its bytes are stored as they are`);
  return undefined;
}
