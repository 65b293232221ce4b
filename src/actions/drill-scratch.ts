// The private directory that a drill restores into. It lies outside of the project (a save would capture it) and of the
// vault (restore.sh refuses that) where there is room; else in the vault's stage. Invariant: it is gone when the drill
// has ended, and what a dead drill left is removed by the next one.

import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { type Bytes, fromText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { exists, freeBytes, namesIn, tryRemove } from '../os/files.ts';
import { tryLock } from '../os/lock.ts';
import { openStage, type Vault } from '../vault/vault.ts';

export type Scratch = {
  readonly path: string;
  /** The vault's own restore.sh does not restore into it. */
  readonly inVault: boolean;
  /** Removes it. */
  readonly release: () => void;
};

/** What stays free on a disk that others write to. */
const SPARE = 64 << 20;

/**
 * @param parents directories in the order of preference
 * @param asked the one that a person named; no other is tried then
 * @throws CoraError no_space, naming what was tried; refused where the asked one will not do
 */
export function openScratch(vault: Vault, root: Bytes, needed: number, parents: readonly string[], asked: string | undefined): Scratch {
  const tried: string[] = [];
  const prefix = `cora-drill-${vault.info.vault_id.slice(0, 8)}-`;
  for (const parent of asked === undefined ? parents : [asked]) {
    removeDead(parent, prefix);
    const why = whyNot(parent, vault, root, needed);
    const made = why === undefined ? make(parent, prefix) : undefined;
    if (made !== undefined) return made;
    tried.push(`${parent} (${why ?? 'it may not be written'})`);
  }
  if (asked !== undefined)
    throw new CoraError('refused', `A drill cannot be held in ${tried[0] ?? asked}`, { hint: 'name another directory with --scratch' });
  const free = freeBytes(vault.root);
  if (free > needed + SPARE) {
    const { path, release } = openStage(vault);
    return { path, inVault: true, release };
  }
  throw new CoraError(
    'no_space',
    `A drill needs ${formatBytes(needed)} for a while; not enough: ${[...tried, `the vault (${formatBytes(free)} free)`].join(', ')}`,
    {
      hint: 'name a directory on a larger disk with --scratch DIR, or drill a part with --sample 10%',
    },
  );
}

function whyNot(parent: string, vault: Vault, root: Bytes, needed: number): string | undefined {
  let real: string;
  try {
    real = realpathSync(parent);
  } catch {
    return 'it is not there';
  }
  const below = (directory: string) => `${fromText(real)}/`.startsWith(`${directory}/`);
  if (below(root)) return 'it lies inside the project';
  if (below(fromText(vault.root))) return 'it lies inside the vault';
  const free = freeBytes(real);
  return free > needed + SPARE ? undefined : `${formatBytes(free)} free`;
}

/** The lock comes first: a directory that nobody holds is what a dead drill left. */
function make(parent: string, prefix: string): Scratch | undefined {
  const path = `${realpathSync(parent)}/${prefix}${randomBytes(6).toString('hex')}`;
  try {
    const lock = tryLock(`${path}.lock`, 'exclusive', 0);
    if (lock === undefined) return undefined;
    mkdirSync(path, { mode: 0o700 });
    return { path, inVault: false, release: () => remove(path, lock.release) };
  } catch {
    return undefined;
  }
}

/** Never throws: what the disk keeps is nobody's failure, and the next drill tries again. */
function remove(path: string, release: () => void): void {
  // Without its lock file nobody would know it for what a dead drill left.
  if (tryRemove(path)) tryRemove(`${path}.lock`);
  release();
}

/** Only our own, by name, owner and a lock that nobody holds. */
function removeDead(parent: string, prefix: string): void {
  for (const name of namesIn(parent)) {
    const match = name.startsWith(prefix) ? /^([0-9a-f]{12})\.lock$/.exec(name.slice(prefix.length)) : null;
    if (match === null) continue;
    const path = `${parent}/${prefix}${match[1]}`;
    const stat = lstatSync(`${path}.lock`, { throwIfNoEntry: false });
    if (stat?.isFile() !== true || stat.uid !== process.geteuid?.()) continue;
    const lock = tryLock(`${path}.lock`, 'exclusive', 0);
    if (lock === undefined) continue;
    if (!exists(path) || lstatSync(path).uid === process.geteuid?.()) remove(path, lock.release);
    else {
      tryRemove(`${path}.lock`);
      lock.release();
    }
  }
}
