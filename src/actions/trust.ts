// Which of the commands in configuration files may run. A machine's own file may say so by its owner;
// a repository's cora.toml only what a person saw and allowed (`cora trust`), pinned by the hash of each
// command, and as root only if root alone can write the file. Invariant: nothing else makes a `Trusted`.

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type Bytes, fromText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { type Asked, askedIn, PROJECT_FILE } from '../base/user-command.ts';
import { makePath, readTextIfThere, replaceFile } from '../os/files.ts';
import type { Project } from '../vault/project.ts';

/** Who runs it; `session.machine` is one. */
export type CommandHost = {
  readonly uid: number;
  /** The directory of Cora's own state; undefined: nothing can be trusted here. */
  readonly state: string | undefined;
  /** A variable of the caller's environment. */
  env(name: string): string | undefined;
  /** Does something under the caller's umask; our own would make a service's files its owner's alone. */
  asCaller?<T>(work: () => T): T;
};

/** What decides: the project's place, and who may write its configuration files. */
export type TrustFacts = Pick<Project, 'root' | 'config' | 'owners'>;

declare const allowed: unique symbol;
/** A command or check that may run; made by `trusted` alone. */
export type Trusted<T extends Asked> = T & { readonly [allowed]: true };

/** `owner`: the file could be written by somebody who must not say what runs; `untrusted`: nobody allowed it yet. */
export type TrustState = 'trusted' | 'untrusted' | 'owner';

/** Every command and probe of the configuration that is in force. */
export function commandsOf(config: object): readonly Asked[] {
  return askedIn(config);
}

export function trustState(project: TrustFacts, asked: Asked, host: CommandHost): TrustState {
  return stateOf(project, asked, host, pinned(project.root, host));
}

/**
 * The same command, now known to be allowed.
 * @throws CoraError refused, with the command that allows it
 */
export function trusted<T extends Asked>(project: TrustFacts, asked: T, host: CommandHost): Trusted<T> {
  requireTrusted(project, [asked], host);
  return asked as Trusted<T>;
}

/**
 * For the beginning of a run: refuses before anything is changed, not in the middle.
 * @throws CoraError refused where one of them may not run
 */
export function requireTrusted(project: TrustFacts, asked: readonly Asked[], host: CommandHost): void {
  const pins = pinned(project.root, host);
  for (const one of asked) {
    const state = stateOf(project, one, host, pins);
    if (state === 'owner') throw wrongOwner(project, one.from, host);
    if (state === 'untrusted') {
      throw new CoraError('refused', `${one.key} in ${one.from} names a command that nobody has allowed on this machine`, {
        hint: 'look at it and allow it with: cora trust',
        details: { key: one.key, source: one.from },
      });
    }
  }
}

/** Why the file may run nothing, and what to do. */
export function wrongOwner(project: TrustFacts, from: string, host: CommandHost): CoraError {
  const owner = project.owners?.[from];
  const path = owner?.path ?? from;
  const shared = owner?.sharedWrite === true && (owner.uid === 0 || owner.uid === host.uid);
  const why = shared ? 'others may write it' : host.uid === 0 ? 'root does not own it' : 'another user owns it';
  const cure = shared
    ? `chmod go-w ${path}`
    : host.uid === 0
      ? `put the commands into /etc/cora/, or: chown root ${path}`
      : `chown it to yourself: ${path}`;
  return new CoraError('refused', `The commands in ${path} do not run${host.uid === 0 ? ' as root' : ''}: ${why}`, {
    hint: cure,
    details: { source: from },
  });
}

/**
 * Allows every command that the repository's file asks for now. Only after a person saw them.
 * @throws CoraError refused where the file's owner forbids it; usage where there is no state directory
 */
export function allow(project: TrustFacts, host: CommandHost, now: number): void {
  const asked = commandsOf(project.config).filter(({ from }) => from === PROJECT_FILE);
  if (asked.some((one) => stateOf(project, one, host, new Set()) === 'owner')) throw wrongOwner(project, PROJECT_FILE, host);
  const place = placeOf(project.root, host);
  if (place === undefined) throw new CoraError('usage', 'There is no directory for what is trusted: HOME is not set', { hint: 'set HOME' });
  makePath(fromText(`${host.state}/trust`));
  const record = { root: toText(project.root), trusted_at: new Date(now).toISOString(), commands: asked.map((one) => hashOf(project.root, one)) };
  replaceFile(place, `${JSON.stringify(record)}\n`, true);
}

/** Takes it back. @returns true where something was trusted */
export function disallow(project: TrustFacts, host: CommandHost): boolean {
  const place = placeOf(project.root, host);
  if (place === undefined || readTextIfThere(place) === undefined) return false;
  rmSync(place);
  return true;
}

function stateOf(project: TrustFacts, asked: Asked, host: CommandHost, pins: ReadonlySet<string>): TrustState {
  const owner = project.owners?.[asked.from];
  if (owner === undefined) return 'owner';
  const ours = !owner.sharedWrite && (owner.uid === 0 || owner.uid === host.uid);
  if (asked.from !== PROJECT_FILE) return ours ? 'trusted' : 'owner';
  if (host.uid === 0 && !ours) return 'owner';
  return pins.has(hashOf(project.root, asked)) ? 'trusted' : 'untrusted';
}

/** Over all that is said of it: what runs, with which limits, in which project and for what. */
function hashOf(root: Bytes, asked: Asked): string {
  return createHash('sha256')
    .update(JSON.stringify([root, asked.key, sorted(asked)]))
    .digest('hex');
}

/** The order in which a file names keys says nothing. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)]);
}

function placeOf(root: Bytes, host: CommandHost): string | undefined {
  if (host.state === undefined) return undefined;
  return `${host.state}/trust/${createHash('sha256').update(root, 'latin1').digest('hex').slice(0, 32)}.json`;
}

/** What was allowed; a record that cannot be read allows nothing. */
function pinned(root: Bytes, host: CommandHost): ReadonlySet<string> {
  const place = placeOf(root, host);
  try {
    const text = place === undefined ? undefined : readTextIfThere(place);
    const record: unknown = text === undefined ? undefined : JSON.parse(text);
    if (typeof record !== 'object' || record === null || !('commands' in record) || !Array.isArray(record.commands)) return new Set();
    return new Set(record.commands.filter((hash) => typeof hash === 'string'));
  } catch {
    return new Set();
  }
}
