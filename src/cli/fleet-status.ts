// `cora status --remote`: what lies at the remotes, of every project.

import { fleet } from '../actions/fleet.ts';
import { type OffsiteSetup, remotesOf } from '../actions/offsite-remote.ts';
import { defaultConfig } from '../base/config.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, EXIT } from '../base/errors.ts';
import type { Outcome, Session } from './command.ts';
import { failureOf } from './json.ts';
import { offsiteSetup } from './offsite-session.ts';
import { fleetDocument, fleetLines } from './render-fleet.ts';

/** @param named a remote that was typed; undefined for the configured ones */
export async function fleetOutcome(named: string | undefined, session: Session): Promise<Outcome> {
  const setup = await setupOf(named, session);
  const remotes = named === undefined ? remotesOf(setup) : [named];
  if (remotes.length === 0) {
    throw new CoraError('usage', 'No remote is configured', { hint: 'name one: cora status --remote name:bucket (docs/offsite.md)' });
  }
  const found = await fleet(setup, remotes, named === undefined ? 'configured' : 'typed', session.ctx);
  const result = fleetDocument(found, session.ctx.now());
  const lines = fleetLines(found, session.ctx.now());
  const problems = found.flatMap(({ remote, damaged }) =>
    damaged.map(
      ({ directory, reason }): Problem => ({
        code: 'marker_damaged',
        path: `${remote}/${directory}`,
        message: `No copy: ${reason}`,
        severity: 'error',
      }),
    ),
  );
  const failed = found.find(({ error }) => error !== undefined)?.error;
  if (failed !== undefined) return { result, lines, problems, failure: { ...failureOf(failed), details: result } };
  return { result, lines, problems, exitCode: problems.length === 0 ? EXIT.ok : EXIT.incomplete };
}

/** A bucket can be looked at from anywhere; inside a project its keys and time limits count. */
async function setupOf(named: string | undefined, session: Session): Promise<OffsiteSetup> {
  try {
    const { project } = await session.open();
    return offsiteSetup(project.config.offsite, session.machine);
  } catch (error) {
    if (named === undefined || !(error instanceof CoraError) || error.code === 'config_invalid') throw error;
    return offsiteSetup(defaultConfig.offsite, session.machine);
  }
}
