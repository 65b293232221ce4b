// The checks of health that look at the vault: how old, how large, how free, whether the newest backup can be read, and whether
// ledger and seals are what they were. Each is bounded: it reads the newest snapshots, never all of them.

import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { formatAge, formatBytes, formatDuration } from '../base/units.ts';
import { parseSums } from '../format/checksums.ts';
import type { Report } from '../format/report.ts';
import { freeBytes } from '../os/files.ts';
import { type SnapshotRef, tryReport } from '../vault/catalog.ts';
import type { ChainLine } from '../vault/chain.ts';
import { NAMES, timeOfId } from '../vault/layout.ts';
import { lostSeals } from '../vault/seal.ts';
import type { Vault } from '../vault/vault.ts';
import { critical, type HealthCheck, note, ok, warning } from './health-check.ts';
import { bytesBelow } from './list.ts';
import { isFrozen } from './lost.ts';
import { isGood } from './report-state.ts';
import { checkChain } from './verify-chain.ts';

/** A clock may differ by this from the one that made a snapshot. */
const CLOCK_SLACK = 120_000;
/** Newest snapshots whose reports are looked through for a good one, and whose files the chain's check reads. */
const LOOK_BACK = 50;
const CHAIN_LOOK = 20;
/** Files up to this are read whole by the quick look, and so many bytes of them. */
const SMALL_FILE = 1 << 20;
const READ_MOST = 64 << 20;
const EDGE = 65_536;

export type GoodBackup = { readonly ref: SnapshotRef; readonly report: Report };

const isPast = (ref: SnapshotRef, now: number) => timeOfId(ref.id) <= now + CLOCK_SLACK;

/** Good backups among the newest ones, newest first. */
export function goodBackups(vault: Vault, refs: readonly SnapshotRef[], now: number, count: number): GoodBackup[] {
  const found: GoodBackup[] = [];
  const backups = refs.filter((ref) => ref.kind === 'backup' && isPast(ref, now));
  for (const ref of backups.slice(-LOOK_BACK).reverse()) {
    if (found.length === count) break;
    const report = tryReport(vault, ref);
    if (report !== undefined && isGood(report)) found.push({ ref, report });
  }
  return found;
}

/** Whether the newest good backup is young enough, and whether one that is not good came after it. */
export function backupAge(vault: Vault, refs: readonly SnapshotRef[], newest: GoodBackup | undefined, maxAge: number, now: number): HealthCheck {
  // While something is lost another backup is SUSPECT as well.
  const remedy = isFrozen(vault, refs) ? 'cora lost' : 'cora backup now';
  if (newest === undefined) return critical('backup', 'There is no good backup', remedy, 'too_old');
  const age = now - timeOfId(newest.ref.id);
  const from = `The newest good backup is from ${formatAge(Math.max(0, age))} (${newest.ref.id})`;
  if (age > maxAge) return critical('backup', `${from}; at most ${spanOf(maxAge)} is allowed`, remedy, 'too_old');
  const last = refs.findLast((ref) => ref.kind === 'backup' && isPast(ref, now));
  if (last !== undefined && last.id !== newest.ref.id) {
    if (tryReport(vault, last)?.status === 'suspect')
      return warning('backup', `The newest backup, ${last.id}, was made while something was lost. ${from}`, remedy);
    return warning('backup', `The newest backup, ${last.id}, is not good. ${from}`, `cora show ${last.id}`);
  }
  return newest.report.status === 'complete' ? ok('backup', from) : note('backup', `${from} and is not complete`, `cora show ${newest.ref.id}`);
}

/** `36 h`, `3 days`; shorter ones as other durations are shown. */
function spanOf(milliseconds: number): string {
  const hours = milliseconds / 3_600_000;
  if (hours < 1 || !Number.isInteger(hours)) return formatDuration(milliseconds);
  return hours > 48 && hours % 24 === 0 ? `${hours / 24} days` : `${hours} h`;
}

/** A backup that shrank to less than half holds less than people think. */
export function sizeDrop(vault: Vault, [newest, before]: readonly GoodBackup[]): HealthCheck {
  if (newest === undefined || before === undefined) return ok('size', 'There are no two backups to compare yet');
  const [now, then] = [newest, before].map(({ ref }) => bytesBelow(`${vault.root}/${ref.directory}`)) as [number, number];
  const sizes = `the newest backup has ${formatBytes(now)}, the one before ${formatBytes(then)}`;
  if (now * 2 >= then) return ok('size', `Of normal size: ${sizes}`);
  return warning('size', `Less than half: ${sizes}`, `cora show ${newest.ref.id}`);
}

export function freeSpace(vault: Vault, least: number): HealthCheck {
  const free = freeBytes(vault.root);
  if (free < least) return warning('space', `The vault's disk has only ${formatBytes(free)} left`, 'free space on it, or cora prune');
  return ok('space', `The vault's disk has ${free === Number.MAX_SAFE_INTEGER ? 'no limit' : `${formatBytes(free)} left`}`);
}

