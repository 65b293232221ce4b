// Who is in charge of a repository's git hooks, and which file git will really run. What git itself
// answers comes first; the managers' files only explain it. Nothing is written here.

import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CoraError } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import { requireProgram, runSync } from '../os/run.ts';
import { findBlocks, HOOK_NAMES, type HookName, shellQuoted } from './hook-block.ts';
import { LEFTHOOK_LOCAL, lefthookFile } from './lefthook.ts';

export type HookManager = 'plain' | 'husky' | 'husky-4' | 'lefthook' | 'pre-commit' | 'simple-git-hooks';

/** Whose configuration of git counts: that of the person who pushes. */
export type GitUser = { readonly home: string | undefined; env?(name: string): string | undefined };

/** Whose hooks a repository runs. All paths are absolute. */
export type HookOwner = {
  /** The top of the work tree: hooks run there, and paths in git's configuration begin there. */
  readonly root: string;
  /** Of the pre-push hook. */
  readonly manager: HookManager;
  /** The directory in which git looks for hooks. */
  readonly directory: string;
  /** Hooks of a linked work tree lie in the main one. */
  readonly commonDirectory: string;
  /** husky 9: the directory of the files that people edit (`.husky`). */
  readonly huskyDirectory: string | undefined;
  /** Where core.hooksPath is set, and in whose configuration. */
  readonly configured: { readonly path: string; readonly scope: string } | undefined;
  /** True where hooks in `directory` run in other repositories too: nothing there is ours to change. */
  readonly shared: boolean;
  /** `git config cora.hook off`: the hook runs and does nothing. */
  readonly switchedOff: boolean;
  /** True where files are kept by git-lfs. */
  readonly lfs: boolean;
};

const GIT_VARIABLES = ['XDG_CONFIG_HOME', 'GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM', 'GIT_CONFIG_NOSYSTEM'];

/**
 * @param project a directory in the work tree, text
 * @throws CoraError refused outside a git work tree
 */
export function findHookOwner(project: string, user: GitUser): HookOwner {
  const env = environmentOf(user);
  const git = (directory: string, ...args: string[]): string | undefined => {
    // Without `safe.directory` git refuses a repository of another owner; these commands run nothing from it.
    const run = runSync(requireProgram('git', 'git'), ['-c', 'safe.directory=*', '-c', 'core.fsmonitor=false', '-C', directory, ...args], { env });
    return run.exitCode === 0 ? run.stdout.toString().replace(/\n$/, '') : undefined;
  };
  const root = git(project, 'rev-parse', '--is-inside-work-tree') === 'true' ? git(project, 'rev-parse', '--show-toplevel') : undefined;
  if (root === undefined) {
    throw new CoraError('refused', `${project} is not a git work tree, so it has no hooks`, {
      hint: 'git init makes one; timers work without git: cora timers install',
    });
  }
  const directory = resolve(root, git(root, 'rev-parse', '--git-path', 'hooks') ?? '.git/hooks');
  const commonDirectory = resolve(root, git(root, 'rev-parse', '--git-common-dir') ?? '.git');
  const scoped = git(root, 'config', '--show-scope', '--get', 'core.hooksPath')?.split('\t');
  const configured = scoped === undefined ? undefined : { scope: scoped[0] ?? '', path: scoped.slice(1).join('\t') };
  // husky 9 makes `_` anew in each clone and work tree; where it is missing its name tells.
  const husky = basename(directory) === '_' && (exists(join(directory, 'h')) || !exists(directory));
  const owner = {
    root,
    directory,
    commonDirectory,
    huskyDirectory: husky ? dirname(directory) : undefined,
    configured,
    shared: configured !== undefined && (['global', 'system'].includes(configured.scope) || !isOwn(directory, root, commonDirectory)),
    switchedOff: /^(off|false|no|0)$/.test(git(root, 'config', '--get', 'cora.hook') ?? ''),
    lfs: usesLfs(root, (...args) => git(root, ...args)),
  };
  return { ...owner, manager: managerOf(owner, 'pre-push') };
}

function environmentOf({ home, env }: GitUser): Record<string, string> {
  const variables: Record<string, string> = home === undefined ? {} : { HOME: home };
  for (const name of GIT_VARIABLES) {
    const value = env?.(name);
    if (value !== undefined) variables[name] = value;
  }
  return variables;
}

/** Within the work tree, the repository, or the main work tree of a linked one. */
function isOwn(directory: string, root: string, commonDirectory: string): boolean {
  const homes = [root, commonDirectory, ...(basename(commonDirectory) === '.git' ? [dirname(commonDirectory)] : [])];
  return homes.some((one) => `${directory}/`.startsWith(`${one}/`));
}

