// What `cora verify` and `cora backup verify` share.

import { EXIT } from '../base/errors.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Outcome, Session } from './command.ts';
import { counted, verifyLines } from './render.ts';
import { verifyDocument } from './results.ts';
import type { NamedSnapshot } from './snapshot-name.ts';

export type VerifyCommandOptions = { readonly all?: boolean; readonly deep?: boolean; readonly maxDuration?: number };

/** @param named its target: a snapshot's name, `all`, or undefined for the newest */
export async function verifySnapshots(
  { target, fields }: NamedSnapshot,
  options: VerifyCommandOptions,
  location: VaultLocation,
  session: Session,
): Promise<Outcome> {
  const result = await session.engine.verify(
    location,
    { target, deep: options.deep === true, ...(options.maxDuration === undefined ? {} : { maxDuration: options.maxDuration }) },
    session.ctx,
  );
  const document = { ...verifyDocument(result), ...fields };
  const damaged = result.snapshots.reduce((sum, snapshot) => sum + snapshot.damaged.length, 0);
  if (damaged === 0) {
    const unsealed = result.snapshots.some(({ sealMissing }) => sealMissing);
    return { result: document, lines: verifyLines(result), summary: !unsealed, exitCode: unsealed ? EXIT.incomplete : EXIT.ok };
  }
  return {
    result: document,
    lines: verifyLines(result),
    failure: { code: 'damaged', message: `${counted(damaged, 'damaged file')} found`, hint: 'the lines above name them', details: document },
  };
}
