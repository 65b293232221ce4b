// Pins: lines of the ledger that keep a snapshot from clean-up, for ever or until a day. The last line about an id counts.

import { type ChainLine, readChain } from './chain.ts';
import type { Vault } from './vault.ts';

/** When a pin ends, in milliseconds since 1970; undefined: never. */
export type Pin = { readonly until: number | undefined };

/** Pins that hold now, by snapshot id. */
export function pinsOf(vault: Vault, now: number): Map<string, Pin> {
  return pinsIn(
    readChain(vault.root).map(({ line }) => line),
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
