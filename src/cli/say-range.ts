// "yesterday's saves", "did we back up today?": snapshots of a span of time, out of the rows that list has.

import type { ListResult, SnapshotSummary } from '../actions/list.ts';
import { fromText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { Slots } from '../language/slots.ts';
import { readWhen, type When } from '../language/when.ts';
import { addDays, instantsOf, type Wall, wallAt, weekdayOf } from '../language/zone.ts';
import type { Session } from './command.ts';
import { counted, listLines, visible } from './render.ts';
import { listDocument } from './results.ts';
import type { Ran } from './say-run.ts';

/** Milliseconds since 1970; of a moment that is an instant, from then until now. */
export type Range = { readonly said: string; readonly from: number; readonly to: number };

/** @throws CoraError usage, ambiguous_moment */
export async function rangeOf({ moment: said = 'now', since }: Slots, now: number): Promise<Range> {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const running = /^this (week|month|year)$/i.exec(said)?.[1]?.toLowerCase();
  if (running !== undefined) return { said, from: firstOf(running, wallAt(now, zone), zone), to: now };
  const when = await readWhen(said, now, zone);
  if (when.kind === 'before') return { said, from: 0, to: timeOf(when, said) - 1 };
  const from = timeOf(await readWhen(`before ${said}`, now, zone), said);
  return { said, from, to: since === true || from === when.time ? now : when.time };
}

/** Monday, the first of the month or of the year. */
function firstOf(span: string, today: Wall, zone: string): number {
  const midnight = { ...today, hour: 0, minute: 0, second: 0 };
  const first =
    span === 'week' ? addDays(midnight, -((weekdayOf(midnight) + 6) % 7)) : { ...midnight, day: 1, month: span === 'year' ? 1 : midnight.month };
  return instantsOf(first, zone)[0] ?? 0;
}

function timeOf(when: When, said: string): number {
  if (when.time !== undefined) return when.time;
  throw new CoraError('usage', `Not a span of time: ${said}`, { hint: 'write it as yesterday, friday, "2026-11-20" or "2 hours ago"' });
}

/** The snapshots that were made then, oldest first. */
export async function snapshotsIn(range: Range, slots: Slots, session: Session): Promise<readonly SnapshotSummary[]> {
  const { location } = await session.locate();
  const path = slots.path === undefined ? undefined : fromText(slots.path);
  const kind = slots.kind === 'save' || slots.kind === 'backup' ? slots.kind : undefined;
  const { snapshots } = await session.engine.list(location, { kind, path, limit: undefined }, session.ctx);
  return snapshots.filter(({ time }) => time >= range.from && time <= range.to);
}

/** `cora list`, of a span of time. */
export async function listRange(slots: Slots, phrase: string, session: Session): Promise<Ran> {
  session.runAs('list', phrase);
  const range = await rangeOf(slots, session.ctx.now());
  const snapshots = await snapshotsIn(range, slots, session);
  const result: ListResult = { snapshots: slots.count === undefined ? snapshots : snapshots.slice(-slots.count), total: snapshots.length };
  const lines = snapshots.length === 0 ? [] : listLines(result, session.ctx.now(), session.width);
  return { step: { command: 'list', args: [] }, outcome: { result: listDocument(result), lines }, exitCode: 0 };
}

/** "how big was last night's backup?" */
export async function sizeOfRange(
  slots: Slots,
  session: Session,
): Promise<{ readonly sentence: string; readonly facts: Readonly<Record<string, unknown>> }> {
  const range = await rangeOf(slots, session.ctx.now());
  const made = await snapshotsIn(range, slots, session);
  const size = made.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  const what = slots.kind === 'save' || slots.kind === 'backup' ? slots.kind : 'snapshot';
  const facts = { count: made.length, size, from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
  if (made.length === 0) return { sentence: `There is no ${what} of ${visible(range.said)}.`, facts };
  return {
    sentence: `${counted(made.length, what)} of ${visible(range.said)}: ${formatBytes(size)}${made.length === 1 ? ` (${made[0]?.id})` : ''}.`,
    facts,
  };
}
