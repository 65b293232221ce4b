// `cora version`; the plain `cora --version` ends in cli.ts already.

import type { Outcome, Session } from '../command.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  return { result: { version: session.ctx.version, node: process.versions.node }, lines: [`cora ${session.ctx.version}`] };
}