/** Who writes the file that git runs for this hook. */
export function managerOf(
  { root, directory, huskyDirectory }: Pick<HookOwner, 'root' | 'directory' | 'huskyDirectory'>,
  hook: HookName,
): HookManager {
  if (huskyDirectory !== undefined || basename(directory) === '.husky') return 'husky';
  const text = textOf(join(directory, hook)) ?? '';
  if (text.includes('LEFTHOOK')) return 'lefthook';
  if (text.includes('File generated by pre-commit')) return 'pre-commit';
  if (isOldHusky(text)) return 'husky-4';
  const configured = ['.simple-git-hooks.json', '.simple-git-hooks.js', '.simple-git-hooks.cjs', 'simple-git-hooks.json'];
  if (textOf(join(root, 'package.json'))?.includes('"simple-git-hooks"') === true || configured.some((name) => exists(join(root, name))))
    return 'simple-git-hooks';
  return 'plain';
}

/** The hook files of husky 1 to 4 start a program that later versions do not have. */
function isOldHusky(text: string): boolean {
  return /^# husky$/m.test(text) || text.includes('/husky.sh"');
}

function usesLfs(root: string, git: (...args: string[]) => string | undefined): boolean {
  const filter = /(?:^|\s)filter=lfs\b/m;
  const files = ['.gitattributes', git('rev-parse', '--git-path', 'info/attributes') ?? ''];
  if (files.some((file) => filter.test(textOf(resolve(root, file)) ?? ''))) return true;
  return git('grep', '-lIE', '(^|[[:space:]])filter=lfs', '--', ':(glob)**/.gitattributes') !== undefined;
}

/** The file into which a block for this hook goes. */
export function hookFile(owner: HookOwner, hook: HookName): string {
  const manager = managerOf(owner, hook);
  if (manager === 'lefthook') return lefthookFile(owner.root);
  const path = join(owner.huskyDirectory ?? owner.directory, hook);
  // pre-commit keeps the hook that it found under this name, and calls it.
  const legacy = `${path}.legacy`;
  return manager === 'pre-commit' && textOf(legacy)?.includes('# >>> cora') === true && !hasBlock(path) ? legacy : path;
}

function hasBlock(path: string): boolean {
  try {
    return findBlocks(textOf(path) ?? '').length > 0;
  } catch {
    return true;
  }
}

/** Every file of this repository where a block may stand, also from the time of another manager. Never one that is shared. */
export function blockFiles(owner: HookOwner): { readonly hook: HookName; readonly path: string }[] {
  const plain = join(owner.commonDirectory, 'hooks');
  const files = HOOK_NAMES.flatMap((hook) =>
    [
      ...(owner.shared ? [] : [hookFile(owner, hook), join(owner.directory, hook)]),
      ...['', '.legacy', '.old'].map((kind) => join(plain, hook) + kind),
      join(owner.root, '.husky', hook),
    ].map((path) => ({ hook, path })),
  );
  const local = LEFTHOOK_LOCAL.map((name) => ({ hook: 'pre-push' as const, path: join(owner.root, name) }));
  const unique = new Map([...local, ...files].toReversed().map((file) => [file.path, file]));
  return [...unique.values()].toReversed().filter(({ path }) => !owner.shared || dirname(path) !== owner.directory);
}

/**
 * A hooks directory that other repositories use too is not ours to write to.
 * @throws CoraError refused, naming the two ways
 */
export function refuseShared(owner: HookOwner, launcher: string): void {
  const { configured } = owner;
  if (!owner.shared || configured === undefined) return;
  const own = shellQuoted(join(owner.commonDirectory, 'hooks'));
  throw new CoraError('refused', sharedReason(owner), {
    hint: `either give this repository its own hooks: git config --local core.hooksPath ${own} && cora hooks install; or add to ${join(owner.directory, 'pre-push')} by hand: ${shellQuoted(launcher)} hook pre-push "$@"`,
    details: { hooks_path: configured.path, scope: configured.scope },
  });
}

export function sharedReason({ configured }: HookOwner): string {
  return `core.hooksPath (${configured?.scope ?? ''}) is ${configured?.path ?? ''}: hooks there run in other repositories too`;
}

/** A hook that git would run if the manager's directory did not stand in front of it. */
export function shadowedHook(owner: HookOwner, hook: HookName): string | undefined {
  const plain = join(owner.commonDirectory, 'hooks', hook);
  return dirname(plain) !== owner.directory && isExecutable(plain) && !isOldHusky(textOf(plain) ?? '') ? plain : undefined;
}

export function isExecutable(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && (status.mode & 0o111) !== 0;
}

/** A regular file as latin1, a character a byte. */
export function textOf(path: string): string | undefined {
  return exists(path) && statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path, 'latin1') : undefined;
}
