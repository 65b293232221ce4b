// `cora diff` as lines for people and as a JSON document. Pure.

import type { DiffResult } from '../actions/diff.ts';
import type { ContentDiff } from '../actions/diff-content.ts';
import type { FileChange } from '../actions/diff-rows.ts';
import type { DatabaseChange } from '../actions/snapshot-changes.ts';
import { type Bytes, bytes, isText, toText } from '../base/bytes.ts';
import { formatBytes } from '../base/units.ts';
import type { Entry } from '../format/file-list.ts';
import type { Cell, TableRows } from '../os/sqlite-diff.ts';
import { counted, grouped, visible } from './render.ts';
import { entryDocument, refDocument } from './render-travel.ts';
import { type Document, pathFields } from './results.ts';

const name = (path: Bytes) => visible(toText(path));

/** Entries that a person is shown; the others are counted. */
const DIFF_LINES = 200;
const SIGNS = { created: '+', changed: 'M', deleted: '-' } as const;

export function diffLines(result: DiffResult, stat: boolean): string[] {
  const { before, after, files, databases } = result;
  const title = `${before.id} -> ${after?.id ?? 'now'}`;
  if (files.length + databases.length === 0) return [`${title}: nothing differs`];
  const shown = stat ? [] : files.slice(0, DIFF_LINES).map(fileLine);
  if (!stat && files.length > DIFF_LINES) shown.push(`  and ${grouped(files.length - DIFF_LINES)} more (--json lists all)`);
  return [
    `${title}: ${summaryOf(result)}`,
    ...shown,
    ...databases.flatMap((database) => databaseLines(database, stat)),
    ...(stat ? [] : contentLines(result.content)),
  ];
}

function summaryOf({ files, databases }: DiffResult): string {
  const count = (change: FileChange['change']) => files.filter((file) => file.change === change).length;
  const text = `${grouped(count('created'))} new, ${grouped(count('changed'))} changed, ${grouped(count('deleted'))} gone`;
  return databases.length === 0 ? text : `${text}; ${counted(databases.length, 'database')} changed`;
}

function fileLine({ path, change, aspects, before, after, renamedFrom }: FileChange): string {
  const size = (entry: Entry | undefined) => (entry === undefined || entry.type === 'd' ? '' : formatBytes(entry.size));
  const [was, is] = [size(before), size(after)];
  const sizes = change === 'changed' && was !== is ? `${was} -> ${is}` : is === '' ? was : is;
  const what = aspects.filter((aspect) => aspect !== 'content').join(', ');
  return `${SIGNS[change]} ${name(path)}${after?.type === 'd' || before?.type === 'd' ? '/' : ''}  ${[sizes, what, renamedFrom === undefined ? '' : `was ${name(renamedFrom)}`].filter((part) => part !== '').join(', ')}`.trimEnd();
}

function databaseLines({ path, change, tables, rows }: DatabaseChange, stat: boolean): string[] {
  const number = (count: number | undefined) => (count === undefined ? 'none' : grouped(count));
  const head = `${SIGNS[change]} ${name(path)}  database, ${number(rows.before)} -> ${number(rows.after)} rows`;
  if (stat) return [head];
  const inTables = tables.map(({ table: of, before, after }) => {
    const difference = (after ?? 0) - (before ?? 0);
    return `    ${visible(of)}: ${number(before)} -> ${number(after)} (${difference >= 0 ? '+' : '-'}${grouped(Math.abs(difference))})`;
  });
  return [head, ...(inTables.length === 0 && change === 'changed' ? ['    as many rows in each table as before'] : inTables)];
}

/** A tab is no danger to a terminal, and means something in a text. */
const lineText = (line: Bytes) => toText(line).split('\t').map(visible).join('\t');

/** Names are no part of it: `patch FILE` takes it for any. */
const HEADER = ['--- before', '+++ after'];

function contentLines(content: ContentDiff | undefined): string[] {
  if (content === undefined) return [];
  if (content.kind === 'none') return [`(${visible(content.reason)})`];
  if (content.kind === 'text') return [...HEADER, ...content.hunks.map(lineText)];
  return content.tables.flatMap(tableLines);
}

function tableLines({ table, columns, rows, more, reason }: TableRows): string[] {
  const head = `  ${visible(table)} (${columns.map(visible).join(', ')})`;
  if (reason !== undefined) return [`${head}: ${visible(reason)}`];
  return [
    head,
    ...rows.map(({ side, cells }) => `  ${side === 'before' ? '-' : '+'} ${cells.map(cellText).join(' | ')}`),
    ...(more ? ['    and more (--limit)'] : []),
  ];
}

/** Longer values are cut for people. */
const CELL = 80;

function cellText(cell: Cell): string {
  if (cell === null) return 'NULL';
  const text = cell instanceof Uint8Array ? `x'${Buffer.from(cell).toString('hex')}'` : String(cell);
  return visible(text.length > CELL ? `${text.slice(0, CELL)}...` : text);
}

/** Integers that JavaScript cannot hold exactly are texts; blobs are `{ "base64" }`. */
function cellDocument(cell: Cell): unknown {
  if (cell instanceof Uint8Array) return { base64: Buffer.from(cell).toString('base64') };
  if (typeof cell === 'bigint') return Number.isSafeInteger(Number(cell)) ? Number(cell) : cell.toString();
  return cell;
}

export function contentDocument(content: ContentDiff): Document {
  if (content.kind === 'none') return { kind: 'none', reason: content.reason };
  if (content.kind === 'text') {
    const whole = bytes([...HEADER, ...content.hunks].map((line) => `${line}\n`).join(''));
    return { kind: 'text', unified: toText(whole), ...(isText(whole) ? {} : { unified_base64: Buffer.from(whole, 'latin1').toString('base64') }) };
  }
  return {
    kind: 'rows',
    tables: content.tables.map(({ table, columns, rows, more, reason }) => ({
      table,
      columns,
      before: rows.filter(({ side }) => side === 'before').map(({ cells }) => cells.map(cellDocument)),
      after: rows.filter(({ side }) => side === 'after').map(({ cells }) => cells.map(cellDocument)),
      more,
      ...(reason === undefined ? {} : { reason }),
    })),
  };
}

export function diffDocument({ before, after, files, databases, content }: DiffResult): Document {
  const count = (change: FileChange['change']) => files.filter((file) => file.change === change).length;
  return {
    before: refDocument(before),
    after: after === undefined ? null : refDocument(after),
    different: files.length + databases.length > 0,
    created: count('created'),
    changed: count('changed'),
    deleted: count('deleted'),
    files: files.map(fileChangeDocument),
    databases: databases.map(databaseDocument),
    content: content === undefined ? null : contentDocument(content),
  };
}

export function fileChangeDocument({ path, change, aspects, before: was, after: is, renamedFrom }: FileChange): Document {
  return {
    ...pathFields('path', path),
    change,
    aspects,
    before: was === undefined ? null : entryDocument(was),
    after: is === undefined ? null : entryDocument(is),
    ...(renamedFrom === undefined ? {} : pathFields('renamed_from', renamedFrom)),
  };
}

export function databaseDocument({ path, change, tables, rows }: DatabaseChange): Document {
  return {
    ...pathFields('path', path),
    change,
    rows: { before: rows.before ?? null, after: rows.after ?? null },
    tables: tables.map(({ table: of, before: was, after: is }) => ({ table: of, before: was ?? null, after: is ?? null })),
  };
}
