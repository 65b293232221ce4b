// `cora pin` and `cora unpin`: a line of the ledger that keeps a snapshot from clean-up, and one that ends it.

import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { parseDuration } from '../base/units.ts';
import { resolveSnapshot } from '../vault/catalog.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { pinsOf } from '../vault/pins.ts';
import { openForWriting, type ProjectFacts } from './open-project.ts';

export type PinResult = {
  readonly id: string;
  readonly pinned: boolean /** Milliseconds since 1970; undefined: for ever. */;
  readonly until: number | undefined;
};

/**
 * @param name a snapshot name
 * @param until milliseconds since 1970; undefined: for ever
 * @throws CoraError unknown_snapshot, ambiguous_snapshot, as openForWriting does
 */
export function pin(project: ProjectFacts, location: VaultLocation, name: string, until: number | undefined, ctx: Context): PinResult {
  return write(project, location, name, 'pin', until, ctx);
}

/** The same; where there is no pin nothing is written. */
export function unpin(project: ProjectFacts, location: VaultLocation, name: string, ctx: Context): PinResult {
  return write(project, location, name, 'unpin', undefined, ctx);
}

function write(
  project: ProjectFacts,
  location: VaultLocation,
  name: string,
  kind: 'pin' | 'unpin',
  until: number | undefined,
  ctx: Context,
): PinResult {
  // A vault is not made for a pin.
  openLocated(location);
  const { vault, release } = openForWriting(project, location, ctx);
  try {
    const { id } = resolveSnapshot(vault, name, ctx.now());
    const line = {
      kind,
      id,
      time: new Date(ctx.now()).toISOString(),
      sums: '-',
      extra: until === undefined ? '-' : new Date(until).toISOString(),
    };
    if (kind === 'pin' || pinsOf(vault, ctx.now()).has(id)) appendLine(vault.root, readHead(vault.root), line);
    return { id, pinned: kind === 'pin', until };
  } finally {
    release();
  }
}

/**
 * The end of a pin as a person types it: a day (which is over at midnight of this machine's zone), a moment, or a time from now.
 * @throws CoraError usage for anything else, and for what is over
 */
export function parseUntil(text: string, now: number): number {
  const day = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  const until =
    day !== null ? endOfDay(Number(day[1]), Number(day[2]), Number(day[3])) : /^\d{4}-/.test(text) ? Date.parse(text) : fromNow(text, now);
  if (until === undefined || Number.isNaN(until) || Math.abs(until) > 8.64e15) {
    throw new CoraError('usage', `--until is no date: ${text}`, { hint: 'write it as 2027-01-31, 2027-01-31T12:00:00Z or 90d' });
  }
  if (until <= now) throw new CoraError('usage', `--until is over already: ${text}`, { hint: 'give a day to come, or leave it out' });
  return until;
}

function endOfDay(year: number, month: number, day: number): number | undefined {
  const date = new Date(year, month - 1, day);
  if (date.getMonth() !== month - 1 || date.getDate() !== day) return undefined;
  return new Date(year, month - 1, day + 1).getTime() - 1;
}

function fromNow(text: string, now: number): number | undefined {
  try {
    return now + parseDuration(text);
  } catch {
    return undefined;
  }
}
