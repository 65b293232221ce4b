// The way back of `cora init --agents`: what it put in goes, and what others wrote since stays. A file that init made
// goes where nothing else is left in it.

import { type Bytes, fromText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { findAgentBlock } from '../source/agent-block.ts';
import { SettingsRefusal, takeOutHooks } from '../source/agent-settings.ts';
import { appendLine, readHead } from '../vault/chain.ts';
import type { WrittenForAgents } from '../vault/init-record.ts';
import { lockForWriting, type Vault } from '../vault/vault.ts';
import { lookAt, removeAt, writeAt } from './agent-files.ts';
import { newestSave } from './loss-baseline.ts';
import { encodePath } from './loss-ledger.ts';

export type AgentsUndone = {
  /** Absolute paths. */
  readonly removed: readonly string[];
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
  /** What stays in the record. */
  readonly left: readonly WrittenForAgents[];
};

/** Stands for a reason that a person must see. */
class Kept extends Error {}

/**
 * The same where a person asked for it: the ledger has their word first, so that no save calls it a loss (AGENTS.md is critical).
 * @throws CoraError locked, io
 */
export function undoAgentsOnRequest(vault: Vault, project: Bytes, written: readonly WrittenForAgents[], ctx: Context): AgentsUndone {
  const lock = lockForWriting(vault, ctx.lockWait);
  try {
    const last = newestSave(vault);
    if (last !== undefined && written.length > 0) {
      const extra = written.map(({ path }) => encodePath(fromText(path))).join(',');
      const line = { kind: 'accept', id: last.snapshot_id, time: new Date(ctx.now()).toISOString(), sums: '-', extra };
      appendLine(vault.root, readHead(vault.root), line);
    }
    return undoAgents(project, written);
  } finally {
    lock.release();
  }
}

export function undoAgents(project: Bytes, written: readonly WrittenForAgents[]): AgentsUndone {
  const root = toText(project);
  const removed: string[] = [];
  const kept: { path: string; reason: string }[] = [];
  const left: WrittenForAgents[] = [];
  for (const one of written) {
    const path = `${root}/${one.path}`;
    try {
      if (undoOne(root, one)) removed.push(path);
    } catch (error) {
      kept.push({ path, reason: messageOf(error) });
      // What was edited is the user's from now on; what could not be written may be tried again.
      if (!(error instanceof Kept)) left.push(one);
    }
  }
  return { removed, kept, left };
}

/** @returns false where nothing of ours was there any more */
function undoOne(root: string, one: WrittenForAgents): boolean {
  const place = lookAt(root, one.path);
  if (place.state === 'absent') return false;
  if (place.state === 'closed') throw new Error(place.reason);
  const rest = place.text === one.inserted[0] ? '' : withoutOurs(place.text, one);
  if (rest === place.text) return false;
  if (one.made && isEmpty(rest, one)) removeAt(place.real);
  else writeAt(place.real, rest);
  return true;
}

function withoutOurs(text: string, { kind, inserted }: WrittenForAgents): string {
  if (kind === 'file') throw new Kept('it was edited since init wrote it');
  if (kind === 'settings') return withoutHooks(text, inserted);
  const part = inserted[0];
  const at = part === undefined ? -1 : text.lastIndexOf(part);
  if (part !== undefined && at >= 0) return text.slice(0, at) + text.slice(at + part.length);
  let found: ReturnType<typeof findAgentBlock>;
  try {
    found = findAgentBlock(text);
  } catch (error) {
    throw new Kept(messageOf(error));
  }
  if (found === undefined) return text;
  if (!found.intact) throw new Kept("Cora's block in it was edited: take it out by hand");
  return text.slice(0, found.start) + text.slice(found.end);
}

function withoutHooks(text: string, inserted: readonly string[]): string {
  const bytes = Buffer.from(text, 'latin1');
  const decoded = bytes.toString('utf8');
  try {
    if (!Buffer.from(decoded).equals(bytes)) throw new SettingsRefusal('it is not UTF-8');
    const parts = inserted.map((part) => Buffer.from(part, 'latin1').toString('utf8'));
    return Buffer.from(takeOutHooks(decoded, parts)).toString('latin1');
  } catch (error) {
    if (!(error instanceof SettingsRefusal)) throw error;
    throw new Kept(`${error.message}: take Cora's hooks out by hand`);
  }
}

/** Nothing but what a new file of ours has around its entries. */
function isEmpty(rest: string, { kind }: WrittenForAgents): boolean {
  if (kind !== 'settings') return rest.trim() === '';
  return /^\s*(?:\{\s*(?:"version"\s*:\s*1\s*)?\})?\s*$/.test(rest);
}
