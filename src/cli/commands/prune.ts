// `cora prune`.

import { applyPrune, type PrunePlan, planPrune, policyOf, withBytesToFree } from '../../actions/prune.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { PRESETS, type PresetName, type Rules } from '../../base/retention-rules.ts';
import type { Outcome, Session } from '../command.ts';
import { counted } from '../render.ts';
import { planLines, pruneDocument, pruneLines } from '../render-retention.ts';

type Options = {
  readonly confirm?: boolean;
  readonly dryRun?: boolean;
  readonly keepLast?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepWithin?: number;
  readonly preset?: string;
};

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const plain = planPrune(project, location, policyOf(project.config.retention, rulesTyped(options), false), session.ctx);
  if (plain.refusal !== undefined) {
    session.show(planLines(plain));
    throw new CoraError('refused', plain.refusal.message, { hint: plain.refusal.hint, details: pruneDocument(plain, undefined) });
  }
  const plan = await withBytesToFree(location, plain, session.ctx);
  if (options.confirm !== true || options.dryRun === true) return { result: pruneDocument(plan, undefined), lines: planLines(plan) };
  const going = plan.decisions.filter(({ keep }) => !keep).length;
  if (going > 0) await ask(plan, going, session);
  const result = await applyPrune(project, location, plan, session.ctx);
  return {
    result: pruneDocument(result.plan, result),
    lines: pruneLines(result),
    exitCode: result.errors.length === 0 ? EXIT.ok : EXIT.incomplete,
  };
}

/** --confirm is the consent; whoever sits there sees first what it means. */
async function ask(plan: PrunePlan, going: number, session: Session): Promise<void> {
  if (!session.interactive) return;
  if (session.globals.yes !== true) session.show(planLines(plan));
  if (await session.confirm(`Remove ${counted(going, 'snapshot')} for ever?`)) return;
  throw new CoraError('refused', 'Nothing was removed', { hint: 'cora prune --confirm asks again' });
}

/** Undefined where no rule was typed. Options of tiers are added to a preset that is typed with them. */
function rulesTyped(options: Options): Rules | undefined {
  const typed = {
    last: options.keepLast,
    hourly: options.keepHourly,
    daily: options.keepDaily,
    weekly: options.keepWeekly,
    monthly: options.keepMonthly,
    yearly: options.keepYearly,
    within: options.keepWithin,
  };
  const given = Object.entries(typed).filter(([, value]) => value !== undefined);
  if (given.length === 0 && options.preset === undefined) return undefined;
  return { ...PRESETS[(options.preset ?? 'all') as PresetName], ...Object.fromEntries(given) };
}
