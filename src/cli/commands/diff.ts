// `cora diff`.

import { diff } from '../../actions/diff.ts';
import { plainPath } from '../../actions/path-history.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import type { DIFF_FLAGS } from '../diff-flags.ts';
import type { OptionsOf } from '../flags.ts';
import { diffDocument, diffLines } from '../render-travel.ts';
import { namedSnapshot } from '../snapshot-name.ts';

type Input = { readonly options: OptionsOf<typeof DIFF_FLAGS>; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  if (args.length > 2) throw new CoraError('usage', 'diff takes two snapshots at most', { hint: 'paths come after --: cora diff A B -- PATH' });
  // Now is the project around the current directory, whatever names the vault.
  const { project, location } = await (args.length < 2 ? session.open() : session.locate());
  const name = async (word: Bytes | undefined) => (word === undefined ? undefined : (await namedSnapshot(word, {}, location, session)).target);
  const before = (await name(args[0])) ?? 'latest';
  const after = await name(args[1]);
  const result = await diff(location, project, { before, after, paths: paths.map(plainPath) }, session.ctx);
  const document = diffDocument(result);
  const exitCode = options.exitCode === true && document['different'] === true ? EXIT.failed : exitCodeOf(result.problems);
  return { result: document, lines: diffLines(result, options.stat === true), exitCode, problems: result.problems };
}
