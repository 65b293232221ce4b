// What stands in the project and is not in a snapshot: what `--delete` moves aside. Excluded paths are no
// extras, and a database's own `-wal` and `-shm` go with their database, never alone.

import { type Bytes, bytes, fromText, joinBytes, printable } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { Entry } from '../format/file-list.ts';
import type { Report } from '../format/report.ts';
import { mountPointsBelow } from '../os/mounts.ts';
import { scanProject } from './capture.ts';
import type { ProjectFacts } from './open-project.ts';
import { hasSqliteHeader } from './sqlite-probe.ts';

const SIDECAR = /-(?:wal|shm|journal)$/;

/** @param paths what the restore is limited to; empty for everything */
export function findExtras(project: ProjectFacts, snapshot: readonly Entry[], report: Report, paths: readonly Bytes[], ctx: Context): Bytes[] {
  // What was there and was left out (an artefact, a rule of that time) says nothing of what is there now.
  const left = report.not_covered.map(({ path }) => fromText(path));
  const leftOut = (path: Bytes): boolean => left.some((one) => path === one || path.startsWith(`${one}/`));
  const held = new Set<Bytes>(snapshot.map(({ path }) => path));
  const under = (path: Bytes): boolean =>
    paths.length === 0 || paths.some((wanted) => wanted === '.' || path === wanted || path.startsWith(`${wanted}/`));
  const { scan } = scanProject(project.root, project.config, undefined, -1, ctx);
  const extras = scan.paths.filter(
    (path) => path !== '.' && under(path) && !leftOut(path) && !held.has(path) && !held.has(bytes(path.replace(SIDECAR, ''))),
  );
  return withoutMounts(project.root, extras, ctx);
}

/** What something is mounted on cannot be moved, nor can what holds it; what lies in it can. */
function withoutMounts(root: Bytes, extras: readonly Bytes[], ctx: Context): Bytes[] {
  const staying = new Set<Bytes>();
  const wanted = new Set<Bytes>(extras);
  for (const mount of mountPointsBelow(root)) {
    const held = extras.filter((path) => path === mount || mount.startsWith(`${path}/`));
    for (const path of held) staying.add(path);
    if (wanted.has(mount)) ctx.monitor.note(`${printable(mount)} is not in the snapshot and stays: something is mounted there`);
    else if (held.length > 0)
      ctx.monitor.note(`${printable(held.at(-1) ?? mount)} is not in the snapshot and stays: it holds the mount point ${printable(mount)}`);
  }
  return extras.filter((path) => !staying.has(path));
}

/** Which extras are databases, whatever their names: a program may have them open. */
export function databasesAmong(root: Bytes, extras: readonly Bytes[]): Bytes[] {
  return extras.filter((path) => hasSqliteHeader(joinBytes(root, path)));
}
