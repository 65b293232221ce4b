// `cora ship` as lines for people and as JSON documents. Pure.

import type { ShipResult } from '../actions/ship.ts';
import type { ShipCheck } from '../actions/ship-check.ts';
import type { RemoteResult, ShippedCopy } from '../actions/ship-remote.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { Outcome } from './command.ts';
import { type Failure, failureOf } from './json.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

export function shipLines({ remotes }: ShipResult): string[] {
  return remotes.flatMap((remote) => [
    ...remote.shipped.map((copy) => shippedLine(remote, copy)),
    // The only remote's failure is the run's, which is said on stderr.
    ...(remote.error !== undefined && remotes.length === 1 ? [] : remoteLines(remote)),
  ]);
}

function shippedLine({ remote }: RemoteResult, { record, directory, seconds }: ShippedCopy): string {
  const how = record.encryption === 'age' ? 'encrypted' : 'in the clear';
  const size = `${counted(record.files, 'object')}, ${formatBytes(record.bytes)}, ${how}`;
  return `Shipped ${record.id} to ${visible(remote)} as ${visible(directory)} (${size}, every byte compared, ${formatDuration(seconds * 1000)})`;
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
  ];
}

export function checkDocument({ copies, errors }: ShipCheck): Document {
  return {
    copies: copies.map(({ remote, id, kind, bytes, damage }) => ({ remote, snapshot_id: id, kind, bytes, ok: damage.length === 0, damage })),
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
