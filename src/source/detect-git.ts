// A project's git as `cora init` tells of it: what kind of work tree, which remotes and what they refuse,
// who is in charge of its hooks. Git is asked; nothing of the repository's own runs.

import { type Bytes, isText, toText } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { findRepository, gitIn } from '../os/git.ts';
import { findProgram } from '../os/run.ts';
import { parseConfigList, remotesOf } from './git-config.ts';
import { findHookOwner, type GitUser, type HookManager } from './hook-owner.ts';

export type GitFacts = {
  readonly kind: 'plain' | 'worktree' | 'submodule';
  /** Without credentials. `limit`: bytes of a file that its host is known to refuse. */
  readonly remotes: readonly { readonly name: string; readonly url: string; readonly limit: number | undefined }[];
  readonly manager: HookManager | undefined;
  readonly lfs: boolean;
  /** Where core.hooksPath is set, and in whose configuration. */
  readonly hooksPath: string | undefined;
  /** Why git could not be asked. */
  readonly reason: string | undefined;
};

/** github.com/limits and gitlab.com: 100 MiB a file. */
const KNOWN_LIMIT = 104_857_600;
const LIMITED_HOST = /^(?:[a-z+]+:\/\/)?(?:[^@/]*@)?(?:ssh\.|altssh\.)?(?:github|gitlab)\.com[:/]/i;

/** Undefined outside a work tree whose top is the project. */
export async function detectGit(root: Bytes, user: GitUser): Promise<GitFacts | undefined> {
  const place = findRepository(root);
  if (place === undefined || place.workTree !== root) return undefined;
  const kind = place.gitDir !== place.commonDir ? 'worktree' : /\/modules\//.test(place.gitDir) ? 'submodule' : 'plain';
  const unknown = { kind, remotes: [], manager: undefined, lfs: false, hooksPath: undefined } as const;
  if (findProgram('git') === undefined) return { ...unknown, reason: 'git is not installed' };
  if (!isText(root)) return { ...unknown, reason: 'its path is not UTF-8' };
  const list = await gitIn(place, root, ['config', '--list', '-z']);
  const remotes = remotesOf(parseConfigList(list.stdout)).map((line) => {
    const [name = '', url = ''] = toText(line).split(/ (.*)/s);
    return { name, url, limit: LIMITED_HOST.test(url) ? KNOWN_LIMIT : undefined };
  });
  try {
    const owner = findHookOwner(toText(root), user);
    const hooksPath = owner.configured === undefined ? undefined : `${owner.configured.path} (${owner.configured.scope})`;
    return { kind, remotes, manager: owner.manager, lfs: owner.lfs, hooksPath, reason: undefined };
  } catch (error) {
    return { ...unknown, remotes, reason: messageOf(error) };
  }
}
