// The table as a witness against the ledger: a chain cannot tell that its own last lines are gone, but who read them before can.
// What the table knew and the ledger does not have is written down before the table is made anew, until a person accepts it.

import { rmSync } from 'node:fs';
import type { BackupLog, ChainPlace } from '../os/backup-log.ts';
import { readTextIfThere, replaceFile } from '../os/files.ts';
import { type ChainText, readLines } from '../vault/chain.ts';
import { NAMES, parseId, snapshotDirectory } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import type { Damage } from './verify-files.ts';

type Lost = { readonly sequence: number; readonly kind: string; readonly id: string };

type Note = ChainPlace & { readonly lost: readonly Lost[] };

/** Notes what the table knows and the ledger lacks. Never throws: the table is not what a run rests on. */
export function markMissing(vault: Vault, log: BackupLog, known: ChainPlace): void {
  try {
    const lines = readLines(vault.root);
    const note = readNote(vault);
    // The first note knows most, for as long as it holds.
    if (note !== undefined && !isBack(note, lines)) return;
    const there = new Set(lines.flatMap(({ line }) => (line === undefined ? [] : [`${line.sequence} ${line.kind} ${line.id}`])));
    const rows = log.rows('SELECT sequence, kind, snapshot_id AS id FROM backup_log WHERE sequence IS NOT NULL ORDER BY sequence') as Lost[];
    const lost = rows.filter(({ sequence, kind, id }) => !there.has(`${sequence} ${kind} ${id}`));
    replaceFile(`${vault.root}/${NAMES.missingLines}`, `${JSON.stringify({ schema: 1, ...known, lost })}\n`, true);
  } catch {
    // A vault that cannot be written keeps its table, and the next look finds the same.
  }
}

/** What is noted as missing and is not back, as damage. */
export function missingLines(vault: Vault, lines: readonly ChainText[]): Damage[] {
  const note = readNote(vault);
  if (note === undefined || isBack(note, lines)) return [];
  const why = 'ledger/cora.db knew it; taken out, or this is an older copy of the vault (cora ledger rebuild accepts that)';
  const named = note.lost.filter(({ kind }) => kind !== 'unchanged');
  if (named.length === 0) return [{ path: `ledger line ${note.sequence}`, file: NAMES.chain, reason: `it is gone or another one: ${why}` }];
  return named.map(({ sequence, kind, id }) => {
    const parsed = parseId(id);
    const file = parsed === undefined ? NAMES.chain : snapshotDirectory(kind === 'backup' || kind === 'fallback' ? kind : 'save', parsed);
    return { path: id, file, reason: `line ${sequence} of the ledger, this ${kind}, is gone: ${why}` };
  });
}

function isBack(note: Note, lines: readonly ChainText[]): boolean {
  return lines.some(({ line, hash }) => line?.sequence === note.sequence && hash === note.hash);
}

function readNote(vault: Vault): Note | undefined {
  const text = readTextIfThere(`${vault.root}/${NAMES.missingLines}`);
  if (text === undefined) return undefined;
  try {
    const note: unknown = JSON.parse(text);
    if (typeof note === 'object' && note !== null && 'sequence' in note && 'hash' in note && 'lost' in note && isLost(note.lost))
      return note as unknown as Note;
  } catch {
    // the same as a note of another shape
  }
  return { sequence: 0, hash: '', lost: [] };
}

function isLost(value: unknown): value is readonly Lost[] {
  return (
    Array.isArray(value) && (value as readonly (Partial<Lost> | null)[]).every((one) => typeof one?.id === 'string' && typeof one.kind === 'string')
  );
}

/** A person's word that the ledger as it stands is the truth. */
export function acceptMissing(vault: Vault): boolean {
  const place = `${vault.root}/${NAMES.missingLines}`;
  if (readTextIfThere(place) === undefined) return false;
  rmSync(place);
  return true;
}
