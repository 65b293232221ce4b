// `cora ship`.

import { configuredName } from '../../actions/offsite-remote.ts';
import { ship } from '../../actions/ship.ts';
import { checkCopies } from '../../actions/ship-check.ts';
import { type Bytes, toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { offsiteSetup } from '../offsite-session.ts';
import { checkDocument, checkFailure, checkLines, shipDocument, shipFailure, shipLines } from '../render-offsite.ts';
import type { ShipPruneOptions } from './ship-prune.ts';

type Options = ShipPruneOptions & { readonly saves?: boolean; readonly check?: boolean; readonly prune?: boolean };

export async function run({ args, options }: { readonly args: readonly Bytes[]; readonly options: Options }, session: Session): Promise<Outcome> {
  if (options.prune === true && (args.length > 0 || options.check === true))
    throw new CoraError('usage', 'ship --prune takes no ID and no --check', { hint: 'cora ship --prune' });
  if (options.prune !== true && (options.confirm === true || options.dryRun === true))
    throw new CoraError('usage', '--confirm and --dry-run belong to ship --prune', { hint: 'cora ship --prune' });
  const { project, location } = await session.open();
  const names = args.map(toText);
  const setup = offsiteSetup(project.config.offsite, session.machine);
  const remotes = options.remote?.map((typed) => configuredName(setup, typed));
  const named = remotes === undefined ? options : { ...options, remote: remotes };
  if (options.prune === true) return (await import('./ship-prune.ts')).shipPrune(named, project, location, setup, session);
  if (options.check === true) {
    const result = await checkCopies(project, location, setup, { names, remotes }, session.ctx);
    return { result: checkDocument(result), lines: checkLines(result), ...checkFailure(result) };
  }
  const saves = options.saves ?? project.config.offsite.saves;
  const result = await ship(project, location, setup, { names, saves, ...(remotes === undefined ? {} : { remotes }) }, session.ctx);
  return { result: shipDocument(result), lines: shipLines(result), problems: result.problems, ...shipFailure(result) };
}
