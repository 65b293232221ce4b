// Everything that `cora init` finds out before it asks or writes: the tree, its git, the machine and the
// place of the vault. The one thing it may write is a probe for the immutable flag, which it removes.

import { lstatSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { changeFlags, flagReason, readFlags } from '../os/chattr.ts';
import { exists, freeBytes, namesIn, readTextIfThere } from '../os/files.ts';
import { findProgram } from '../os/run.ts';
import { isBooted } from '../os/systemctl.ts';
import { type Assistant, findAssistants } from '../source/assistants.ts';
import { detectTree, type TreeFacts } from '../source/detect.ts';
import { detectGit, type GitFacts } from '../source/detect-git.ts';
import { NAMES } from '../vault/layout.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { type KeyOffer, keyOffer } from './key-offer.ts';
import { type ProjectFacts, refuseInside } from './open-project.ts';

export type InitMachine = { readonly uid: number; readonly home: string | undefined; env?(name: string): string | undefined };

export type VaultPlace = {
  readonly path: string;
  readonly exists: boolean;
  readonly sameDisk: boolean;
  readonly freeBytes: number;
  /** Whether the immutable flag can be set there, tried on a file; undefined where it was not tried. */
  readonly seals: boolean | undefined;
  /** Why it cannot, or was not tried. */
  readonly reason: string | undefined;
};

export type InitFacts = {
  readonly project: ProjectFacts;
  readonly location: VaultLocation;
  readonly tree: TreeFacts;
  readonly git: GitFacts | undefined;
  readonly vault: VaultPlace;
  /** A cora.toml that is there already. */
  readonly configured: boolean;
  readonly root: boolean;
  readonly scheduler: 'systemd' | 'cron' | 'none';
  /** undefined: there is no key to offer. */
  readonly key: KeyOffer | undefined;
  /** AI assistants that are used here. */
  readonly assistants: readonly Assistant[];
  /** Names of the remotes that rclone knows. */
  readonly rclone: readonly string[];
  /** Over 5 GB or 200,000 files: a person should look before the first save. */
  readonly huge: boolean;
  readonly seconds: number;
};

const HUGE_BYTES = 5_000_000_000;
const HUGE_FILES = 200_000;

/**
 * @param probe false: nothing at all is written
 * @throws CoraError project_refused, io, interrupted
 */
export async function detectProject(
  project: ProjectFacts,
  location: VaultLocation,
  machine: InitMachine,
  probe: boolean,
  ctx: Context,
): Promise<InitFacts> {
  const begun = performance.now();
  refusePlaces(project.root, location.path);
  ctx.monitor.phase('scan');
  const tree = detectTree(project.root, project.config, ctx.signal);
  const git = await detectGit(project.root, machine);
  return {
    project,
    location,
    tree,
    git,
    vault: lookAtVault(project.root, location.path, probe),
    configured: exists(`${toText(project.root)}/cora.toml`),
    root: machine.uid === 0,
    scheduler: isBooted() ? 'systemd' : findProgram('crontab') === undefined ? 'none' : 'cron',
    assistants: findAssistants(toText(project.root), machine.home),
    rclone: rcloneRemotes(machine.home),
    key: await keyOffer(project, location, machine),
    huge: tree.bytes > HUGE_BYTES || tree.files > HUGE_FILES,
    seconds: (performance.now() - begun) / 1000,
  };
}

/**
 * A project must not lie in any vault, nor its vault in it.
 * @throws CoraError project_refused
 */
export function refusePlaces(root: Bytes, vaultPath: string): void {
  refuseInside(root, vaultPath);
  for (let at = toText(root); at !== '/'; at = dirname(at)) {
    if (!exists(`${at}/${NAMES.vaultJson}`) || !exists(`${at}/${NAMES.ledger}`)) continue;
    throw new CoraError('project_refused', `${toText(root)} lies inside the vault ${at}`, { hint: 'go to the directory of a project (cd)' });
  }
}

/** What is to be known about the place of a vault that may not exist yet. */
export function lookAtVault(root: Bytes, path: string, probe: boolean): VaultPlace {
  const near = nearest(path);
  const place = {
    path,
    exists: exists(`${path}/${NAMES.vaultJson}`),
    sameDisk: statSync(near).dev === statSync(fsPath(root)).dev,
    freeBytes: freeBytes(near),
  };
  return { ...place, ...(probe ? probeFlag(near) : { seals: undefined, reason: 'not tried' }) };
}

/** The nearest directory at or above a path that exists. */
function nearest(path: string): string {
  for (let at = path; ; at = dirname(at)) if (statSync(at, { throwIfNoEntry: false })?.isDirectory() === true || at === '/') return at;
}

function probeFlag(directory: string): Pick<VaultPlace, 'seals' | 'reason'> {
  let made: string | undefined;
  try {
    // In a vault that is there, what a crash would leave belongs to its staging.
    const stage = `${directory}/${NAMES.stage}`;
    const place = exists(stage) ? stage : directory;
    removeOldProbes(place);
    made = mkdtempSync(`${place}/.cora-probe-`);
    const path = fromText(`${made}/file`);
    writeFileSync(fsPath(path), '');
    const failure = changeFlags('+i', [path]);
    const seals = readFlags([path])[0]?.immutable === true;
    changeFlags('-i', [path]);
    return { seals, reason: seals ? undefined : flagReason(failure ?? 'unsupported') };
  } catch (error) {
    return { seals: undefined, reason: messageOf(error) };
  } finally {
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
  }
}

const OLD_PROBE_MS = 60_000;

/** A run that was killed in the middle leaves a file that only its flag keeps from being deleted. */
function removeOldProbes(directory: string): void {
  for (const name of namesIn(directory)) {
    const path = `${directory}/${name}`;
    if (!/^\.cora-probe-[A-Za-z0-9]{6}$/.test(name) || Date.now() - lstatSync(path).mtimeMs < OLD_PROBE_MS) continue;
    if (exists(`${path}/file`)) changeFlags('-i', [fromText(`${path}/file`)]);
    rmSync(path, { recursive: true, force: true });
  }
}

/** Their names alone: the file holds keys. */
function rcloneRemotes(home: string | undefined): string[] {
  if (home === undefined) return [];
  try {
    const text = readTextIfThere(`${home}/.config/rclone/rclone.conf`) ?? '';
    return [...text.matchAll(/^\[([^\]\n]+)\]/gm)].map(([, name]) => name ?? '').filter((name) => name !== 'RCLONE_ENCRYPT_V0');
  } catch {
    return [];
  }
}
