// `cora hooks status`: whether each hook is installed, and whether git would really run it here and now.
// Invariant: "it runs" is said only when every link was looked at, down to a start of the Cora that the block names.

import { dirname, join } from 'node:path';
import type { Bytes } from '../base/bytes.ts';
import { exists } from '../os/files.ts';
import { runSync } from '../os/run.ts';
import { callsByHand, FALLBACKS, type FoundBlock, findBlocks, HOOK_NAMES, type HookName, launcherOf } from '../source/hook-block.ts';
import { findHookOwner, type HookManager, type HookOwner, hookFile, isExecutable, managerOf, sharedReason, textOf } from '../source/hook-owner.ts';
import { lefthookHooks, lefthookPrograms } from '../source/lefthook.ts';
import { type HooksPlace, textRoot } from './hooks.ts';

export type HookState = {
  readonly hook: HookName;
  readonly path: string;
  readonly installed: boolean;
  readonly edited: boolean;
  /** True where git would run it here and now, and it would find Cora. */
  readonly runs: boolean;
  /** Why not; undefined where it runs. */
  readonly reason: string | undefined;
};

export type HooksStatus = { readonly manager: HookManager; readonly hooks: readonly HookState[] };

/**
 * The pre-push hook is told of always, others where they are installed.
 * @throws CoraError refused where there is no work tree
 */
export function hooksStatus(projectRoot: Bytes, place: HooksPlace): HooksStatus {
  const owner = findHookOwner(textRoot(projectRoot), place);
  const states = HOOK_NAMES.map((hook) => stateOf(owner, hook, place));
  return { manager: owner.manager, hooks: states.filter(({ hook, installed }) => hook === 'pre-push' || installed) };
}

function stateOf(owner: HookOwner, hook: HookName, place: HooksPlace): HookState {
  const path = owner.shared ? join(owner.directory, hook) : hookFile(owner, hook);
  const text = textOf(path) ?? '';
  let blocks: FoundBlock[];
  try {
    blocks = findBlocks(text);
  } catch {
    return { hook, path, installed: true, edited: true, runs: false, reason: 'its block is cut off: take it out by hand, then cora hooks install' };
  }
  const lefthook = managerOf(owner, hook) === 'lefthook';
  const block = blocks.find(({ start, end }) => !lefthook || lefthookHooks(text.slice(start, end)).includes(hook));
  const installed = block !== undefined || (hook === 'pre-push' && callsByHand(text));
  const reason = installed ? whyNotRun(owner, hook, path, text, block, place) : whyMissing(owner, hook);
  return { hook, path, installed, edited: block?.intact === false, runs: reason === undefined, reason };
}

function whyMissing(owner: HookOwner, hook: HookName): string {
  if (owner.shared) return `${sharedReason(owner)}; cora hooks install names the two ways`;
  const manager = managerOf(owner, hook);
  return `it is not installed${manager === 'plain' ? '' : ` (${manager} writes this file, and may have written it again)`}; cora hooks install`;
}

function whyNotRun(
  owner: HookOwner,
  hook: HookName,
  path: string,
  text: string,
  block: FoundBlock | undefined,
  place: HooksPlace,
): string | undefined {
  if (owner.switchedOff && hook === 'pre-push') return 'git config cora.hook switches it off';
  // What git itself starts; the file with the block may be another one.
  const started = join(owner.directory, hook);
  if (owner.huskyDirectory !== undefined) {
    // husky's own directory is not in git: a new clone or work tree has none until husky ran there.
    if (!exists(started)) return `${owner.directory} is not there: git runs no hook at all here until husky does its part (npx husky)`;
    const init = textOf(join(place.env?.('XDG_CONFIG_HOME') ?? join(place.home ?? '/nonexistent', '.config'), 'husky/init.sh'));
    if (init !== undefined && /^\s*(?:export\s+)?HUSKY=["']?0/m.test(init)) return 'HUSKY=0 in ~/.config/husky/init.sh switches all hooks off';
  }
  for (const file of dirname(path) === owner.directory ? [started, path] : [started]) {
    if (!isExecutable(file)) return `${file === path ? 'it' : file} is not executable, so git passes it over (chmod +x)`;
  }
  const interpreter = /^#!\s*([^ \t\n]+)/.exec(textOf(started) ?? '')?.[1];
  if (interpreter?.startsWith('/') === true && !isExecutable(interpreter)) return `its first line names ${interpreter.trim()}, which is not there`;
  if (
    managerOf(owner, hook) === 'lefthook' &&
    ![...lefthookPrograms(owner.root, textOf(started) ?? ''), ...inPath('lefthook', place.env)].some(exists)
  )
    return 'its hook file does not find lefthook, and then runs nothing (lefthook install)';
  return whyNoStart(block === undefined ? undefined : launcherOf(text, block), place);
}

/** Starts the Cora that the block would start. */
function whyNoStart(named: string | undefined, { launcher, home, env }: HooksPlace): string | undefined {
  const others = [...FALLBACKS.map((path) => path.replace('~', home ?? '')), ...inPath('cora', env)];
  const first = named ?? launcher;
  const found = [first, ...others].find((path) => path.startsWith('/') && isExecutable(path));
  if (found === undefined) return `${first} is gone; cora hooks install`;
  const { exitCode, stderr } = runSync(found, ['--version'], { timeout: 20_000 });
  return exitCode === 0 ? undefined : `${found} does not start: ${stderr.trim().split('\n')[0] ?? ''}`;
}

/** `npx` puts directories in front that the shell of a push does not have. */
function inPath(program: string, env: HooksPlace['env']): string[] {
  const directories = (env?.('PATH') ?? '').split(':').filter((directory) => !/\/node_modules\/\.bin\/?$/.test(directory));
  return directories.map((directory) => join(directory, program));
}
