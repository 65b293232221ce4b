// Which directory is the project: the nearest one around the current directory that has a cora.toml
// or is a git work tree, else the current directory itself. No `init` is needed.

import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { type Bytes, basenameBytes, dirnameBytes, fromBuffer, fromText, fsPath, joinBytes, printable, toText } from '../base/bytes.ts';
import { type Config, mergeConfig, type PartialConfig, parseConfig, withoutPrivilegedKeys } from '../base/config.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { PROJECT_FILE } from '../base/user-command.ts';

/** Who may write a configuration file, as its open file said while it was read. */
export type FileOwner = {
  readonly path: string;
  readonly uid: number;
  /** True where its group or everybody may write it. */
  readonly sharedWrite: boolean;
};

export type Project = {
  readonly root: Bytes;
  readonly name: string;
  readonly config: Config;
  readonly warnings: readonly string[];
  /** By the name that commands have in `from`: what decides whether they may run. A file that is not here may run nothing. */
  readonly owners?: Readonly<Record<string, FileOwner>>;
};

/**
 * @param cwd absolute
 * @param home of the user; configuration in it is read, and it is refused as a project itself
 * @throws CoraError project_refused for `/` and the home directory; config_invalid
 */
export async function findProject(cwd: Bytes, home: Bytes | undefined): Promise<Project> {
  const root = findRoot(fromBuffer(realpathSync.native(fsPath(cwd), { encoding: 'buffer' })));
  if (root === '/' || root === home || root === realHome()) {
    throw new CoraError('project_refused', `${toText(root)} is not taken for a project: it would save everything in it`, {
      hint: 'go to the directory of one project (cd), then run the command again',
    });
  }
  const warnings: string[] = [];
  const owners: Record<string, FileOwner> = {};
  const own = await projectFile(root, warnings, owners);
  const name = projectName(own.name, root);
  const machine = await machineFile(name, home, owners);
  const [here, there] = [own.offsite?.recipients, machine.offsite?.recipients];
  // A machine file holds for every project of that name: copies for the wrong key would be noticed on the day they are needed.
  if (here !== undefined && there !== undefined && here.join() !== there.join())
    warnings.push(`offsite.recipients of the machine's file for ${name} win over those of cora.toml: copies are encrypted for those keys`);
  return { root, name: projectName(machine.name ?? own.name, root), config: mergeConfig(own, machine), warnings, owners };
}

function realHome(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

function findRoot(start: Bytes): Bytes {
  for (let at = start; ; at = dirnameBytes(at)) {
    if (isThere(joinBytes(at, 'cora.toml')) || isThere(joinBytes(at, '.git'))) return at;
    if (at === '/') return start;
  }
}

function isThere(path: Bytes): boolean {
  try {
    return lstatSync(fsPath(path), { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function projectName(configured: string | undefined, root: Bytes): string {
  return safeName(configured ?? toText(basenameBytes(root)));
}

/** A project's name as it is safe in a file name and in a unit name. */
export function safeName(text: string): string {
  const name = text.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^[.-]+/, '_');
  return name === '' ? 'project' : name.slice(0, 100);
}

async function projectFile(root: Bytes, warnings: string[], owners: Record<string, FileOwner>): Promise<PartialConfig> {
  const path = joinBytes(root, PROJECT_FILE);
  const file = isThere(path) ? readOwned(path) : undefined;
  if (file === undefined) return {};
  const part = await parseConfig(file.text, PROJECT_FILE);
  owners[PROJECT_FILE] = file.owner;
  // A repository's file must not send root's writes elsewhere.
  if (process.getuid?.() !== 0 || file.owner.uid === 0) return part;
  const { part: safe, dropped } = withoutPrivilegedKeys(part);
  if (dropped.length > 0) warnings.push(`${dropped.join(', ')} in cora.toml is not used: root does not own the file`);
  return safe;
}

async function machineFile(name: string, home: Bytes | undefined, owners: Record<string, FileOwner>): Promise<PartialConfig> {
  const places = [fromText(`/etc/cora/${name}.toml`), ...(home === undefined ? [] : [joinBytes(home, `.config/cora/${name}.toml`)])];
  for (const place of places) {
    try {
      const file = readOwned(place);
      if (file === undefined) continue;
      const part = await parseConfig(file.text, toText(place));
      owners[toText(place)] = file.owner;
      return part;
    } catch (error) {
      if (errnoOf(error) !== 'EACCES' && errnoOf(error) !== 'ENOTDIR') throw error;
    }
  }
  return {};
}

/** Text and owner of one and the same file, even where another is put in its place meanwhile; undefined where there is none. */
function readOwned(path: Bytes): { readonly text: string; readonly owner: FileOwner } | undefined {
  let fd: number;
  try {
    // A FIFO in its place must not keep every command waiting for its other end.
    fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const status = fstatSync(fd);
    const { uid, mode } = status;
    if (!status.isFile())
      throw new CoraError('config_invalid', `${printable(path)} is not a regular file`, { hint: 'put a file there, or remove it' });
    return { text: readFileSync(fd, 'utf8'), owner: { path: toText(path), uid, sharedWrite: (mode & 0o022) !== 0 } };
  } finally {
    closeSync(fd);
  }
}
