// `cora ship --prune`: what of the copies at remotes the rules let go, and their removal with --confirm.

import type { OffsiteSetup } from '../../actions/offsite-remote.ts';
import { applyShipPrune, planShipPrune, type RemotePrune } from '../../actions/ship-prune.ts';
import { CoraError } from '../../base/errors.ts';
import type { VaultLocation } from '../../vault/locate.ts';
import type { Project } from '../../vault/project.ts';
import type { Outcome, Session } from '../command.ts';
import { counted } from '../render.ts';
import { shipPruneDocument, shipPruneFailure, shipPruneLines, shipPruneStays } from '../render-ship-prune.ts';

export type ShipPruneOptions = { readonly confirm?: boolean; readonly dryRun?: boolean; readonly remote?: readonly string[] };

export async function shipPrune(
  options: ShipPruneOptions,
  project: Project,
  location: VaultLocation,
  setup: OffsiteSetup,
  session: Session,
): Promise<Outcome> {
  const plans = await planShipPrune(project, location, setup, options.remote, session.ctx);
  const going = plans.reduce((sum, { plan, error }) => sum + (plan === undefined || error !== undefined ? 0 : goingIn(plan)), 0);
  if (options.confirm !== true || options.dryRun === true || going === 0) return outcomeOf(plans, true);
  await ask(plans, going, session);
  return outcomeOf(await applyShipPrune(project, location, setup, plans, session.ctx), false);
}

function goingIn({ decisions, leftovers }: NonNullable<RemotePrune['plan']>): number {
  return decisions.filter(({ keep }) => !keep).length + leftovers.filter(({ goes }) => goes).length;
}

function outcomeOf(results: readonly RemotePrune[], dryRun: boolean): Outcome {
  return {
    result: shipPruneDocument(results, dryRun),
    lines: shipPruneLines(results, dryRun),
    problems: shipPruneStays(results),
    ...shipPruneFailure(results, dryRun),
  };
}

/** --confirm is the consent; whoever sits there sees first what it means. */
async function ask(plans: readonly RemotePrune[], going: number, session: Session): Promise<void> {
  if (!session.interactive) return;
  if (session.globals.yes !== true) session.show(shipPruneLines(plans, true));
  if (await session.confirm(`Remove ${counted(going, 'copy', 'copies')} off-site for ever?`)) return;
  throw new CoraError('refused', 'Nothing was removed', { hint: 'cora ship --prune --confirm asks again' });
}
