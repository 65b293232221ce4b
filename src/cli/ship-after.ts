// `cora backup now` where copies go off-site. The backup stands whatever happens here: a failure is a problem and exit 12.

import { remotesOf } from '../actions/offsite-remote.ts';
import { ship } from '../actions/ship.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, EXIT } from '../base/errors.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import type { Session } from './command.ts';
import { offsiteSetup } from './offsite-session.ts';
import { shipDocument, shipLines } from './render-offsite.ts';

type After = {
  readonly document: unknown;
  readonly lines: readonly string[];
  readonly problems: readonly Problem[];
  /** Undefined where it went well. */
  readonly exitCode: number | undefined;
};

/** @returns undefined where no remote is configured @throws CoraError interrupted */
export async function shipAfterBackup(project: Project, location: VaultLocation, session: Session): Promise<After | undefined> {
  try {
    const setup = offsiteSetup(project.config.offsite, session.machine);
    if (remotesOf(setup).length === 0) return undefined;
    const result = await ship(project, location, setup, { names: [], saves: project.config.offsite.saves }, session.ctx);
    const failures = result.remotes.flatMap(({ error }) => (error === undefined ? [] : [failed(error, session)]));
    const exitCode = failures.length === 0 ? undefined : EXIT.remote;
    return { document: shipDocument(result), lines: shipLines(result), problems: [...result.problems, ...failures], exitCode };
  } catch (error) {
    if (!(error instanceof CoraError) || error.code === 'interrupted') throw error;
    return { document: null, lines: [], problems: [failed(error, session)], exitCode: EXIT.remote };
  }
}

function failed({ message, hint }: CoraError, session: Session): Problem {
  const next = hint === undefined ? '' : `; ${hint}`;
  const problem = { code: 'ship_failed', message: `The backup stands, but not every copy off-site: ${message}${next}`, severity: 'error' } as const;
  session.ctx.monitor.problem(problem);
  return problem;
}
