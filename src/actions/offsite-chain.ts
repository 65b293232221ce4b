// The ledger against the heads that travelled with copies off-site (DESIGN 8.11): whoever cuts or rewrites the ledger here cannot
// change what a remote holds. The record beside the ledger is never asked: it lies where the ledger lies.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Complete } from '../format/complete.ts';
import { type ChainText, readLines } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { listCopies, type OffsiteSetup, openRemote, type RemoteCopy, remotesOf, requireThere } from './offsite-remote.ts';
import { stopIfAborted } from './settle.ts';
import type { Damage } from './verify-files.ts';

/** What the copies at one remote say of the ledger. */
export type RemoteHeads = {
  readonly remote: string;
  /** Copies of this vault whose head has its place in this ledger. */
  readonly compared: number;
  /** Copies of before the ledger was rebuilt from one: nothing here can be compared with them. */
  readonly older: number;
  /** The highest line that a copy knows. */
  readonly newest: number | undefined;
  readonly damaged: readonly Damage[];
  /** Why the remote could not be asked. */
  readonly error: CoraError | undefined;
};

/**
 * Asks every remote, or those that are named.
 * @throws CoraError usage where there is none, vault_missing, interrupted. Damage is a result, not an error
 */
export async function checkHeads(location: VaultLocation, setup: OffsiteSetup, ctx: Context): Promise<RemoteHeads[]> {
  const vault = openLocated(location);
  const remotes = remotesOf(setup);
  if (remotes.length === 0)
    throw new CoraError('usage', 'No remote is configured', { hint: 'write offsite.remote into the configuration (docs/offsite.md)' });
  const found: RemoteHeads[] = [];
  for (const name of remotes) {
    stopIfAborted(ctx);
    try {
      const remote = await openRemote(setup, name, 'configured', ctx);
      await requireThere(remote);
      const { copies } = await listCopies(remote, setup.config.env ?? vault.info.name);
      found.push({ ...compareHeads(vault, name, copies), error: undefined });
    } catch (error) {
      if (!(error instanceof CoraError) || error.code === 'interrupted') throw error;
      found.push({ remote: name, compared: 0, older: 0, newest: undefined, damaged: [], error });
    }
  }
  return found;
}

/** The ledger as it is now, which is read after the copies were listed: it may have grown since. */
export function compareHeads(vault: Vault, remote: string, copies: readonly RemoteCopy[]): Omit<RemoteHeads, 'error'> {
  const own = copies.flatMap(({ complete }) => (complete.vault_id === vault.info.vault_id ? [complete] : []));
  return { remote, ...compareWith(readLines(vault.root), remote, own) };
}

/** The same for a run that lists the copies anyway: what to say where they know another ledger than the one here. */
export function otherLedger(vault: Vault, remote: string, copies: readonly RemoteCopy[]): CoraError | undefined {
  const [first] = compareHeads(vault, remote, copies).damaged;
  if (first === undefined) return undefined;
  return new CoraError('damaged', `${first.path}: ${first.reason}`, { hint: OTHER });
}

const OTHER =
  'cora verify --chain --offsite names all of it; if another machine ships into the same env (the old one, after cora recover), give one of the two its own offsite.env';

type Compared = Pick<RemoteHeads, 'compared' | 'older' | 'newest' | 'damaged'>;

function compareWith(lines: readonly ChainText[], remote: string, copies: readonly Complete[]): Compared {
  const first = lines[0]?.line;
  const hashes = new Map(lines.flatMap(({ line, hash }) => (line === undefined ? [] : [[line.sequence, hash] as const])));
  // A ledger that was rebuilt goes on after a line that it does not have; what was before that is known to the copies alone.
  const begins = first?.kind === 'recover' ? first.sequence - 1 : 0;
  if (first !== undefined && begins > 0) hashes.set(begins, first.previous);
  const inside = copies.filter(({ chain }) => chain.sequence >= Math.max(begins, 1)).toSorted((a, b) => a.chain.sequence - b.chain.sequence);
  const last = lines.findLast(({ line }) => line !== undefined)?.line?.sequence ?? 0;
  const cut = inside.findLast(({ chain }) => chain.sequence > last);
  const altered = inside.find(({ chain }) => chain.sequence <= last && hashes.get(chain.sequence) !== chain.hash);
  const agreed = inside.findLast(({ chain }) => chain.sequence < (altered?.chain.sequence ?? 0) && hashes.get(chain.sequence) === chain.hash);
  const damaged: Damage[] = [];
  if (cut !== undefined) {
    const { sequence } = cut.chain;
    const missing = sequence === last + 1 ? `line ${sequence}` : `lines ${last + 1} to ${sequence}`;
    damaged.push(
      damage(
        `ledger ${missing}`,
        `taken out of the ledger's end: ${nameOf(cut, remote)} knows line ${sequence}, and the ledger here ends with ${last}`,
      ),
    );
  }
  if (altered !== undefined) {
    const from = agreed === undefined ? 'the beginning' : `line ${agreed.chain.sequence}`;
    const reason = `the ledger was rewritten between ${from} and line ${altered.chain.sequence}: ${nameOf(altered, remote)} knows that line with another hash`;
    damaged.push(damage(`ledger line ${altered.chain.sequence}`, reason));
  }
  return { compared: inside.length, older: copies.length - inside.length, newest: inside.at(-1)?.chain.sequence, damaged };
}

function nameOf({ snapshot_id: id, shipped_at: time }: Complete, remote: string): string {
  return `the copy of ${id} at ${remote} (shipped ${time})`;
}

function damage(path: string, reason: string): Damage {
  return { path, file: NAMES.chain, reason };
}
