// `cora lost`: what was lost, and `--accept` by a person at a terminal.

import { acceptCommand, describeLoss, restoreCommand } from '../../actions/loss-watch.ts';
import { acceptLosses, listLost } from '../../actions/lost.ts';
import { type Bytes, bytes, toText } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { LossReport } from '../../format/report.ts';
import type { Outcome, Session } from '../command.ts';
import { counted, saveLines, visible } from '../render.ts';

type Input = { readonly options: { readonly accept?: boolean }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const names = [...args, ...paths].map((name) => toText(name));
  const { project, location } = await session.open();
  const document = (losses: readonly LossReport[]) =>
    losses.map((loss) => ({ ...loss, restore: restoreCommand(loss, project.root), accept: acceptCommand(loss) }));
  if (options.accept !== true) {
    if (names.length > 0) throw new CoraError('usage', 'lost takes names with --accept only', { hint: 'cora lost --accept PATH' });
    const losses = listLost(location);
    return {
      result: { losses: document(losses) },
      lines: losses.length === 0 ? ['Nothing is lost'] : losses.flatMap((loss) => lossLines(loss, project.root)),
      exitCode: losses.length === 0 ? EXIT.ok : EXIT.incomplete,
    };
  }
  if (names.length === 0) throw new CoraError('usage', '--accept needs the path of a loss, or the id of a save', { hint: 'cora lost lists them' });
  if (!(await session.confirmInPerson(`Accept that ${names.map(visible).join(', ')} is lost, so that what is there now counts as good?`))) {
    throw new CoraError('refused', 'No loss was accepted: a person at a terminal has to say yes', {
      hint: 'run it in a terminal; --yes does not answer this',
    });
  }
  const result = await acceptLosses(project, location, names, session.ctx);
  return {
    result: { accepted: result.accepted, losses: document(result.losses), snapshot_id: result.save?.id ?? null },
    lines: [`Accepted: ${counted(result.accepted.length, 'loss', 'losses')}`, ...(result.save === undefined ? [] : saveLines(result.save))],
    exitCode: result.losses.length === 0 ? EXIT.ok : EXIT.incomplete,
  };
}

function lossLines(loss: LossReport, root: Bytes): string[] {
  return [
    `${visible(loss.path)}: ${visible(describeLoss(loss))}`,
    `  back:    ${visible(restoreCommand(loss, bytes(root)))}`,
    `  accept:  ${visible(acceptCommand(loss))}`,
  ];
}
