// What `cora restore` is asked to bring back: the words of its command line as one snapshot and paths in it.

import type { RestoreWord } from '../actions/restore-word.ts';
import { type Bytes, fromText, printable, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Outcome, Session } from './command.ts';
import { adoptedRestoreDocument, adoptedRestoreLines } from './render-adopt.ts';
import { hasMoment, type MomentOptions, type NamedSnapshot, namedSnapshot } from './snapshot-name.ts';

type Words = { readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

/** `fields` go into the JSON document; `adopted` is a backup of another tool. */
export type RestoreNamed = RestoreWord & Pick<NamedSnapshot, 'fields' | 'adopted'>;

/**
 * With `--at` or `--latest` every word is a path; else the first is a snapshot, `@WHEN`, `ID:path` or a path.
 * @throws CoraError usage, unknown_snapshot, ambiguous_snapshot, ambiguous_moment, not_found
 */
export async function restoreNamed(words: Words, options: MomentOptions, location: VaultLocation, session: Session): Promise<RestoreNamed> {
  const [word, ...rest] = words.args;
  if (hasMoment(options)) {
    if (word !== undefined && /^(?:latest(?:~\d+)?|@.*|\d{8}-\d{6}-\w+(?:-\d+)?)$/.test(word))
      throw new CoraError('usage', `A snapshot is named twice: ${printable(word)}`, { hint: 'leave --at or --latest out, or the name' });
    const { target, fields } = await namedSnapshot(undefined, options, location, session);
    return { target: target === undefined ? undefined : fromText(target), paths: [...words.args, ...words.paths], fields };
  }
  if (word === undefined) {
    const [path, ...others] = words.paths;
    if (path === undefined) return { target: undefined, paths: [], fields: {} };
    const { readRestorePath } = await import('../actions/restore-word.ts');
    const read = await readRestorePath(location, path, session.absolute(path), session.ctx);
    return { ...read, paths: [...read.paths, ...others], fields: {} };
  }
  const paths = [...rest, ...words.paths];
  if (word.startsWith('@') && exists(toText(session.absolute(word)))) return momentOrPath(word, paths, location, session);
  const named = await namedSnapshot(word, options, location, session);
  if (named.adopted !== undefined) return { target: word, paths, fields: {}, adopted: named.adopted };
  if (word.startsWith('@')) return { target: fromText(named.target ?? 'latest'), paths, fields: named.fields };
  const { readRestoreWord } = await import('../actions/restore-word.ts');
  const read = await readRestoreWord(location, word, session.absolute(word), session.ctx);
  return { target: read.target, paths: [...read.paths, ...paths], fields: {} };
}

/** `@types` may be a directory of the project, and no moment at all. */
async function momentOrPath(word: Bytes, paths: readonly Bytes[], location: VaultLocation, session: Session): Promise<RestoreNamed> {
  const { readWhen } = await import('../language/when.ts');
  const isMoment = await readWhen(toText(word), session.ctx.now(), 'UTC').then(
    () => true,
    (error: unknown) => error instanceof CoraError && error.code === 'ambiguous_moment',
  );
  if (isMoment) {
    throw new CoraError('ambiguous_snapshot', `${printable(word)} can mean a moment or the path ${printable(word)}`, {
      hint: `write --at "${printable(word.slice(1))}", or -- ${printable(word)} for the path`,
    });
  }
  const { readRestorePath } = await import('../actions/restore-word.ts');
  const read = await readRestorePath(location, word, session.absolute(word), session.ctx);
  return { ...read, paths: [...read.paths, ...paths], fields: {} };
}

type Choices = { readonly to?: Bytes; readonly critical?: boolean; readonly dryRun?: boolean };

/** Restores a backup of another tool: only beside the project. */
export async function restoreAdoptedBackup(
  { vault, snapshot }: NonNullable<NamedSnapshot['adopted']>,
  paths: readonly Bytes[],
  options: Choices,
  session: Session,
): Promise<Outcome> {
  if (options.to === undefined) {
    throw new CoraError('refused', `${snapshot.id} was not made by Cora: it is restored beside the project only`, {
      hint: `cora restore ${snapshot.id} --to DIR`,
    });
  }
  const { restoreAdopted } = await import('../actions/adopted-restore.ts');
  const choice = { to: session.absolute(options.to), paths, critical: options.critical === true, dryRun: options.dryRun === true };
  const result = await restoreAdopted(vault, snapshot, choice, session.ctx);
  return { result: adoptedRestoreDocument(result), lines: adoptedRestoreLines(result), summary: true };
}
