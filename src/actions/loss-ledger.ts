// What the ledger says about losses since a save: `accept` (a person's word), `rotate` (a cut that Cora
// made) and `restore` lines. Each answers only for what it did: after a restore the restored state is the
// measure, so what is lost once more before the next save is still a loss. The next save has seen them all.

import { type Bytes, bytes } from '../base/bytes.ts';
import type { Loss } from '../source/loss.ts';
import { readChain } from '../vault/chain.ts';
import { parseId, timeOfId } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';

type Word = { readonly kind: 'accept' | 'rotate' | 'restore'; readonly sequence: number; readonly id: string; readonly time: number };

type LossLedger = {
  /**
   * What is left of a loss; undefined where nothing is.
   * @param path the loss's path by its bytes
   * @param again compares with another snapshot; without it a restore settles the loss until the next save looks
   */
  settle(path: Bytes, loss: Loss, again?: (id: string) => Loss | undefined): Loss | undefined;
};

/**
 * Reads the ledger; only where there is a loss to look up.
 * @param since the save that knew of everything before it; undefined for all lines
 */
export function readLossLedger(vault: Vault, since: string | undefined): LossLedger {
  const sequenceOf = new Map<string, number>();
  const words = new Map<string, Word[]>();
  for (const { line } of readChain(vault.root)) {
    const { kind, id, sequence, extra } = line;
    if (kind === 'save') sequenceOf.set(id, sequence);
    if (kind !== 'accept' && kind !== 'rotate' && kind !== 'restore') continue;
    for (const text of extra.split(',')) {
      const path = decodePath(text);
      words.set(path, [...(words.get(path) ?? []), { kind, sequence, id, time: Date.parse(line.time) }]);
    }
  }
  const begin = since === undefined ? 0 : sequenceOf.get(since);
  const id = parseId(since ?? '');
  // A save whose line is no longer in the ledger still has its time.
  const isLater = ({ sequence, time }: Word): boolean => (begin === undefined ? id !== undefined && time > timeOfId(id) : sequence > begin);
  return {
    settle(path, loss, again) {
      const later = (words.get(path) ?? []).filter(isLater);
      if (later.some(({ kind }) => kind === 'accept')) return undefined;
      // A rotation leaves a part: what is gone or empty was not its doing.
      if (loss.kind === 'shrunk' && later.some(({ kind }) => kind === 'rotate')) return undefined;
      const restored = later.findLast(({ kind }) => kind === 'restore');
      if (restored === undefined) return loss;
      return again === undefined ? undefined : again(restored.id);
    },
  };
}

/** A path in a ledger line: its bytes in percent-encoding, commas too. */
export function encodePath(path: Bytes): string {
  return path.replace(/[^A-Za-z0-9._/-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function decodePath(text: string): Bytes {
  return bytes(text.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))));
}
