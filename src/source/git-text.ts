// The texts beside a bundle: status.txt (where everything points) and bundle.txt (what the bundle is and
// how git takes it back). For people, in the bytes git gave; credentials never appear in them.

import { lstatSync } from 'node:fs';
import { type Bytes, bytes, fsPath, isAscii, joinBytes } from '../base/bytes.ts';
import { escapeField } from '../format/file-list.ts';
import { type GitPlace, readHead } from '../os/git.ts';
import type { Bundle } from './git-bundle.ts';
import { type ConfigEntry, remotesOf } from './git-config.ts';

const IN_PROGRESS: readonly (readonly [file: string, what: string])[] = [
  ['MERGE_HEAD', 'merge'],
  ['rebase-merge', 'rebase'],
  ['rebase-apply', 'rebase or am'],
  ['CHERRY_PICK_HEAD', 'cherry-pick'],
  ['REVERT_HEAD', 'revert'],
  ['BISECT_LOG', 'bisect'],
];

/**
 * HEAD, what is under way, remotes, and every ref with its commit.
 * @param ask runs a reading git command; undefined where it failed
 */
export async function statusText(
  place: GitPlace,
  config: readonly ConfigEntry[],
  ask: (args: readonly string[]) => Promise<Bytes | undefined>,
): Promise<Bytes> {
  const head = readHead(place);
  const lines = [`HEAD: ${head.sha ?? 'no commit yet'}`, `branch: ${head.ref === undefined ? '(detached)' : head.ref.replace(/^refs\/heads\//, '')}`];
  for (const [file, what] of IN_PROGRESS) {
    if (lstatSync(fsPath(joinBytes(place.gitDir, file)), { throwIfNoEntry: false }) !== undefined) lines.push(`in progress: ${what}`);
  }
  if (lstatSync(fsPath(joinBytes(place.commonDir, 'shallow')), { throwIfNoEntry: false }) !== undefined)
    lines.push('history: shallow, its older part is not here');
  for (const remote of remotesOf(config)) lines.push(`remote: ${escapeField(remote)}`);
  lines.push('', '# branches: commit, name, [ahead and behind], upstream');
  // Counting needs the history; where that is damaged or takes long, the names alone are still worth having.
  const branches =
    (await ask(['for-each-ref', '--format=%(objectname) %(refname) %(upstream:track) %(upstream)', 'refs/heads'])) ??
    (await ask(['for-each-ref', '--format=%(objectname) %(refname) %(upstream)', 'refs/heads']));
  lines.push((branches ?? '# git could not list them\n').replace(/ +\n/g, '\n').replace(/ {2,}/g, ' '));
  lines.push('# other refs');
  const others = (await ask(['for-each-ref', '--format=%(objectname) %(refname)'])) ?? '';
  for (const line of others.split('\n')) if (line !== '' && !line.includes(' refs/heads/')) lines.push(line);
  return bytes(`${lines.join('\n')}\n`);
}

/** What a bundle holds, and the commands that take it back. */
export function bundleText(bundle: Bundle, name: string, headRef: Bytes | undefined): Bytes {
  if (bundle.kind === 'none') {
    return bytes('kind: none\n# There is no bundle: every commit, branch and stash is on a remote, or there is no commit yet.\n');
  }
  const file = latin1(`${name}.bundle`);
  const lines = [`kind: ${bundle.kind}`];
  if (bundle.shallow) {
    lines.push(
      '# Made from a shallow clone. Where the remote is gone, git takes it back with the .shallow file beside it:',
      `#   git init DIR && cp ${quoteShell(latin1(`${name}.shallow`))} DIR/.git/shallow && git -C DIR fetch "$PWD"/${quoteShell(file)} 'refs/heads/*:refs/saved/*'`,
    );
  } else if (bundle.kind === 'complete') {
    const branch = headRef?.startsWith('refs/heads/') === true && isAscii(headRef) ? ` -b ${quoteShell(headRef.slice('refs/heads/'.length))}` : '';
    lines.push('# It holds all commits and needs nothing else:', `#   git clone${branch} ${quoteShell(file)} DIR`);
  } else {
    lines.push(
      '# It holds what no remote has. First clone the remote (status.txt), then in that clone:',
      `#   git fetch /path/to/${quoteShell(file)} 'refs/heads/*:refs/saved/*'`,
      '#   git switch -c NAME refs/saved/NAME        (git for-each-ref refs/saved lists them)',
    );
  }
  lines.push(
    '# The newest stash:    git fetch BUNDLE refs/stash && git stash store -m restored FETCH_HEAD',
    '# Older stashes are refs/cora/stash/1, 2, ...; what was staged is the tree of refs/cora/index:',
    '#   git fetch BUNDLE refs/cora/index && git read-tree FETCH_HEAD',
  );
  if (!bundle.index) lines.push('# There is no refs/cora/index: nothing was staged, or it could not be read (see the problems in REPORT.json).');
  if (bundle.prerequisites.length > 0) lines.push('', '# commits that must be there before (a remote has them)', ...bundle.prerequisites);
  lines.push('', '# refs in the bundle', ...bundle.heads.map(({ sha, name: ref }) => `${sha} ${ref}`), '');
  return bytes(lines.join('\n'));
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function quoteShell(text: string): string {
  return /^[A-Za-z0-9][\w./+@-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
