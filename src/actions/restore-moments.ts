// Parts of one application's data that a restore would leave at different moments: databases without their
// vector store, or the other way round; and a server's database, which only its own command can bring back. Pure.

import { type Bytes, fromText, printable, toText } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import type { Report } from '../format/report.ts';
import type { RestorePlan } from './restore-plan.ts';

/** Sentences for a person, one a directory or server; none where everything goes together. */
export function momentsApart(plan: Pick<RestorePlan, 'id' | 'changes' | 'work'>, { artefacts }: Pick<Config, 'artefacts'>): string[] {
  const { report } = plan.work;
  const restored = plan.changes.map(({ path }) => path);
  const named = artefacts.flatMap(({ kind, path }) => (kind === 'directory' && path !== undefined ? [path] : []));
  const directories = new Set<Bytes>([...report.units.map(({ path }) => fromText(path)), ...named]);
  const databases = report.databases.map(({ path }) => fromText(path));
  const shown = (paths: readonly Bytes[]) => [...paths.slice(0, 3).map(printable), ...(paths.length > 3 ? ['...'] : [])].join(', ');
  const servers = artefacts.filter(({ name, restore }) => plan.work.whole && restore !== undefined && holds(report, name));
  const stays = servers.map(({ name }) => `The artefact ${name} stays as it is; to bring it back too: cora artefact restore ${name} ${plan.id}`);
  const apart = [...directories].flatMap((directory) => {
    if (directory === '.') return [];
    const isInside = (path: Bytes) => path.startsWith(`${directory}/`);
    const others = databases.filter((path) => !isInside(path));
    const back = others.filter((path) => restored.includes(path));
    const stay = others.filter((path) => !restored.includes(path));
    const comes = restored.some(isInside);
    const name = printable(toText(directory));
    if (!comes && back.length > 0)
      return [`${shown(back)} becomes what it was in ${plan.id}, and ${name}/ stays as it is: they are of different moments`];
    if (comes && back.length === 0 && stay.length > 0)
      return [`${name}/ becomes what it was in ${plan.id}, and ${shown(stay)} stays as it is: they are of different moments`];
    return [];
  });
  return [...apart, ...stays];
}

function holds({ artefacts }: Report, name: string): boolean {
  return artefacts?.some((one) => one.name === name && one.captured_at !== null) === true;
}
