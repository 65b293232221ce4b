// `cora lost`: what was lost, and `--accept` by a person at a terminal.

import { keyOf } from '../../actions/loss-baseline.ts';
import { acceptCommand, describeLoss, type Place, restoreCommand } from '../../actions/loss-text.ts';
import { acceptLosses, listLost, namedLosses } from '../../actions/lost.ts';
import { sessionLosses } from '../../actions/session-losses.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { LossReport } from '../../format/report.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { counted, saveLines, visible } from '../render.ts';
import { sessionDocument, sessionLines } from '../render-agents.ts';

type Input = { readonly options: { readonly accept?: boolean }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const names = [...args, ...paths];
  const { project, location } = await session.open();
  const { vault, losses } = listLost(project, location);
  const place: Place = { root: project.root, vault };
  if (options.accept !== true) {
    if (names.length > 0) throw new CoraError('usage', 'lost takes names with --accept only', { hint: 'cora lost --accept PATH' });
    const ended = await sessionLosses(project, vault, new Set(losses.map(keyOf)), session.ctx);
    const none = `Nothing critical is lost${ended === undefined ? "; cora find --gone '*' lists all else that went" : ''}`;
    return {
      result: { losses: document(losses, place), session: sessionDocument(ended) },
      lines: [...(losses.length === 0 ? [none] : losses.flatMap((loss) => lossLines(loss, place))), ...sessionLines(ended, session.ctx.now())],
      exitCode: losses.length === 0 ? EXIT.ok : EXIT.incomplete,
    };
  }
  if (names.length === 0) throw new CoraError('usage', '--accept needs the path of a loss, or the id of a save', { hint: 'cora lost lists them' });
  // What cannot be accepted is not asked about.
  const meant = namedLosses(vault, names, session.ctx.now());
  session.show(meant.map((loss) => `${visible(loss.path)}: ${visible(describeLoss(loss))}`));
  if (!(await session.confirmInPerson(`Accept ${counted(meant.length, 'loss', 'losses')}, so that what is there now counts as good?`))) {
    throw new CoraError('refused', 'No loss was accepted: a person at a terminal has to say yes', {
      hint: 'run it in a terminal; --yes does not answer this',
    });
  }
  const result = await acceptLosses(project, location, names, session.ctx);
  return {
    result: { accepted: document(result.accepted, place), losses: document(result.losses, place), snapshot_id: result.save.id },
    lines: [`Accepted: ${counted(result.accepted.length, 'loss', 'losses')}`, ...saveLines(result.save)],
    exitCode: exitCodeOf(result.save.problems, result.save.report),
    problems: result.save.problems,
  };
}

function document(losses: readonly LossReport[], place: Place): readonly object[] {
  return losses.map((loss) => ({ ...loss, restore: restoreCommand(loss, place), accept: acceptCommand(loss, place) }));
}

function lossLines(loss: LossReport, place: Place): string[] {
  return [
    `${visible(loss.path)}: ${visible(describeLoss(loss))}`,
    `  back:    ${visible(restoreCommand(loss, place))}`,
    `  accept:  ${visible(acceptCommand(loss, place))}`,
  ];
}
