// Which directory is the project: the nearest one around the current directory that has a cora.toml
// or is a git work tree, else the current directory itself. No `init` is needed.

import { lstatSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { type Bytes, basenameBytes, dirnameBytes, fromBuffer, fsPath, joinBytes, toText } from '../base/bytes.ts';
import { type Config, mergeConfig, type PartialConfig, parseConfig, withoutPrivilegedKeys } from '../base/config.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { readTextIfThere } from '../os/files.ts';

export type Project = { readonly root: Bytes; readonly name: string; readonly config: Config; readonly warnings: readonly string[] };

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
  const own = await projectFile(root, warnings);
  const name = projectName(own.name, root);
  const machine = await machineFile(name, home);
  return { root, name: projectName(machine.name ?? own.name, root), config: mergeConfig(own, machine), warnings };
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

/** A name that is safe in a file name and in a unit name. */
function projectName(configured: string | undefined, root: Bytes): string {
  const name = (configured ?? toText(basenameBytes(root))).replace(/[^A-Za-z0-9._-]/g, '_').replace(/^[.-]+/, '_');
  return name === '' ? 'project' : name.slice(0, 100);
}

async function projectFile(root: Bytes, warnings: string[]): Promise<PartialConfig> {
  const path = joinBytes(root, 'cora.toml');
  if (!isThere(path)) return {};
  const text = readTextIfThere(toText(path));
  if (text === undefined) return {};
  const part = await parseConfig(text, 'cora.toml');
  // A repository's file must not send root's writes elsewhere.
  if (process.getuid?.() !== 0 || statSync(fsPath(path)).uid === 0) return part;
  const { part: safe, dropped } = withoutPrivilegedKeys(part);
  if (dropped.length > 0) warnings.push(`${dropped.join(', ')} in cora.toml is not used: root does not own the file`);
  return safe;
}

async function machineFile(name: string, home: Bytes | undefined): Promise<PartialConfig> {
  const places = [`/etc/cora/${name}.toml`, ...(home === undefined ? [] : [`${toText(home)}/.config/cora/${name}.toml`])];
  for (const place of places) {
    try {
      const text = readTextIfThere(place);
      if (text !== undefined) return await parseConfig(text, place);
    } catch (error) {
      if (errnoOf(error) !== 'EACCES' && errnoOf(error) !== 'ENOTDIR') throw error;
    }
  }
  return {};
}
