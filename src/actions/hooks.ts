// `cora hooks install, status, remove`: puts Cora's block into the hook that git will really run, says
// whether it would run, and takes it out again to the byte.

import { chmodSync, chownSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, isText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { exists, replaceFile } from '../os/files.ts';
import { runSync } from '../os/run.ts';
import {
  blockText,
  findBlock,
  HOOK_NAMES,
  type HookName,
  insertBlock,
  isShell,
  lefthookText,
  removeBlock,
  shellQuoted,
} from '../source/hook-block.ts';
import { findHookOwner, type HookManager, type HookOwner, hookFile, isExecutable, refuseShared, shadowedHook, textOf } from '../source/hook-owner.ts';

/** What was, or would be, done to one file. */
export type HookChange = {
  readonly hook: HookName;
  /** Absolute. */
  readonly path: string;
  readonly action: 'installed' | 'updated' | 'unchanged' | 'removed' | 'kept';
  /** Why it was kept. */
  readonly reason?: string;
};

export type HooksResult = { readonly manager: HookManager; readonly changes: readonly HookChange[] };

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

type Place = { readonly launcher: string; readonly home: string | undefined };

const ASIDE = '.before-cora';

/**
 * Installs the pre-push hook and those asked for. Running it twice changes nothing.
 * @throws CoraError refused where there is no work tree, where hooks are shared with other repositories, or a block is cut off
 */
export function installHooks(projectRoot: Bytes, also: readonly HookName[], place: Place): HooksResult {
  const root = textRoot(projectRoot);
  const owner = findHookOwner(root, place.home);
  refuseShared(owner, root, place.launcher);
  const wanted: HookName[] = ['pre-push', ...also.filter((hook) => hook !== 'pre-push')];
  if (owner.manager === 'lefthook') return { manager: 'lefthook', changes: [installLefthook(owner, wanted, place.launcher)] };
  return { manager: owner.manager, changes: wanted.map((hook) => installOne(owner, hook, place.launcher)) };
}

function installOne(owner: HookOwner, hook: HookName, launcher: string): HookChange {
  const path = hookFile(owner, hook);
  const text = textOf(path);
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const block = text === undefined || isLink ? undefined : blockIn(text, path);
  if (text !== undefined && block !== undefined) {
    if (!block.intact) return { hook, path, action: 'kept', reason: 'somebody edited the block; take it out by hand, then install again' };
    const without = removeBlock(text, block);
    const fresh = insertBlock(without, makeBlock(owner, hook, launcher, without, block.words));
    if (fresh === text) return { hook, path, action: 'unchanged' };
    write(path, fresh, undefined);
    return { hook, path, action: 'updated' };
  }
  const husky = owner.huskyDirectory !== undefined;
  mkdirs(dirname(path));
  if (text !== undefined && (isLink || !isShell(text))) {
    // Its language is not ours: it stands aside and is called with the same input.
    renameSync(path, path + ASIDE);
    const call = `exec ${shellQuoted(path + ASIDE)} "$@"\n`;
    write(path, `#!/bin/sh\n${makeBlock(owner, hook, launcher, '', ['aside'])}${call}`, 0o755);
    return { hook, path, action: 'installed' };
  }
  const mode = text === undefined ? undefined : statSync(path).mode & 0o7777;
  const cannotRun = text !== undefined && !husky && !isExecutable(path);
  const words = [...(text === undefined ? ['created'] : []), ...(cannotRun && mode !== undefined ? [`was-${mode.toString(8)}`] : [])];
  const before = text ?? (husky ? '' : '#!/bin/sh\n');
  const after = insertBlock(before, makeBlock(owner, hook, launcher, before, words));
  write(path, after, text === undefined ? (husky ? 0o644 : 0o755) : cannotRun ? (mode ?? 0) | 0o111 : undefined);
  return { hook, path, action: 'installed' };
}

/** lefthook writes its hook files again when it likes, so its configuration of this machine gets the command. */
function installLefthook(owner: HookOwner, hooks: readonly HookName[], launcher: string): HookChange {
  const path = hookFile(owner, 'pre-push');
  const text = textOf(path);
  const block = text === undefined ? undefined : blockIn(text, path);
  const change = { hook: 'pre-push' as const, path };
  if (block?.intact === false) return { ...change, action: 'kept', reason: 'somebody edited the block; take it out by hand, then install again' };
  const rest = text === undefined ? '' : block === undefined ? text : removeBlock(text, block);
  const taken = hooks.find((hook) => new RegExp(`^["']?${hook}["']?\\s*:`, 'm').test(rest));
  if (taken !== undefined) {
    const lines = `cora: { run: "${launcher} hook pre-push {1} {2}", use_stdin: true }`;
    return { ...change, action: 'kept', reason: `it has a ${taken} of its own; add to its commands: ${lines}` };
  }
  const words = text === undefined ? ['created'] : (block?.words ?? []);
  const fresh = `${rest}${rest === '' || rest.endsWith('\n') ? '' : '\n'}${lefthookText(hooks, launcher, words)}`;
  if (fresh === text) return { ...change, action: 'unchanged' };
  write(path, fresh, text === undefined ? 0o644 : undefined);
  return { ...change, action: block === undefined ? 'installed' : 'updated' };
}

function makeBlock(owner: HookOwner, hook: HookName, launcher: string, rest: string, words: readonly string[]): string {
  const shadowed = shadowedHook(owner, hook);
  const callsLfs = (text: string | undefined) => text !== undefined && /git[ -]lfs pre-push/.test(text);
  const chain = shadowed === undefined ? undefined : shellQuoted(shadowed);
  const lfs = hook === 'pre-push' && owner.lfs && !callsLfs(rest) && !callsLfs(shadowed === undefined ? undefined : textOf(shadowed));
  return blockText({ hook, launcher, lfs, chain, words });
}

/** Takes every block out. What somebody edited is kept and named. */
export function removeHooks(projectRoot: Bytes, place: Place): HooksResult {
  const root = textRoot(projectRoot);
  const owner = findHookOwner(root, place.home);
  const hooks = owner.manager === 'lefthook' ? HOOK_NAMES.slice(0, 1) : HOOK_NAMES;
  const changes = hooks.flatMap((hook): HookChange[] => {
    const path = hookFile(owner, hook);
    const text = textOf(path);
    const block = text === undefined ? undefined : blockIn(text, path);
    if (text === undefined || block === undefined) return [];
    if (!block.intact) return [{ hook, path, action: 'kept', reason: 'somebody edited the block; take it out by hand' }];
    const rest = removeBlock(text, block);
    if (block.words.includes('aside') && exists(path + ASIDE)) {
      renameSync(path + ASIDE, path);
    } else if (block.words.includes('created') && (rest === '' || rest === '#!/bin/sh\n')) {
      rmSync(path);
    } else {
      const was = block.words.find((word) => word.startsWith('was-'));
      write(path, rest, was === undefined ? undefined : Number.parseInt(was.slice(4), 8));
    }
    return [{ hook, path, action: 'removed' }];
  });
  return { manager: owner.manager, changes };
}

/** Whether each installed hook would run, and why not. The pre-push hook is told of always. */
export function hooksStatus(projectRoot: Bytes, place: Place): HooksStatus {
  const root = textRoot(projectRoot);
  const owner = findHookOwner(root, place.home);
  const hooks = owner.manager === 'lefthook' ? HOOK_NAMES.slice(0, 1) : HOOK_NAMES;
  const states = hooks.map((hook): HookState => {
    const path = hookFile(owner, hook);
    const text = textOf(path);
    let block: ReturnType<typeof findBlock>;
    try {
      block = text === undefined ? undefined : findBlock(text);
    } catch {
      return { hook, path, installed: true, edited: true, runs: false, reason: 'its block is cut off: take it out by hand, then cora hooks install' };
    }
    const installed = block !== undefined;
    const reason = installed ? whyNotRun(owner, hook, path, place) : `it is not installed${lostTo(owner)}; cora hooks install`;
    return { hook, path, installed, edited: block?.intact === false, runs: reason === undefined, reason };
  });
  return { manager: owner.manager, hooks: states.filter(({ hook, installed }) => hook === 'pre-push' || installed) };
}

function lostTo(owner: HookOwner): string {
  return owner.manager === 'plain' ? '' : ` (${owner.manager} writes this file, and may have written it again)`;
}

function whyNotRun(owner: HookOwner, hook: HookName, path: string, { launcher, home }: Place): string | undefined {
  if (owner.huskyDirectory !== undefined && owner.directory !== owner.huskyDirectory) {
    // husky's own directory is not in git: a new clone or work tree has none until husky ran there.
    if (!isExecutable(`${owner.directory}/${hook}`))
      return `${owner.directory} is not there: git runs no hook at all here until husky does its part (npx husky)`;
    const init = textOf(`${home ?? '/nonexistent'}/.config/husky/init.sh`);
    if (init !== undefined && /^\s*(export\s+)?HUSKY=0/m.test(init)) return 'HUSKY=0 in ~/.config/husky/init.sh switches all hooks off';
  } else if (!isExecutable(owner.manager === 'lefthook' ? `${owner.directory}/${hook}` : path))
    return 'it is not executable, so git passes it over (chmod +x)';
  if (!exists(launcher)) return `${launcher} is gone; cora hooks install`;
  const { exitCode, stderr } = runSync(launcher, ['--version'], { timeout: 20_000 });
  return exitCode === 0 ? undefined : `${launcher} does not start: ${stderr.trim().split('\n')[0] ?? ''}`;
}

function blockIn(text: string, path: string): ReturnType<typeof findBlock> {
  try {
    return findBlock(text);
  } catch (error) {
    throw new CoraError('refused', `${path} holds a block of Cora that begins and does not end`, {
      hint: 'take it out by hand, then run the command again',
      cause: error,
    });
  }
}

/** Replaced by rename, so that a hook that runs now is not cut. Mode and owner stay; a new file is its directory's owner's. */
function write(path: string, text: string, mode: number | undefined): void {
  const model = statSync(path, { throwIfNoEntry: false });
  const owner = model ?? statSync(dirname(path));
  replaceFile(path, Buffer.from(text, 'latin1'), true);
  if (process.geteuid?.() === 0) chownSync(path, owner.uid, owner.gid);
  chmodSync(path, mode ?? (model === undefined ? 0o755 : model.mode & 0o7777));
}

function mkdirs(directory: string): void {
  if (!exists(directory)) mkdirSync(directory);
}

function textRoot(root: Bytes): string {
  if (isText(root)) return toText(root);
  throw new CoraError('refused', `${toText(root)} has a name that is not UTF-8; its hooks are not touched`, { hint: 'rename the directory' });
}
