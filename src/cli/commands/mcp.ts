// `cora mcp`.

import type { Outcome, Session } from '../command.ts';

export async function run(_input: unknown, session: Session): Promise<Outcome> {
  // The SDK is loaded here alone.
  const { serve } = await import('../mcp/server.ts');
  await serve(session);
  return { result: {}, lines: [] };
}
