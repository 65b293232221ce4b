// `cora init --agents`: what assistants are told (AGENTS.md, a skill), and the hooks that make it happen. Plan, then
// apply; what was put in is recorded first, so that `--undo` gives back the same bytes. What cannot be edited is kept and named.

import { dirname } from 'node:path';
import { type Bytes, isText, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { stableLauncher } from '../os/launcher.ts';
import { agentBlock, appendedBlock, type BlockKind, findAgentBlock, importsAgents, SKILL } from '../source/agent-block.ts';
import { addHooks, type HookEntry, newSettings, SettingsRefusal, takeOutHooks } from '../source/agent-settings.ts';
import { type Assistant, findAssistants } from '../source/assistants.ts';
import { readInitRecord, type WrittenForAgents, writeInitRecord } from '../vault/init-record.ts';
import type { Vault } from '../vault/vault.ts';
import { lookAt, type Place, writeAt } from './agent-files.ts';
import { missingDirectories } from './init-plan.ts';

export type AgentMachine = { readonly home: string | undefined; readonly launcher: string };

export type AgentFile = {
  /** Relative to the project. */
  readonly path: string;
  readonly action: 'create' | 'add' | 'same' | 'kept';
  /** Why it is kept. */
  readonly reason?: string;
  /** What is put in, for people. */
  readonly shown: string;
  readonly written: WrittenForAgents | undefined;
  /** The whole new text, latin1. */
  readonly text: string;
};

export type AgentPlan = {
  readonly found: readonly Assistant[];
  readonly files: readonly AgentFile[];
};

/**
 * @param record of what earlier runs put in; it is brought up to date
 * @throws CoraError refused for a project whose path is not UTF-8
 */
export function planAgents(project: Bytes, machine: AgentMachine, record: readonly WrittenForAgents[]): AgentPlan {
  if (!isText(project))
    throw new CoraError('refused', `${toText(project)} has a name that is not UTF-8; its files are not touched`, { hint: 'rename the directory' });
  const root = toText(project);
  const found = findAssistants(root, machine.home);
  const launcher = stableLauncher(machine.launcher);
  const files: AgentFile[] = [planBlock(root, 'AGENTS.md', 'instructions', record)];
  const claude = lookAt(root, 'CLAUDE.md');
  const agents = lookAt(root, 'AGENTS.md');
  const isAlias = claude.state === 'file' && agents.state !== 'closed' && claude.real === agents.real;
  if (claude.state === 'closed') files.push(kept('CLAUDE.md', claude.reason));
  else if (claude.state === 'file' && !isAlias && (findSafely(claude.text) !== undefined || !importsAgents(claude.text)))
    files.push(planBlock(root, 'CLAUDE.md', 'pointer', record));
  for (const { settings, skill, rest, entries } of found) {
    files.push(
      planSettings(
        root,
        settings,
        rest,
        entries(launcher),
        record.find(({ path }) => path === settings),
      ),
    );
    if (skill !== undefined)
      files.push(
        planFile(
          root,
          skill,
          SKILL,
          record.find(({ path }) => path === skill),
        ),
      );
  }
  return { found, files };
}

const kept = (path: string, reason: string): AgentFile => ({ path, action: 'kept', reason, shown: '', written: undefined, text: '' });
const same = (path: string): AgentFile => ({ path, action: 'same', shown: '', written: undefined, text: '' });

function findSafely(text: string): ReturnType<typeof findAgentBlock> | 'cut off' {
  try {
    return findAgentBlock(text);
  } catch {
    return 'cut off';
  }
}

function planBlock(root: string, path: string, kind: BlockKind, record: readonly WrittenForAgents[]): AgentFile {
  const place = lookAt(root, path);
  if (place.state === 'closed') return kept(path, place.reason);
  const before = place.state === 'file' ? place.text : '';
  const found = findSafely(before);
  if (found === 'cut off') return kept(path, 'it holds a block of Cora that begins and does not end: take it out by hand');
  if (found === undefined) {
    const block = appendedBlock(before, kind);
    return {
      path,
      action: place.state === 'absent' ? 'create' : 'add',
      shown: block.trim(),
      written: { path, kind: 'block', made: place.state === 'absent', inserted: [block] },
      text: before + block,
    };
  }
  if (!found.intact) return kept(path, "Cora's block in it was edited");
  const now = before.slice(found.start, found.end);
  const wanted = agentBlock(kind, now.includes('\r\n') ? '\r\n' : '\n');
  if (now.trimEnd() === wanted.trimEnd()) return same(path);
  // What stood between the text and the older block goes with this one.
  const earlier = record.find((one) => one.path === path);
  const gap = /^[\r\n]*/.exec(earlier?.inserted[0] ?? '')?.[0] ?? '';
  return {
    path,
    action: 'add',
    shown: wanted.trim(),
    written: { path, kind: 'block', made: earlier?.made === true, inserted: [gap + wanted] },
    text: before.slice(0, found.start) + wanted + before.slice(found.end),
  };
}

function planSettings(
  root: string,
  path: string,
  rest: Assistant['rest'],
  entries: readonly HookEntry[],
  earlier: WrittenForAgents | undefined,
): AgentFile {
  const place = lookAt(root, path);
  if (place.state === 'closed') return kept(path, place.reason);
  const shown = entries.map(({ event, entry }) => `${event}: ${JSON.stringify(entry)}`).join('\n');
  if (place.state === 'absent' || place.text.trim() === '') {
    const text = asLatin(newSettings(entries, rest));
    const before = place.state === 'absent' ? '' : place.text;
    return {
      path,
      action: 'create',
      shown,
      written: { path, kind: 'settings', made: place.state === 'absent', inserted: [text] },
      text: before + text,
    };
  }
  try {
    const before = asUtf8(place.text);
    const current = addHooks(before, entries);
    if (current.inserted.length === 0) return same(path);
    // An older form of ours goes first, so that none stands there twice.
    const clean = takeOutHooks(before, (earlier?.inserted ?? []).map(asUtf8));
    const isOnlyOurs = earlier?.made === true && asLatin(clean).trim() === '';
    const edited = isOnlyOurs ? undefined : addHooks(clean, entries);
    const text = asLatin(edited?.text ?? newSettings(entries, rest));
    const inserted = edited?.inserted.map(asLatin) ?? [text];
    return { path, action: 'add', shown, written: { path, kind: 'settings', made: earlier?.made === true, inserted }, text };
  } catch (error) {
    if (!(error instanceof SettingsRefusal)) throw error;
    return kept(path, error.message);
  }
}

function planFile(root: string, path: string, content: string, earlier: WrittenForAgents | undefined): AgentFile {
  const place = lookAt(root, path);
  if (place.state === 'closed') return kept(path, place.reason);
  const written: WrittenForAgents = { path, kind: 'file', made: true, inserted: [content] };
  if (place.state === 'absent') return { path, action: 'create', shown: content.trim(), written, text: content };
  if (place.text === content) return same(path);
  if (earlier?.inserted[0] !== place.text) return kept(path, earlier === undefined ? 'it was there before' : 'it was edited since init wrote it');
  return { path, action: 'add', shown: content.trim(), written, text: content };
}

const asLatin = (text: string) => Buffer.from(text).toString('latin1');

function asUtf8(text: string): string {
  const bytes = Buffer.from(text, 'latin1');
  const decoded = bytes.toString('utf8');
  if (!Buffer.from(decoded).equals(bytes)) throw new SettingsRefusal('it is not UTF-8');
  return decoded;
}

export type AgentOutcome = { readonly path: string; readonly action: 'written' | 'same' | 'kept' | 'failed'; readonly reason?: string };

/** Safe to call twice. What is kept or fails is a problem each; the rest is done. */
export function applyAgents(project: Bytes, vault: Vault, plan: AgentPlan, ctx: Context, problem: (one: Problem) => void): AgentOutcome[] {
  const root = toText(project);
  return plan.files.map((file): AgentOutcome => {
    const { path } = file;
    const fail = (action: 'kept' | 'failed', reason: string): AgentOutcome => {
      problem({ code: 'agents', path, message: `Not set up for assistants: ${reason}`, severity: 'error' });
      return { path, action, reason };
    };
    if (file.action === 'kept') return fail('kept', file.reason ?? '');
    if (file.action === 'same' || file.written === undefined) return { path, action: 'same' };
    const place = lookAt(root, path);
    if (place.state === 'closed') return fail('kept', place.reason);
    try {
      remember(vault, file.written, place, ctx);
      writeAt(place.real, file.text);
      return { path, action: 'written' };
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return fail('failed', `it cannot be written: ${errnoOf(error) ?? messageOf(error)}`);
    }
  });
}

function remember(vault: Vault, written: WrittenForAgents, place: Exclude<Place, { state: 'closed' }>, ctx: Context): void {
  const now = readInitRecord(vault, ctx.now());
  const others = (now.agents ?? []).filter(({ path }) => path !== written.path);
  const earlier = (now.agents ?? []).find(({ path }) => path === written.path);
  const merged = { ...written, made: written.made || earlier?.made === true };
  const directories = place.state === 'absent' ? missingDirectories(dirname(place.real)) : [];
  writeInitRecord(vault, { ...now, agents: [...others, merged], directories: [...new Set([...now.directories, ...directories])] });
}
