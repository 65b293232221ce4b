// `cora hooks install, remove`: puts Cora's block into the hook that git will really run, and takes it out
// again to the byte. Invariants: all is looked at before anything is changed; no file is replaced whose bytes are kept nowhere.

import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Bytes, isText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { exists, replaceFile } from '../os/files.ts';
import { blockText, callsByHand, type FoundBlock, findBlocks, type HookName, insertBlock, isShell, removeBlocks } from '../source/hook-block.ts';
import {
  blockFiles,
  findHookOwner,
  type GitUser,
  type HookManager,
  type HookOwner,
  hookFile,
  isExecutable,
  managerOf,
  refuseShared,
  shadowedHook,
  textOf,
} from '../source/hook-owner.ts';
import { lefthookByHand, lefthookHooks, lefthookText, ownHook } from '../source/lefthook.ts';

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

/** Whose machine this is, and the Cora that a block is to call. */
export type HooksPlace = GitUser & { readonly launcher: string };

const ASIDE = '.before-cora';
const EDITED = 'somebody edited the block; take it out by hand, then install again';

/**
 * Installs the pre-push hook and those asked for. Running it twice changes nothing.
 * @throws CoraError refused where there is no work tree, where hooks are shared with other repositories, or a block is cut off
 */
export function installHooks(projectRoot: Bytes, also: readonly HookName[], place: HooksPlace): HooksResult {
  const owner = findHookOwner(textRoot(projectRoot), place);
  refuseShared(owner, place.launcher);
  const wanted: HookName[] = [...new Set<HookName>(['pre-push', ...also])];
  const targets = wanted.map((hook) => hookFile(owner, hook));
  for (const path of targets) refuseWhatCannotBe(path);
  // From the time of another manager: it would run a second time, or be left behind.
  const stale = blockFiles(owner).filter(({ hook, path }) => wanted.includes(hook) && !targets.includes(path) && blocksIn(path).length > 0);
  const changes = stale.map(({ hook, path }) => takeOut(hook, path));
  const inLefthook = wanted.filter((hook) => managerOf(owner, hook) === 'lefthook');
  if (inLefthook.length > 0) changes.push(installLefthook(owner, inLefthook, place.launcher));
  for (const hook of wanted) if (!inLefthook.includes(hook)) changes.push(installOne(owner, hook, place.launcher));
  return { manager: owner.manager, changes };
}

function installOne(owner: HookOwner, hook: HookName, launcher: string): HookChange {
  const path = hookFile(owner, hook);
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const text = isLink ? undefined : textOf(path);
  const blocks = isLink ? [] : blocksIn(path);
  if (blocks.some(({ intact }) => !intact)) return { hook, path, action: 'kept', reason: EDITED };
  const husky = owner.huskyDirectory !== undefined;
  if (text !== undefined && blocks.length > 0) {
    const words = blocks[0]?.words ?? [];
    const without = removeBlocks(text, blocks);
    const fresh = insertBlock(without, makeBlock(owner, hook, launcher, without, words, words.includes('aside') ? asideOf(path) : undefined));
    const ours = words.includes('created') || words.includes('aside');
    const stopped = ours && !husky && !isExecutable(path);
    if (fresh === text && !stopped) return { hook, path, action: 'unchanged' };
    write(path, fresh, stopped ? 0o755 : undefined);
    return { hook, path, action: 'updated' };
  }
  if (hook === 'pre-push' && text !== undefined && callsByHand(text)) return { hook, path, action: 'unchanged', reason: 'it calls Cora already' };
  const newDirectory = makeDirectory(dirname(path)) ? ['directory'] : [];
  if (standsAside(path)) {
    // It goes on with the same input.
    renameSync(path, asideOf(path));
    write(path, insertBlock(husky ? '' : '#!/bin/sh\n', makeBlock(owner, hook, launcher, '', ['aside'], asideOf(path))), 0o755);
    return { hook, path, action: 'installed' };
  }
  const mode = text === undefined ? undefined : statSync(path).mode & 0o7777;
  const cannotRun = text !== undefined && !husky && !isExecutable(path);
  const words = [
    ...(text === undefined ? ['created', ...newDirectory] : []),
    ...(cannotRun && mode !== undefined ? [`was-${mode.toString(8)}`] : []),
  ];
  const before = text ?? (husky ? '' : '#!/bin/sh\n');
  const after = insertBlock(before, makeBlock(owner, hook, launcher, before, words, undefined));
  write(path, after, text === undefined ? (husky ? 0o644 : 0o755) : cannotRun ? (mode ?? 0) | 0o111 : undefined);
  return { hook, path, action: 'installed' };
}

/** Of a hook that pre-commit or lefthook renamed, too. */
function asideOf(path: string): string {
  return path.replace(/\.(?:legacy|old)$/, '') + ASIDE;
}

