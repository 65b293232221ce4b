// What `cora verify` and `cora backup verify` share.

import { EXIT } from '../base/errors.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Outcome, Session } from './command.ts';
import { counted, verifyLines } from './render.ts';
import { adoptedCheckDocument, adoptedCheckLines } from './render-adopt.ts';
import { chainDocument, chainLines } from './render-health.ts';
import { verifyDocument } from './results.ts';
import type { NamedSnapshot } from './snapshot-name.ts';

export type VerifyCommandOptions = { readonly all?: boolean; readonly chain?: boolean; readonly deep?: boolean; readonly maxDuration?: number };

/** @param named its target: a snapshot's name, `all`, `chain`, or undefined for the newest */
export async function verifySnapshots(
  { target, fields, adopted }: NamedSnapshot,
  options: VerifyCommandOptions,
  location: VaultLocation,
  session: Session,
): Promise<Outcome> {
  if (adopted !== undefined) return verifyOneAdopted(adopted, session);
  const result = await session.engine.verify(
    location,
    {
      target,
      deep: options.deep === true,
      ...(options.chain === true ? { chain: true } : {}),
      ...(options.maxDuration === undefined ? {} : { maxDuration: options.maxDuration }),
    },
    session.ctx,
  );
  const { chain } = result;
  const document = { ...verifyDocument(result), ...fields, ...(chain === undefined ? {} : { chain: chainDocument(chain) }) };
  const snapshotLines = chain !== undefined && result.snapshots.length === 0 ? [] : verifyLines(result);
  const lines = [...(chain === undefined ? [] : chainLines(chain)), ...snapshotLines];
  const damaged = result.snapshots.reduce((sum, snapshot) => sum + snapshot.damaged.length, chain?.damaged.length ?? 0);
  if (damaged === 0) {
    const unsealed = result.snapshots.some(({ sealMissing }) => sealMissing);
    return { result: document, lines, summary: !unsealed, exitCode: unsealed ? EXIT.incomplete : EXIT.ok };
  }
  const inFiles = result.snapshots.some((snapshot) => snapshot.damaged.length > 0);
  const message = inFiles ? `${counted(damaged, 'damaged file')} found` : `${counted(damaged, 'break', 'breaks')} in the ledger found`;
  return { result: document, lines, failure: { code: 'damaged', message, hint: 'the lines above name them', details: document } };
}

/** A backup that another tool made, as far as what it has allows. */
async function verifyOneAdopted({ vault, snapshot }: NonNullable<NamedSnapshot['adopted']>, session: Session): Promise<Outcome> {
  const { verifyAdopted } = await import('../actions/adopted-verify.ts');
  const check = await verifyAdopted(vault, snapshot, session.ctx);
  const document = adoptedCheckDocument([check]);
  const lines = adoptedCheckLines(check);
  if (check.damaged.length === 0) return { result: document, lines };
  const message = `${counted(check.damaged.length, 'problem')} found in ${snapshot.id}`;
  return { result: document, lines, failure: { code: 'damaged', message, hint: 'the lines above name them', details: document } };
}
