// `cora ship` as lines for people and as JSON documents. Pure.

import type { ShipResult } from '../actions/ship.ts';
import type { CheckedCopy, ShipCheck } from '../actions/ship-check.ts';
import type { RemoteResult, ShippedCopy } from '../actions/ship-remote.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { LockState } from '../vault/offsite-shape.ts';
import type { Outcome } from './command.ts';
import { type Failure, failureOf } from './json.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

export function shipLines({ remotes }: ShipResult): string[] {
  return remotes.flatMap((remote) => [
    ...remote.shipped.map((copy) => shippedLine(remote, copy)),
    // The only remote's failure is the run's, which is said on stderr.
    ...(remote.error !== undefined && remotes.length === 1 ? [] : remoteLines(remote)),
    ...adviceLines(
      remote.remote,
      remote.shipped.map(({ record }) => record.lock),
    ),
  ]);
}

/** `locked until 2026-12-21 03:15 UTC`; undefined where nothing is known to hold it. */
export function lockWords(lock: LockState | undefined): string | undefined {
  if (lock?.state !== 'locked') return undefined;
  const until = lock.until.slice(0, 16).replace('T', ' ');
  return `locked until ${until} UTC${lock.mode === 'GOVERNANCE' ? ' (governance: keys with the right to bypass it can delete)' : ''}`;
}

/** Once for a remote: what else keeps copies there from being deleted. A directory has no keys. */
export function adviceLines(remote: string, locks: readonly (LockState | undefined)[]): string[] {
  const open = locks.flatMap((lock) => (lock === undefined || lock.state === 'locked' ? [] : [lock])).at(0);
  if (open === undefined || /^[/~]/.test(remote)) return [];
  const what = open.state === 'none' ? 'Nothing locks the copies' : 'Whether anything locks the copies is not known';
  return [`${what} at ${visible(remote)} (${visible(open.why)}): a key without the right to delete is recommended (docs/offsite.md)`];
}

function shippedLine({ remote }: RemoteResult, { record, directory, seconds }: ShippedCopy): string {
  const how = record.encryption === 'age' ? 'encrypted' : 'in the clear';
  const size = `${counted(record.files, 'object')}, ${formatBytes(record.bytes)}, ${how}`;
  const lock = lockWords(record.lock);
  const proof = `every byte compared${lock === undefined ? '' : `, ${lock}`}`;
  return `Shipped ${record.id} to ${visible(remote)} as ${visible(directory)} (${size}, ${proof}, ${formatDuration(seconds * 1000)})`;
}

function remoteLines({ remote, shipped, already, left, error }: RemoteResult): string[] {
  const name = visible(remote);
  if (error !== undefined) {
    const kept = left.length === 0 ? '' : `; ${counted(left.length, 'snapshot')} not there`;
    return [`FAILED ${name}: ${visible(error.message)}${kept}`];
  }
  if (shipped.length > 0) return [];
  return [
    already === 0
      ? `Nothing to ship to ${name}: there is no backup yet (cora backup now)`
      : `Nothing to ship: ${name} has ${counted(already, 'snapshot')} already`,
  ];
}

export function shipDocument({ remotes }: ShipResult): Document {
  return {
    remotes: remotes.map(({ remote, env, shipped, already, left, error }) => ({
      remote,
      env,
      shipped: shipped.map(({ record, directory, seconds }) => ({
        snapshot_id: record.id,
        kind: record.kind,
        directory,
        bytes: record.bytes,
        files: record.files,
        encryption: record.encryption,
        seconds: Math.round(seconds * 1000) / 1000,
        lock: record.lock ?? null,
      })),
      already_there: already,
      unshipped: left,
      error: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint ?? null },
    })),
  };
}

/** The first remote's failure is the run's; all are in the document. */
export function shipFailure(result: ShipResult): Pick<Outcome, 'failure'> {
  const failed = result.remotes.filter(({ error }) => error !== undefined);
  const [first] = failed;
  if (first?.error === undefined) return {};
  const more = failed.length > 1 ? ` (and ${counted(failed.length - 1, 'more remote')})` : '';
  return { failure: { ...failureOf(first.error), message: `${first.error.message}${more}`, details: shipDocument(result) } };
}

export function checkLines({ copies, errors }: ShipCheck): string[] {
  const good = copies.filter(({ damage }) => damage.length === 0);
  return [
    ...copies.flatMap(({ remote, id, damage }) => damage.map((what) => `DAMAGED ${id} at ${visible(remote)}: ${visible(what)}`)),
    ...errors.map(({ remote, error }) => `FAILED ${visible(remote)}: ${visible(error.message)}`),
    `${counted(good.length, 'copy', 'copies')} of ${copies.length} whole: every byte of ${formatBytes(good.reduce((sum, { bytes }) => sum + bytes, 0))} was read back`,
    ...lockedLines(good),
  ];
}

function lockedLines(copies: readonly CheckedCopy[]): string[] {
  return [...new Set(copies.map(({ remote }) => remote))].flatMap((remote) => {
    const locks = copies.filter((copy) => copy.remote === remote).map(({ lock }) => lock);
    const held = locks.flatMap((lock) => (lock?.state === 'locked' ? [lock] : [])).sort((a, b) => (a.until < b.until ? -1 : 1));
    const first = lockWords(held[0]);
    const all = held.length === locks.length ? 'All' : `${held.length} of ${locks.length}`;
    return [
      ...(first === undefined ? [] : [`${all} at ${visible(remote)} ${first}${held.length > 1 ? ' or longer' : ''}`]),
      ...adviceLines(remote, locks),
    ];
  });
}

export function checkDocument({ copies, errors }: ShipCheck): Document {
  return {
    copies: copies.map(({ remote, id, kind, bytes, damage, lock }) => ({
      remote,
      snapshot_id: id,
      kind,
      bytes,
      ok: damage.length === 0,
      damage,
      lock: lock ?? null,
    })),
    errors: errors.map(({ remote, error }) => ({ remote, code: error.code, message: error.message })),
  };
}

export function checkFailure(result: ShipCheck): Pick<Outcome, 'failure'> {
  const damaged = result.copies.filter(({ damage }) => damage.length > 0);
  const details = checkDocument(result);
  if (damaged.length > 0) {
    const failure: Failure = {
      code: 'damaged',
      message: `${counted(damaged.length, 'copy', 'copies')} off-site damaged; ${damaged.length === 1 ? 'it is' : 'they are'} no longer counted`,
      hint: 'cora ship sends what is damaged again',
      details,
    };
    return { failure };
  }
  const [first] = result.errors;
  return first === undefined ? {} : { failure: { ...failureOf(first.error), details } };
}
