// One snapshot to one remote, in the clear: its files as they are, compared where they arrived, then the marker. It goes on where
// a run before it stopped; what lies there already is read back before it is believed.

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { parseSums, type Sum } from '../format/checksums.ts';
import { COMPLETE, copyDirectory } from '../format/complete.ts';
import type { Report } from '../format/report.ts';
import { rclone } from '../os/rclone.ts';
import type { SnapshotRef } from '../vault/catalog.ts';
import { findLast } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { below, failure, isBucket, type Remote } from './offsite-remote.ts';
import { compareRemote, type Difference, damagedLocally, damagedSource, isOdd } from './ship-compare.ts';

/** What goes where. */
export type Shipment = {
  readonly vault: Vault;
  readonly ref: SnapshotRef;
  readonly report: Report;
  readonly remote: Remote;
  readonly env: string;
  /** Below the remote. */
  readonly directory: string;
  /** Absolute, of the snapshot. */
  readonly local: string;
  /** Every file of the snapshot but SHA256SUMS.txt. */
  readonly sums: readonly Sum[];
  readonly sumsSha256: string;
  /** What lies at the remote below `directory` already, with its bytes. */
  readonly present: ReadonlyMap<string, number>;
  /** A private directory for small files. */
  readonly scratch: string;
};

/** What the marker says of the objects. */
export type Arrived = { readonly files: number; readonly bytes: number };

/** @throws CoraError damaged where the snapshot's sums cannot be read or are not those that the ledger vouches for */
export function shipmentOf(facts: Omit<Shipment, 'directory' | 'local' | 'sums' | 'sumsSha256'>): Shipment {
  const local = `${facts.vault.root}/${facts.ref.directory}`;
  const text = readFileSync(`${local}/${NAMES.sums}`);
  const sumsSha256 = createHash('sha256').update(text).digest('hex');
  const { kind, id } = facts.ref;
  const line = findLast(facts.vault.root, (one) => one.kind === kind && one.id === id);
  if (line !== undefined && line.sums !== sumsSha256) throw damagedSource([`${facts.ref.directory}/${NAMES.sums}`]);
  return { ...facts, local, directory: copyDirectory(facts.env, kind, id), sums: parseSums(text), sumsSha256 };
}

/**
 * Uploads what is not there and proves that all of it is.
 * @throws CoraError remote_failed, damaged, interrupted
 */
export async function shipPlain(shipment: Shipment, ctx: Context): Promise<Arrived> {
  const { sumsSha256 } = shipment;
  const sums: readonly Sum[] = [...shipment.sums, { path: bytes(NAMES.sums), sha256: sumsSha256 }];
  const isThere = [...shipment.present.keys()].some((name) => name !== COMPLETE);
  if (isThere) await replaceWrong(shipment, sums, ctx);
  await upload(shipment, ['--immutable', '--ignore-existing'], ctx);
  const differences = await compareRemote(shipment.remote, shipment.directory, sums, shipment.local, shipment.scratch, ctx);
  if (differences.length > 0) throw await whyDifferent(shipment, sums, differences);
  const sizes = sums.map(({ path }) => sizeOf(shipment, path));
  return { files: sums.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** What an earlier run left half, or somebody changed, is sent once more; nothing else is ever overwritten. */
async function replaceWrong(shipment: Shipment, sums: readonly Sum[], ctx: Context): Promise<void> {
  const { remote, directory, local, scratch, present } = shipment;
  const there = sums.some(({ path }) => isOdd(path)) ? sums : sums.filter(({ path }) => present.has(toText(path)));
  const wrong = (await compareRemote(remote, directory, there, local, scratch, ctx)).filter(({ what }) => what === 'differs');
  if (wrong.length === 0) return;
  const known = new Set<string>(sums.map(({ path }) => toText(path)));
  const damaged = await damagedLocally(
    local,
    sums.filter(({ path }) => wrong.some((one) => one.path === toText(path))),
  );
  if (damaged.length > 0) throw damagedSource(damaged);
  if (wrong.some(({ path }) => !known.has(path))) return upload(shipment, ['--ignore-times'], ctx);
  for (const { path } of wrong) {
    const result = await rclone(remote.rclone, ['copyto', '--ignore-times', '--', `${local}/${path}`, `${below(remote, directory)}/${path}`], {
      retries: 2,
    });
    if (result.exitCode !== 0) throw failure(remote.name, `did not take ${path}`, result);
  }
}

async function upload({ remote, local, directory, sums }: Shipment, flags: readonly string[], ctx: Context): Promise<void> {
  ctx.monitor.phase('ship');
  // Many small files wait for answers more than for bytes. What S3 says of each upload need not be asked: every byte is read back after.
  const speed = ['--transfers=8', '--checkers=16', '--s3-no-head'];
  const result = await rclone(remote.rclone, ['copy', ...speed, ...flags, '--', local, below(remote, directory)], {
    // Where a half-written file has its final name (a disk that is full), a second try would take it for one that is there.
    retries: isBucket(remote) ? 3 : 1,
    onProgress: ({ bytes: done, totalBytes, files }) =>
      ctx.monitor.progress({ phase: 'ship', files, totalFiles: sums.length + 1, bytes: done, totalBytes }),
  });
  if (result.exitCode !== 0) throw failure(remote.name, 'did not take the copy', result);
}

async function whyDifferent(shipment: Shipment, sums: readonly Sum[], differences: readonly Difference[]): Promise<CoraError> {
  const damaged = await damagedLocally(shipment.local, sums);
  if (damaged.length > 0) return damagedSource(damaged);
  const [first] = differences;
  return new CoraError(
    'remote_failed',
    `${shipment.remote.name} does not hold what was sent: ${first?.path} ${first?.what === 'missing' ? 'is missing' : 'differs'}`,
    {
      hint: 'cora ship sends it again',
      details: { differences: [...differences] },
    },
  );
}

function sizeOf({ local }: Shipment, path: Sum['path']): number {
  return statSync(fsPath(bytes(`${fromText(local)}/${path}`))).size;
}
