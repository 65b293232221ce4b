// What the ledger says of each snapshot: verified, drilled, sealed, off-site, pinned. Pure over lines that were read.

import type { Pin } from '../base/retention-rules.ts';
import type { ChainLine } from '../vault/chain.ts';
import { pinsIn } from '../vault/pins.ts';
import { parseDrill, type RecordedDrill } from './drill-ledger.ts';

/** Times are milliseconds since 1970. */
export type Checked = { readonly ok: boolean; readonly time: number };

export type Marks = {
  /** By id: the last check of either form. */
  readonly verified: ReadonlyMap<string, Checked>;
  readonly drilled: ReadonlyMap<string, Checked>;
  /** Every drill, oldest first. */
  readonly drills: readonly RecordedDrill[];
  /** Ids of backups that the ledger calls sealed. */
  readonly sealed: ReadonlySet<string>;
  /** By id: the remotes where a copy was proven and not removed since. */
  readonly offsite: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly pins: ReadonlyMap<string, Pin>;
};

/** @param now milliseconds since 1970; a pin may have ended */
export function marksIn(lines: readonly ChainLine[], now: number): Marks {
  const verified = new Map<string, Checked>();
  const drilled = new Map<string, Checked>();
  const drills: RecordedDrill[] = [];
  const sealed = new Set<string>();
  const offsite = new Map<string, Map<string, number>>();
  for (const line of lines) {
    const { kind, id, time, extra } = line;
    if (kind === 'verify') verified.set(id, { ok: extra.endsWith(',ok'), time: Date.parse(time) });
    else if (kind === 'seal') sealed.add(id);
    else if (kind === 'unseal') sealed.delete(id);
    else if (kind === 'drill') {
      const drill = parseDrill(line);
      drills.push(drill);
      drilled.set(id, { ok: drill.outcome === 'ok', time: drill.time });
    } else if (kind === 'ship' || kind === 'unship') {
      const remote = remoteIn(extra);
      const copies = offsite.get(id) ?? new Map<string, number>();
      if (kind === 'ship') copies.set(remote, Date.parse(time));
      else copies.delete(remote);
      if (copies.size === 0) offsite.delete(id);
      else offsite.set(id, copies);
    }
  }
  return { verified, drilled, drills, sealed, offsite, pins: pinsIn(lines, now) };
}

/** `<kind>,<remote>,<env>`, percent-encoded. */
function remoteIn(extra: string): string {
  const text = decodedExtra(extra) ?? '';
  const [, ...rest] = text.split(',');
  return rest.slice(0, -1).join(',');
}

/** The extra field of a ledger's line as text; null where there is none, and as it stands where it does not decode. */
export function decodedExtra(extra: string): string | null {
  if (extra === '-') return null;
  try {
    return decodeURIComponent(extra);
  } catch {
    return extra;
  }
}
