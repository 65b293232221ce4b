// `cora help [COMMAND]`.

import { type Bytes, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { nearest } from '../../base/nearest.ts';
import type { Outcome, Session } from '../command.ts';
import { commandDocument, commandLines } from '../help.ts';
import { familyLines, overviewLines } from '../overview.ts';

export async function run({ args }: { readonly args: readonly Bytes[] }, session: Session): Promise<Outcome> {
  const wanted = args.map(toText).join(' ');
  const { commands } = session;
  const found = commands.filter(
    (entry) => wanted === '' || entry.name === wanted || entry.name.startsWith(`${wanted} `) || entry.aliases?.includes(wanted),
  );
  const result = { commands: found.map(commandDocument) };
  const [only] = found;
  if (only === undefined) {
    const meant = nearest(
      wanted,
      commands.map((entry) => entry.name),
    );
    throw new CoraError('usage', `No help for ${wanted}`, {
      hint: meant === undefined ? 'cora --help lists all commands' : `did you mean cora help ${meant}?`,
    });
  }
  return { result, lines: wanted === '' ? overviewLines(found) : found.length === 1 ? commandLines(only) : familyLines(found) };
}
