// `cora diff`.

import { diff } from '../../actions/diff.ts';
import { isLivePath } from '../../actions/restore-word.ts';
import { saidPath } from '../../actions/said-path.ts';
import { type Bytes, bytes, printable } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { VaultLocation } from '../../vault/locate.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import type { DIFF_FLAGS } from '../diff-flags.ts';
import type { OptionsOf } from '../flags.ts';
import { diffDocument, diffLines } from '../render-diff.ts';
import { namedSnapshot } from '../snapshot-name.ts';

type Input = { readonly options: OptionsOf<typeof DIFF_FLAGS>; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

/** Rows of each side and table that a person reads. */
const ROWS = 20;

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { names, wanted } = await wordsOf(args, paths, session);
  if (options.rows === true && wanted.length !== 1)
    throw new CoraError('usage', '--rows needs the path of one database', { hint: 'cora diff A B --rows -- PATH' });
  // Now is the project around the current directory, whatever names the vault.
  const { project, location } = await (names.length < 2 ? session.open() : session.locate());
  const name = async (word: Bytes | undefined) => (word === undefined ? undefined : (await namedSnapshot(word, {}, location, session)).target);
  const before = (await name(names[0])) ?? 'latest';
  const after = await name(names[1]);
  const result = await diff(
    location,
    project,
    {
      before,
      after,
      paths: wanted.map((typed) => ({ typed, absolute: session.absolute(typed) })),
      rows: options.rows === true ? (options.limit ?? ROWS) : undefined,
    },
    session.ctx,
  );
  const isDifferent = result.files.length + result.databases.length > 0;
  if (!isDifferent) await requireKnown(wanted, location, session);
  const exitCode = options.exitCode === true && isDifferent ? EXIT.failed : exitCodeOf(result.problems);
  return {
    result: session.globals.json === true ? diffDocument(result) : undefined,
    lines: diffLines(result, options.stat === true),
    exitCode,
    problems: result.problems,
  };
}

/** At most two snapshots, then paths. As with git, a word that is no snapshot's name and names what is there begins the paths. */
async function wordsOf(
  args: readonly Bytes[],
  paths: readonly Bytes[],
  session: Session,
): Promise<{ readonly names: readonly Bytes[]; readonly wanted: readonly Bytes[] }> {
  const { location } = await session.locate();
  const now = session.ctx.now();
  const at = args.slice(0, 2).findIndex((word) => isLivePath(location, word, session.absolute(word), now));
  const count = at < 0 ? 2 : at;
  return { names: args.slice(0, count), wanted: [...args.slice(count), ...paths] };
}

/** "Nothing differs" is no answer about a path that never was. @throws CoraError not_found */
async function requireKnown(wanted: readonly Bytes[], location: VaultLocation, session: Session): Promise<void> {
  for (const word of wanted) {
    const path = bytes(word.replace(/(?<=.)\/+$/, ''));
    const { exact, elsewhere } = await saidPath(location, path, session.absolute(path));
    if (exact !== undefined) continue;
    const [found] = elsewhere;
    throw new CoraError('not_found', `Nothing is or was at ${printable(word)}`, {
      hint: found === undefined ? 'cora find NAME looks for names; paths are relative to the project' : `cora diff -- ${printable(found)}`,
    });
  }
}
