// What stands where a restore in place (or the way back) is about to write, saved first, and whether that save
// really holds it. Invariant: "is saved" is said of what was compared, and what is in no save stays beside.

import { type Bytes, joinBytes, toText } from '../base/bytes.ts';
import { type Context, type Problem, SILENT } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { type Entry, escapeField } from '../format/file-list.ts';
import { exists, writeNewFile } from '../os/files.ts';
import { listSnapshots, PRE_RESTORE, readReport } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { ProjectFacts } from './open-project.ts';
import { KEEP, type Move, type Run, runDirectories } from './restore-journal.ts';
import { lstatOf } from './restore-stage.ts';
import { save } from './save.ts';
import type { CommandHost } from './trust.ts';

/** Names of what is in no save that a message gives. */
const NAMED = 5;

/**
 * A save with the label that keeps it until a person deletes it.
 * @param note why
 * @throws CoraError io where it cannot be made; interrupted, locked
 */
export async function saveBefore(
  project: ProjectFacts,
  location: VaultLocation,
  note: string,
  host: CommandHost | undefined,
  ctx: Context,
): Promise<string> {
  try {
    // That something is lost or cannot be read is why a person restores; it is in that save's own report.
    const quiet: Context = { ...ctx, monitor: { ...SILENT, phase: ctx.monitor.phase, progress: ctx.monitor.progress } };
    const how = { label: PRE_RESTORE, note, trigger: 'restore', artefacts: host === undefined ? {} : { host } };
    return (await save(project, location, how, quiet)).id;
  } catch (error) {
    if (error instanceof CoraError && (error.code === 'interrupted' || error.code === 'locked')) throw error;
    throw new CoraError('io', `What is there now could not be saved, so nothing was changed: ${messageOf(error)}`, {
      hint: 'mend that, or go without a way back to it: --no-pre-snapshot',
      cause: error,
    });
  }
}

/**
 * What stands there, is about to be replaced or moved aside, and is not in that save: excluded, unreadable, changed since.
 * A mark keeps it in the run's directory when later restores clear older ones.
 */
export function keepUnsaved(location: VaultLocation, safety: string, run: Run, moves: readonly Move[], ctx: Context): Problem[] {
  const held = heldIn(location, safety, moves);
  const unsaved = moves.filter((move) => move.hadLive && !isHeld(run, move.path, held)).map(({ path }) => path);
  if (unsaved.length === 0) return [];
  for (const mark of runDirectories(run).map((directory) => `${toText(directory)}/${KEEP}`)) if (!exists(mark)) writeNewFile(mark, '');
  const problems = unsaved.slice(0, NAMED).map(
    (path): Problem => ({
      code: 'not_saved',
      ...pathFields(path),
      message: `What was there is not in ${safety} (excluded, or it could not be read); it is kept in .cora-restore/${run.name}/old`,
      severity: 'error',
    }),
  );
  const more = unsaved.length - problems.length;
  if (more > 0) problems.push({ code: 'not_saved', message: `And ${more} more, kept in .cora-restore/${run.name}/old`, severity: 'error' });
  for (const problem of problems) ctx.monitor.problem(problem);
  return problems;
}

type Held = { readonly entries: ReadonlyMap<Bytes, Entry>; readonly databases: ReadonlySet<string> };

function heldIn(location: VaultLocation, id: string, moves: readonly Move[]): Held {
  const vault = openLocated(location);
  const ref = listSnapshots(vault).find((one) => one.kind === 'save' && one.id === id);
  if (ref === undefined) return { entries: new Map(), databases: new Set() };
  const wanted = new Set(moves.map(({ path }) => escapeField(path)));
  const entries = loadEntries(vault, ref, (key) => wanted.has(key)).map((entry) => [entry.path, entry] as const);
  return { entries: new Map(entries), databases: new Set(readReport(vault, ref).databases.map(({ path }) => path)) };
}

function isHeld(run: Run, path: Bytes, { entries, databases }: Held): boolean {
  const live = lstatOf(joinBytes(run.root, path));
  if (live === undefined) return true;
  const entry = entries.get(path);
  if (entry === undefined) return false;
  // A database's copy is of the moment of the save, whatever its file says.
  if (!live.isFile() || databases.has(toText(path))) return true;
  return entry.type === 'h' || live.mtimeNs === entry.mtime;
}
