// What `cora recover` says: what is at a remote, and what came back, for people and as JSON (docs/json.md). Pure.

import type { RemoteCopies, RemoteCopy } from '../actions/offsite-remote.ts';
import type { RecoverResult } from '../actions/recover.ts';
import { type CopyGroup, timeOf } from '../actions/recover-choose.ts';
import type { RecoveredGit } from '../actions/recover-git.ts';
import { formatAge, formatBytes, formatDuration } from '../base/units.ts';
import { counted, visible } from './render.ts';
import { restoreDocument, restoreLines } from './render-restore.ts';
import type { Document } from './results.ts';

/** Copies of one project that a person is shown; `--json` has all. */
const SHOWN = 20;

export function copiesLines(remote: string, groups: readonly CopyGroup[], damaged: RemoteCopies['damaged'], now: number): string[] {
  const lines = groups.flatMap((group) => [
    `${visible(group.project)} in ${group.env}, of ${visible(group.host)}: ${counted(group.copies.length, 'copy', 'copies')}`,
    ...group.copies.slice(0, SHOWN).map((copy) => copyLine(copy, now)),
    ...(group.copies.length > SHOWN ? [`  and ${group.copies.length - SHOWN} older (--json lists all)`] : []),
  ]);
  const odd = damaged.map(({ directory, reason }) => `NOT A COPY ${visible(directory)}: ${visible(reason)}`);
  if (lines.length === 0) return [`There is no complete copy at ${visible(remote)}`, ...odd];
  return [...lines, ...odd, `Bring one back: cora recover ${visible(remote)} ID --to DIR`];
}

function copyLine(copy: RemoteCopy, now: number): string {
  const { snapshot_id: id, kind, bytes, encryption, status, labelled } = copy.complete;
  const marks = [kind, formatBytes(bytes), encryption === 'age' ? 'encrypted' : 'in the clear'];
  if (status !== 'complete') marks.push(status.toUpperCase());
  if (labelled) marks.push('labelled');
  return `  ${id}  ${formatAge(now - timeOf(copy)).padEnd(12)}  ${marks.join(', ')}`;
}

export function copiesDocument(remote: string, groups: readonly CopyGroup[], damaged: RemoteCopies['damaged'], now: number): Document {
  return {
    outcome: 'listed',
    remote,
    projects: groups.map(({ project, host, env, vaultId, copies }) => ({ project, host, env, vault_id: vaultId, copies: copies.length })),
    copies: groups.flatMap(({ copies }) => copies.map((copy) => copyDocument(copy, now))),
    damaged: damaged.map(({ directory, reason }) => ({ directory, reason })),
  };
}

function copyDocument(copy: RemoteCopy, now: number): Document {
  const { snapshot_id, kind, type, status, labelled, project, host, env, vault_id } = copy.complete;
  const { backup_start, shipped_at, files, bytes, encryption, recipients } = copy.complete;
  return {
    snapshot_id,
    kind,
    type,
    status,
    labelled,
    project,
    host,
    env,
    vault_id,
    backup_start,
    shipped_at,
    age_seconds: Math.max(0, Math.round((now - timeOf(copy)) / 1000)),
    files,
    bytes,
    encrypted: encryption === 'age',
    recipients,
    directory: copy.directory,
  };
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

/** @param next sentences and commands that come after */
export function recoverLines(result: RecoverResult, next: readonly string[]): string[] {
  const { complete } = result.copy;
  const { project, env, host, snapshot_id: id, kind } = complete;
  const { fetched, had, vault, seal, restore, git } = result;
  return [
    `Recovered ${kind} ${id} of ${visible(project)} in ${env}, of ${visible(host)}, from ${visible(result.remote)}`,
    `Download  ${downloadText(result)}`,
    ...(sum(fetched.map(({ decryptSeconds }) => decryptSeconds)) > 0 ? [`Decrypt   ${decryptText(result)}`] : []),
    `Vault     ${visible(vault.path)}: ${`${vault.made ? 'made again' : 'was there'}${vault.goesOnAfter > 0 ? `; its ledger goes on after line ${vault.goesOnAfter}` : ''}`}${
      had.length === 0 ? '' : `, had ${counted(had.length, 'snapshot')} already`
    }`,
    ...(seal === undefined ? [] : [`Sealed    ${seal.protection === 'kernel' ? 'yes' : visible(seal.reason ?? 'no')}`]),
    ...(restore === undefined ? [] : [`Restored  ${restoreLines(restore)[0]?.replace(/^Restored \S+ to /, '') ?? ''}`]),
    ...(git === undefined ? [] : gitLines(git, id)),
    `Time      ${formatDuration(result.seconds * 1000)} (${result.seconds.toFixed(1)} seconds)`,
    ...next.map((line) => `Next      ${visible(line)}`),
  ];
}

function downloadText({ fetched }: RecoverResult): string {
  if (fetched.length === 0) return 'nothing was missing';
  const bytes = sum(fetched.map((one) => one.downloaded));
  const seconds = sum(fetched.map((one) => one.downloadSeconds));
  const copies = fetched.length === 1 ? '' : ` in ${counted(fetched.length, 'copy', 'copies')}`;
  return `${formatBytes(bytes)}${copies} in ${formatDuration(seconds * 1000)}, every byte compared`;
}

function decryptText({ fetched }: RecoverResult): string {
  return `${formatBytes(sum(fetched.map((one) => one.bytes)))} in ${formatDuration(sum(fetched.map((one) => one.decryptSeconds)) * 1000)}`;
}

function gitLines({ state, from, sha, branch, branches, stashes, next }: RecoveredGit, id: string): string[] {
  const more = next.map((line) => `  ${visible(line)}`);
  switch (state) {
    case 'restored': {
      const where = branch === null ? `detached at ${sha.slice(0, 7)}` : `on ${visible(branch)} at ${sha.slice(0, 7)}`;
      const stash = stashes === 0 ? '' : `, ${counted(stashes, 'stash', 'stashes')}`;
      const older = from === id ? '' : `, as of the backup ${from}`;
      return [`Git       ${where}, ${counted(branches, 'branch', 'branches')}${stash}${older}`, ...more];
    }
    case 'remote':
      return ['Git       the history is at its remote; with access to it:', ...more];
    case 'outside':
      return ['Git       the project was a part of a larger repository, which the bundle holds:', ...more];
    case 'kept':
      return ['Git       a .git was there and was left as it is'];
    case 'failed':
      return ['Git       NOT restored; by hand:', ...more];
  }
}

export function recoverDocument(result: RecoverResult, next: readonly string[], now: number): Document {
  const { vault, fetched, had, seal, restore, git } = result;
  return {
    outcome: restore === undefined ? 'fetched' : 'recovered',
    remote: result.remote,
    ...copyDocument(result.copy, now),
    vault: { path: vault.path, vault_id: vault.id, made: vault.made, goes_on_after: vault.goesOnAfter === 0 ? null : vault.goesOnAfter },
    fetched: fetched.map((one) => ({
      snapshot_id: one.ref.id,
      kind: one.ref.kind,
      files: one.files,
      bytes: one.bytes,
      downloaded: one.downloaded,
      download_seconds: one.downloadSeconds,
      decrypt_seconds: one.decryptSeconds,
    })),
    had,
    sealed: seal === undefined ? null : seal.protection === 'kernel',
    restore: restore === undefined ? null : restoreDocument(restore),
    git:
      git === undefined
        ? null
        : { state: git.state, from: git.from, sha: git.sha, branch: git.branch, branches: git.branches, stashes: git.stashes, next: git.next },
    next,
    seconds: result.seconds,
  };
}
