// Pins: lines of the ledger that keep a snapshot from clean-up, for ever or until a day. The last line about an id counts.

import type { Pin } from '../base/retention-rules.ts';
import { type ChainLine, readLines } from './chain.ts';
import type { Vault } from './vault.ts';

/** Pins that hold now, by snapshot id. */
export function pinsOf(vault: Vault, now: number): Map<string, Pin> {
  // A damaged line must not keep people from their list.
  return pinsIn(
    readLines(vault.root).flatMap(({ line }) => line ?? []),
    now,
  );
}

/** The same from lines that were read already. */
export function pinsIn(lines: readonly ChainLine[], now: number): Map<string, Pin> {
  const pins = new Map<string, Pin>();
  for (const { kind, id, extra } of lines) {
    if (kind === 'unpin') pins.delete(id);
    if (kind !== 'pin') continue;
    const until = extra === '-' ? undefined : Date.parse(extra);
    // A date that cannot be read must not end a pin.
    pins.set(id, { until: until === undefined || Number.isNaN(until) ? undefined : until });
  }
  for (const [id, { until }] of pins) if (until !== undefined && until < now) pins.delete(id);
  return pins;
}
