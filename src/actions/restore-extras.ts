// What stands in the project and is not in a snapshot: what `--delete` moves aside. Excluded paths are no
// extras, and a database's own `-wal` and `-shm` go with their database, never alone.

import { type Bytes, bytes, fromText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { Entry } from '../format/file-list.ts';
import type { Report } from '../format/report.ts';
import { scanProject } from './capture.ts';
import type { ProjectFacts } from './open-project.ts';

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
  return scan.paths.filter((path) => path !== '.' && under(path) && !leftOut(path) && !held.has(path) && !held.has(bytes(path.replace(SIDECAR, ''))));
}