/** The newest backup: small files read and compared, large ones there, of their size, and readable at both ends. */
export function newestReadable(vault: Vault, newest: SnapshotRef | undefined): HealthCheck {
  if (newest === undefined) return ok('readable', 'There is no backup to read yet');
  const wrong = whatIsUnreadable(`${vault.root}/${newest.directory}`);
  if (wrong === undefined) return ok('readable', `${newest.id}: a quick look found every file as it should be`);
  return critical('readable', `The newest backup cannot be relied on: ${newest.directory}/${wrong}`, `cora verify ${newest.id}`, 'damaged');
}

function whatIsUnreadable(directory: string): string | undefined {
  let name: string = NAMES.sums;
  try {
    const sums = parseSums(readFileSync(`${directory}/${NAMES.sums}`));
    const sizes = sizesIn(readFileSync(`${directory}/${NAMES.manifest}`, 'utf8'));
    let budget = READ_MOST;
    for (const { path, sha256 } of sums) {
      name = toText(path);
      const absolute = fsPath(joinBytes(fromText(directory), path));
      const { size } = statSync(absolute);
      const expected = sizes.get(name);
      if (expected !== undefined && expected !== size) return `${name} has ${size} bytes, not ${expected}`;
      if (size <= SMALL_FILE && size <= budget) {
        budget -= size;
        if (createHash('sha256').update(readFileSync(absolute)).digest('hex') !== sha256) return `${name} was altered`;
      } else readEdges(absolute, size);
    }
    return undefined;
  } catch (error) {
    return `${name}: ${messageOf(error)}`;
  }
}

/** The sizes that MANIFEST.txt gives, by path. */
function sizesIn(manifest: string): Map<string, number> {
  const lines = manifest.slice(manifest.indexOf('\nFiles of this snapshot\n')).split('\n').slice(2);
  const end = lines.indexOf('');
  return new Map(
    lines.slice(0, end < 0 ? undefined : end).flatMap((line) => {
      const match = /^ {2}(.+) {2}(\d+)$/.exec(line);
      return match === null ? [] : [[match[1] ?? '', Number(match[2])] as const];
    }),
  );
}

/** @throws where the disk does not give the first or the last part */
function readEdges(path: string | Buffer, size: number): void {
  const fd = openSync(path, 'r');
  try {
    const part = Buffer.alloc(Math.min(EDGE, size));
    for (const at of [0, size - part.length]) readSync(fd, part, 0, part.length, at);
  } finally {
    closeSync(fd);
  }
}

/** The whole chain of lines, that every snapshot is there, and the files of the newest ones. */
export function chainWhole(vault: Vault, ctx: Context, deep: boolean): HealthCheck {
  const { damaged, lines } = checkChain(vault, { ...ctx, lockWait: Math.min(ctx.lockWait, 1000) }, deep ? undefined : CHAIN_LOOK);
  const [first] = damaged;
  if (first === undefined) return ok('chain', `The ledger is whole: ${lines} lines`);
  const more = damaged.length > 1 ? `, and ${damaged.length - 1} more` : '';
  return critical('chain', `The ledger is broken: ${first.path}: ${first.reason}${more}`, 'cora verify --chain', 'damaged');
}

/** Snapshots of which the last verification found damage. */
export function lastVerify(lines: readonly ChainLine[], refs: readonly SnapshotRef[]): HealthCheck {
  const last = new Map<string, ChainLine>();
  for (const line of lines) if (line.kind === 'verify') last.set(`${line.extra.split(',')[0] ?? ''} ${line.id}`, line);
  const there = new Set(refs.map(({ kind, id }) => `${kind} ${id}`));
  const damaged = [...last].filter(([key, { extra }]) => extra.endsWith(',damaged') && there.has(key)).map(([, { id }]) => id);
  if (damaged.length === 0) return ok('verify', 'No snapshot is known to be damaged');
  const message = `Damage was found in ${damaged.slice(0, 3).join(', ')}${damaged.length > 3 ? ` and ${damaged.length - 3} more` : ''}`;
  return critical('verify', message, `cora verify ${damaged[0] ?? ''} --deep`, 'damaged');
}

export function sealsHold(vault: Vault, refs: readonly SnapshotRef[]): HealthCheck {
  const backups = refs.filter(({ kind }) => kind === 'backup');
  const lost = lostSeals(vault, backups).length;
  if (lost === 0) return ok('seal', 'No backup has lost its seal');
  return warning('seal', `${lost === 1 ? 'A backup has' : `${lost} backups have`} lost the immutable flag`, 'cora protect');
}

export function clockRight(refs: readonly SnapshotRef[], now: number): HealthCheck {
  const ahead = refs.findLast((ref) => !isPast(ref, now));
  if (ahead === undefined) return ok('clock', 'No snapshot is dated in the future');
  return warning('clock', `The snapshot ${ahead.id} is dated in the future`, 'check the clock (date)');
}
