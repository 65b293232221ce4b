// What the ledger and health look like, for people and as JSON (docs/json.md). Pure: no colours, no clock, no console.

import type { ChainCheck } from '../actions/verify-chain.ts';
import { formatDuration } from '../base/units.ts';
import { counted, visible } from './render.ts';

export function chainDocument(chain: ChainCheck): object {
  return {
    ok: chain.damaged.length === 0,
    lines: chain.lines,
    snapshots: chain.snapshots,
    head: chain.head ?? null,
    damaged: chain.damaged.map(({ path, file, reason }) => ({ path, file, reason })),
    seconds: chain.seconds,
  };
}

export function chainLines({ damaged, lines, snapshots, seconds }: ChainCheck): string[] {
  const what = `${counted(lines, 'line')}, ${counted(snapshots, 'snapshot')}, ${formatDuration(seconds * 1000)}`;
  if (damaged.length === 0) return [`OK ledger: ${what}`];
  return [
    `BROKEN ledger: ${counted(damaged.length, 'break', 'breaks')} in ${what}`,
    ...damaged.map(({ path, file, reason }) => `  ${visible(path)}: ${visible(reason)} (${visible(file)})`),
  ];
}
