// What stands in the project and is not in a snapshot: what `--delete` moves aside. Excluded paths are no
// extras, and a database's own `-wal` and `-shm` go with their database, never alone.

import { type Bytes, bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { Entry } from '../format/file-list.ts';
import { scanProject } from './capture.ts';
import type { ProjectFacts } from './open-project.ts';

const SIDECAR = /-(?:wal|shm|journal)$/;

/** @param paths what the restore is limited to; empty for everything */
export function findExtras(project: ProjectFacts, snapshot: readonly Entry[], paths: readonly Bytes[], ctx: Context): Bytes[] {
  const held = new Set<Bytes>(snapshot.map(({ path }) => path));
  const under = (path: Bytes): boolean =>
    paths.length === 0 || paths.some((wanted) => wanted === '.' || path === wanted || path.startsWith(`${wanted}/`));
  const { scan } = scanProject(project.root, project.config, undefined, -1, ctx);
  return scan.paths.filter((path) => path !== '.' && under(path) && !held.has(path) && !held.has(bytes(path.replace(SIDECAR, ''))));
}
