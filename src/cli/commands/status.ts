// `cora status`.

import { offsiteWarnings } from '../../actions/offsite-status.ts';
import { sizeWarning } from '../../actions/prune-auto.ts';
import { findOffsite } from '../../actions/three-two-one.ts';
import type { Bytes } from '../../base/bytes.ts';
import { toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { automaticStatus } from '../automatic-status.ts';
import type { Outcome, Session } from '../command.ts';
import { offsiteSetup } from '../offsite-session.ts';
import { type Offsite, remotesDocument, ruleDocument } from '../render-fleet.ts';
import { statusLines } from '../render-status.ts';
import { timersStatusDocument } from '../render-timers.ts';
import { statusDocument } from '../results.ts';

type Input = { readonly options: { readonly remote?: boolean }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const named = [...args, ...paths][0];
  if (options.remote === true) return (await import('../fleet-status.ts')).fleetOutcome(named === undefined ? undefined : toText(named), session);
  if (named !== undefined)
    throw new CoraError('usage', 'status takes a remote with --remote alone', { hint: `cora status --remote ${toText(named)}` });
  const { project, location } = await session.open();
  const found = await session.engine.status(project, location, session.machine.logs, session.ctx);
  const { hooks, timers, warnings } = automaticStatus(project, location, session);
  const { now } = session.ctx;
  const size = found.vault.exists ? sizeWarning(project, location, session.ctx) : undefined;
  const { places } = offsiteSetup(project.config.offsite, session.machine);
  const offsite: Offsite | undefined = found.vault.exists ? findOffsite(project, location, places, now()) : undefined;
  const shipping = offsite === undefined ? [] : offsiteWarnings(offsite.status, project.config.health.maxAge, now());
  const result = { ...found, warnings: [...found.warnings, ...(size === undefined ? [] : [size]), ...shipping, ...warnings] };
  const document = {
    ...statusDocument(result),
    hooks: hooks ?? null,
    timers: timers === undefined ? null : timersStatusDocument(timers),
    offsite: offsite === undefined ? null : remotesDocument(offsite.status),
    rule: offsite === undefined ? null : ruleDocument(offsite.rule),
  };
  return { result: document, lines: statusLines(result, { hooks, timers, offsite }, now()) };
}