/** lefthook writes its hook files again when it likes, so its configuration of this machine gets the command. */
function installLefthook(owner: HookOwner, hooks: readonly HookName[], launcher: string): HookChange {
  const path = hookFile(owner, hooks[0] ?? 'pre-push');
  const text = textOf(path);
  const blocks = blocksIn(path);
  const change = { hook: hooks[0] ?? ('pre-push' as const), path };
  if (blocks.some(({ intact }) => !intact)) return { ...change, action: 'kept', reason: EDITED };
  const rest = text === undefined ? '' : removeBlocks(text, blocks);
  if (callsByHand(rest)) return { ...change, action: 'unchanged', reason: 'it calls Cora already' };
  const inBlock = blocks.flatMap(({ start, end }) => lefthookHooks((text ?? '').slice(start, end)));
  const all = [...new Set([...hooks, ...inBlock])];
  const taken = /\.jsonc?$/.test(path) ? hooks[0] : ownHook(rest, all, path);
  if (taken !== undefined) {
    return {
      ...change,
      action: 'kept',
      reason: `it is your own and cannot take a block; add to the commands of its ${taken}: ${lefthookByHand(launcher)}`,
    };
  }
  const words = text === undefined ? ['created'] : (blocks[0]?.words ?? []);
  // As insertBlock does: the block then lacks its own last line end, so that taking it out takes ours too.
  const glued = rest !== '' && !rest.endsWith('\n');
  const fresh = `${rest}${glued ? '\n' : ''}${lefthookText(all, launcher, path, words)}`.slice(0, glued ? -1 : undefined);
  if (fresh === text) return { ...change, action: 'unchanged' };
  write(path, fresh, text === undefined ? 0o644 : undefined);
  return { ...change, action: blocks.length === 0 ? 'installed' : 'updated' };
}

function makeBlock(owner: HookOwner, hook: HookName, launcher: string, rest: string, words: readonly string[], aside: string | undefined): string {
  const shadowed = hook === 'pre-push' ? shadowedHook(owner, hook) : undefined;
  const callsLfs = [rest, shadowed === undefined ? '' : textOf(shadowed), aside === undefined ? '' : textOf(aside)].some((text) =>
    /git['", -]+lfs['", ]+pre-push/.test(text ?? ''),
  );
  return blockText({
    hook,
    launcher,
    lfs: hook === 'pre-push' && owner.lfs && !callsLfs,
    chain: shadowed,
    aside: aside === undefined ? undefined : { path: aside, husky: owner.huskyDirectory !== undefined },
    words,
  });
}

/** Takes every block out, wherever one was ever put. What somebody edited is kept and named. */
export function removeHooks(projectRoot: Bytes, place: HooksPlace): HooksResult {
  const owner = findHookOwner(textRoot(projectRoot), place);
  const files = blockFiles(owner).filter(({ path }) => blocksIn(path).length > 0);
  return { manager: owner.manager, changes: files.map(({ hook, path }) => takeOut(hook, path)) };
}

function takeOut(hook: HookName, path: string): HookChange {
  const text = textOf(path) ?? '';
  const blocks = blocksIn(path);
  const words = blocks[0]?.words ?? [];
  if (blocks.some(({ intact }) => !intact)) return { hook, path, action: 'kept', reason: EDITED };
  const rest = removeBlocks(text, blocks);
  const empty = rest === '' || rest === '#!/bin/sh\n';
  if (words.includes('aside') && exists(asideOf(path))) {
    if (!empty) return { hook, path, action: 'kept', reason: `somebody added lines to it; the hook that was there is ${asideOf(path)}` };
    renameSync(asideOf(path), path);
  } else if (words.includes('created') && empty) {
    rmSync(path);
    if (words.includes('directory')) removeIfEmpty(dirname(path));
  } else {
    const was = words.find((word) => word.startsWith('was-'));
    write(path, rest, was === undefined ? undefined : Number.parseInt(was.slice(4), 8));
  }
  return { hook, path, action: 'removed' };
}

/** @throws CoraError refused for a block that is cut off */
function blocksIn(path: string): FoundBlock[] {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return [];
  try {
    return findBlocks(readFileSync(path, 'latin1'));
  } catch (error) {
    throw new CoraError('refused', `${path} holds a block of Cora that begins and does not end`, {
      hint: 'take it out by hand, then run the command again',
      cause: error,
    });
  }
}

/** @throws CoraError refused for what is no file, and where another hook stands aside already: its bytes are nowhere else */
function refuseWhatCannotBe(path: string): void {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (!status.isFile() && !status.isSymbolicLink()) {
    throw new CoraError('refused', `${path} is there and is no file`, { hint: 'move it away, then run the command again' });
  }
  const aside = asideOf(path);
  if (!exists(aside) || !standsAside(path) || blocksIn(path).length > 0) return;
  // A manager that writes its file again leaves the same one.
  const same = status.isFile() && textOf(path) === textOf(aside) && status.mode === lstatSync(aside).mode;
  if (same) return;
  throw new CoraError('refused', `${aside} is there already, so ${path} cannot be set aside`, {
    hint: 'look which of the two hooks is wanted, and move the other one away',
  });
}

/** A hook whose language is not ours, or a link to one that others may share. */
function standsAside(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) return true;
  const text = textOf(path);
  return text !== undefined && !isShell(text);
}

/** Replaced by rename, so that a hook that runs now is not cut. Mode and owner stay; a new file is its directory's owner's. */
function write(path: string, text: string, mode: number | undefined): void {
  const model = statSync(path, { throwIfNoEntry: false });
  const owner = model ?? statSync(dirname(path));
  replaceFile(path, Buffer.from(text, 'latin1'), true);
  if (process.geteuid?.() === 0) chownSync(path, owner.uid, owner.gid);
  chmodSync(path, mode ?? (model === undefined ? 0o755 : model.mode & 0o7777));
}

function makeDirectory(directory: string): boolean {
  if (exists(directory)) return false;
  makeDirectory(dirname(directory));
  mkdirSync(directory);
  const { uid, gid } = statSync(dirname(directory));
  if (process.geteuid?.() === 0) chownSync(directory, uid, gid);
  return true;
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Others put hooks into it since: it is theirs now.
  }
}

/** @throws CoraError refused for a name that the texts of hooks cannot hold */
export function textRoot(root: Bytes): string {
  if (isText(root)) return toText(root);
  throw new CoraError('refused', `${toText(root)} has a name that is not UTF-8; its hooks are not touched`, { hint: 'rename the directory' });
}
