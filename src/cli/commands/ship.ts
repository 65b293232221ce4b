// `cora ship`.

import { ship } from '../../actions/ship.ts';
import { checkCopies } from '../../actions/ship-check.ts';
import { type Bytes, toText } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { offsiteSetup } from '../offsite-session.ts';
import { checkDocument, checkFailure, checkLines, shipDocument, shipFailure, shipLines } from '../render-offsite.ts';

type Options = { readonly remote?: readonly string[]; readonly saves?: boolean; readonly check?: boolean };

export async function run({ args, options }: { readonly args: readonly Bytes[]; readonly options: Options }, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const names = args.map(toText);
  const setup = offsiteSetup(project.config.offsite, session.machine);
  const remotes = options.remote;
  if (options.check === true) {
    const result = await checkCopies(project, location, setup, { names, remotes }, session.ctx);
    return { result: checkDocument(result), lines: checkLines(result), ...checkFailure(result) };
  }
  const saves = options.saves ?? project.config.offsite.saves;
  const result = await ship(project, location, setup, { names, saves, ...(remotes === undefined ? {} : { remotes }) }, session.ctx);
  return { result: shipDocument(result), lines: shipLines(result), problems: result.problems, ...shipFailure(result) };
}
