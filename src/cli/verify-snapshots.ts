// What `cora verify` and `cora backup verify` share.

import type { RemoteHeads } from '../actions/offsite-chain.ts';
import { type Config, defaultConfig } from '../base/config.ts';
import { CoraError, EXIT } from '../base/errors.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import type { Outcome, Session } from './command.ts';
import { failureOf } from './json.ts';
import { offsiteSetup } from './offsite-session.ts';
import { counted, verifyLines } from './render.ts';
import { adoptedCheckDocument, adoptedCheckLines } from './render-adopt.ts';
import { headsDocument, headsLines } from './render-fleet.ts';
import { chainDocument, chainLines } from './render-health.ts';
import { verifyDocument } from './results.ts';
import type { NamedSnapshot } from './snapshot-name.ts';

export type VerifyCommandOptions = {
  readonly all?: boolean;
  readonly chain?: boolean;
  readonly offsite?: boolean;
  readonly deep?: boolean;
  readonly maxDuration?: number;
};

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
  const heads = options.offsite === true ? await askHeads(options, location, session) : [];
  const document = {
    ...verifyDocument(result),
    ...fields,
    ...(chain === undefined ? {} : { chain: { ...chainDocument(chain), ...(options.offsite === true ? { offsite: headsDocument(heads) } : {}) } }),
  };
  const snapshotLines = chain !== undefined && result.snapshots.length === 0 ? [] : verifyLines(result);
  const lines = [...(chain === undefined ? [] : chainLines(chain)), ...headsLines(heads), ...snapshotLines];
  const inLedger = [chain, ...heads].reduce((sum, one) => sum + (one?.damaged.length ?? 0), 0);
  const damaged = result.snapshots.reduce((sum, snapshot) => sum + snapshot.damaged.length, inLedger);
  const unasked = heads.find(({ error }) => error !== undefined)?.error;
  if (damaged === 0 && unasked !== undefined) return { result: document, lines, failure: { ...failureOf(unasked), details: document } };
  if (damaged === 0) {
    const unsealed = result.snapshots.some(({ sealMissing }) => sealMissing);
    return { result: document, lines, summary: !unsealed, exitCode: unsealed ? EXIT.incomplete : EXIT.ok };
  }
  const inFiles = result.snapshots.some((snapshot) => snapshot.damaged.length > 0);
  const message = inFiles ? `${counted(damaged, 'damaged file')} found` : `${counted(damaged, 'break', 'breaks')} in the ledger found`;
  return { result: document, lines, failure: { code: 'damaged', message, hint: 'the lines above name them', details: document } };
}

/** What the copies off-site know of the ledger. */
async function askHeads(options: VerifyCommandOptions, location: VaultLocation, session: Session): Promise<RemoteHeads[]> {
  if (options.chain !== true && options.all !== true)
    throw new CoraError('usage', '--offsite belongs to verify --chain', { hint: 'cora verify --chain --offsite' });
  const { checkHeads } = await import('../actions/offsite-chain.ts');
  return checkHeads(location, offsiteSetup(await configOf(location, session), session.machine), session.ctx);
}

/** A vault that was named need not be that of the project around us, whose remotes are then none of its. */
async function configOf(location: VaultLocation, session: Session): Promise<Config['offsite']> {
  try {
    const { project } = await session.open();
    requireOwn(openLocated(location), project);
    return project.config.offsite;
  } catch (error) {
    if (!(error instanceof CoraError) || error.code === 'config_invalid') throw error;
    return defaultConfig.offsite;
  }
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
