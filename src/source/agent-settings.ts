// Cora's entries in the settings of an assistant: put in and taken out as text. Pure. Invariants: every byte
// outside our entries stays; what is put in twice stands there once; taking out what was put in gives the same bytes back.

import { type JsonNode, memberOf, parseJsonText } from '../format/json-text.ts';

/** What an assistant's file must hold: the event's name, and the entry for its list. */
export type HookEntry = { readonly event: string; readonly entry: unknown };

export type Edited = {
  readonly text: string;
  /** What was put in, from the end of the file to its beginning; empty where all was there. */
  readonly inserted: readonly string[];
};

/** Where a file cannot be edited; the message says why, as the end of a sentence. */
export class SettingsRefusal extends Error {}

/** Any entry that calls Cora's hook for assistants, whoever wrote it. */
export function isOurs(value: unknown): boolean {
  return /\bhook agent (session-start|pre-tool|stop|session-end)\b/.test(JSON.stringify(value) ?? '');
}

/** A whole new file. */
export function newSettings(entries: readonly HookEntry[], rest: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ ...rest, hooks: grouped(entries) }, null, 2)}\n`;
}

/** @throws SettingsRefusal */
export function addHooks(text: string, entries: readonly HookEntry[]): Edited {
  const root = parsed(text);
  const style = styleOf(text, root);
  const hooks = memberOf(root, 'hooks');
  if (hooks === undefined) return applied(text, [insertion(text, root, `"hooks":${style.colon}${style.print(grouped(entries), 1)}`, 1, style)]);
  if (hooks.members === undefined) throw new SettingsRefusal('its "hooks" is no object');
  const edits: Insertion[] = [];
  const fresh: string[] = [];
  for (const [event, wanted] of Object.entries(grouped(entries))) {
    const list = memberOf(hooks, event);
    if (list === undefined) {
      fresh.push(`${JSON.stringify(event)}:${style.colon}${style.print(wanted, 2)}`);
      continue;
    }
    if (list.items === undefined) throw new SettingsRefusal(`its "hooks.${event}" is no list`);
    const missing = wanted.filter((entry) => !list.items?.some((item) => JSON.stringify(item.value) === JSON.stringify(entry)));
    if (missing.length > 0) edits.push(insertion(text, list, missing.map((entry) => style.print(entry, 3)).join(`,${style.newline(3)}`), 3, style));
  }
  if (fresh.length > 0) edits.push(insertion(text, hooks, fresh.join(`,${style.newline(2)}`), 2, style));
  return applied(text, edits);
}

/**
 * @param inserted as `addHooks` gave it; where it does not stand there any more, our entries are found by what they call
 * @throws SettingsRefusal
 */
export function takeOutHooks(text: string, inserted: readonly string[]): string {
  const exact = inserted.reduce<string | undefined>((rest, part) => {
    const at = rest?.lastIndexOf(part) ?? -1;
    return rest === undefined || at < 0 ? undefined : rest.slice(0, at) + rest.slice(at + part.length);
  }, text);
  if (exact !== undefined && (exact.trim() === '' || isCleanJson(exact))) return exact;
  return withoutOurs(text);
}

/** Our entries and no others go, and the lists and objects that this leaves empty. */
export function withoutOurs(text: string): string {
  let rest = text;
  for (;;) {
    const root = parsed(rest);
    const hooks = memberOf(root, 'hooks');
    const lists = hooks?.members ?? [];
    const list = lists.find(({ node }) => node.items?.some((item) => isOurs(item.value)) === true);
    if (hooks === undefined || list === undefined) return rest;
    const items = list.node.items ?? [];
    const ours = items.findIndex((item) => isOurs(item.value));
    // Somebody may have put a command of their own beside ours.
    const commands = memberOf(items[ours], 'hooks')?.items ?? [];
    if (commands.some((command) => !isOurs(command.value))) {
      rest = cut(
        rest,
        commands,
        commands.findIndex((command) => isOurs(command.value)),
      );
    } else if (items.length > 1) rest = cut(rest, items, ours);
    else if (lists.length > 1) rest = cut(rest, spans(lists), lists.indexOf(list));
    else
      rest = cut(
        rest,
        spans(root.members ?? []),
        (root.members ?? []).findLastIndex(({ key }) => key === 'hooks'),
      );
  }
}

function grouped(entries: readonly HookEntry[]): Record<string, unknown[]> {
  const all: Record<string, unknown[]> = {};
  for (const { event, entry } of entries) all[event] = [...(all[event] ?? []), entry];
  return all;
}

function parsed(text: string): JsonNode {
  let root: JsonNode;
  try {
    root = parseJsonText(text);
  } catch {
    const comments = /^\s*\/[/*]/m.test(text);
    throw new SettingsRefusal(comments ? 'it has comments, which would be lost' : 'it is not valid JSON');
  }
  if (root.members === undefined) throw new SettingsRefusal('it is no JSON object');
  return root;
}

function isCleanJson(text: string): boolean {
  try {
    const hooks = memberOf(parsed(text), 'hooks');
    return !isOurs(hooks?.value);
  } catch {
    return false;
  }
}

type Style = {
  readonly colon: string;
  /** A line break and the indentation of that depth. */
  newline(depth: number): string;
  print(value: unknown, depth: number): string;
};

/** As the file is written: its indentation, its line ends; a file in one line stays in one. */
function styleOf(text: string, root: JsonNode): Style {
  const first = root.members?.[0];
  const between = first === undefined ? undefined : text.slice(root.start + 1, first.start);
  if (between !== undefined && !between.includes('\n')) {
    return { colon: '', newline: () => '', print: (value) => JSON.stringify(value) };
  }
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const unit = between?.slice(between.lastIndexOf('\n') + 1) ?? '';
  const indent = unit === '' ? '  ' : unit;
  const newline = (depth: number) => end + indent.repeat(depth);
  const print = (value: unknown, depth: number) => JSON.stringify(value, null, indent).replaceAll('\n', newline(depth));
  return { colon: ' ', newline, print };
}

type Insertion = { readonly at: number; readonly text: string };

/** Behind the last of what an object or a list holds. */
function insertion(text: string, node: JsonNode, part: string, depth: number, style: Style): Insertion {
  const children = node.items ?? node.members?.map(({ node: value }) => value) ?? [];
  const last = children.at(-1);
  if (last !== undefined) return { at: last.end, text: `,${style.newline(depth)}${part}` };
  // An empty one may be spread over lines: what is between its brackets then stands in front of the closing one still.
  const hasBreak = text.slice(node.start, node.end).includes('\n');
  return { at: node.start + 1, text: `${style.newline(depth)}${part}${hasBreak ? '' : style.newline(depth - 1)}` };
}

function applied(text: string, edits: readonly Insertion[]): Edited {
  const fromEnd = edits.toSorted((a, b) => b.at - a.at);
  return {
    text: fromEnd.reduce((rest, { at, text: part }) => rest.slice(0, at) + part + rest.slice(at), text),
    inserted: fromEnd.map(({ text: part }) => part),
  };
}

type Span = { readonly start: number; readonly end: number };

const spans = (members: NonNullable<JsonNode['members']>): Span[] => members.map(({ start, node }) => ({ start, end: node.end }));

/** Takes one out of several with its comma; the only one leaves nothing between the brackets. */
function cut(text: string, all: readonly Span[], index: number): string {
  const [before, it, after] = [all[index - 1], all[index], all[index + 1]];
  if (it === undefined) return text;
  if (before !== undefined) return text.slice(0, before.end) + text.slice(it.end);
  if (after !== undefined) return text.slice(0, it.start) + text.slice(after.start);
  return text.slice(0, it.start).trimEnd() + text.slice(it.end).trimStart();
}
