// The run log: one logfmt line a run, appended by one write, for people, `cora status` and log
// shippers. It is told, not relied on: no failure here ends a run. docs/json.md has the fields.

import { appendFileSync, closeSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromText } from '../base/bytes.ts';
import { escapeSteering } from '../base/steering.ts';
import { makePath } from './files.ts';

export type RunLevel = 'info' | 'warn' | 'error';

/** One run. Everything but time, level and command may be unknown. */
export type RunEntry = {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly level: RunLevel;
  readonly command: string;
  readonly trigger?: string;
  /** Absolute path of the project. */
  readonly project?: string;
  readonly vault?: string;
  readonly exit?: number;
  readonly seconds?: number;
  /** The snapshot that was made or used. */
  readonly id?: string;
  readonly message?: string;
  /** What was said to `cora say`, of which this run came. */
  readonly phrase?: string;
};

/** A log of this size is moved to `<name>.1`, over the one that was there. */
const LOG_MAX = 10_000_000;
/** Paths are shorter, and no phrase that is longer is understood. */
const TEXT_MOST = 5000;
const TEXT_FIELDS = ['command', 'trigger', 'project', 'vault', 'id', 'message', 'phrase'] as const;

/**
 * Where runs are logged, the first place that can be written is taken.
 * @param asked `CORA_LOG`: the file itself; empty for no log
 * @param state the directory of Cora's own state
 */
export function runLogPaths(asked: string | undefined, uid: number, state: string | undefined): string[] {
  if (asked !== undefined) return asked.startsWith('/') ? [asked] : [];
  return [...(uid === 0 ? ['/var/log/cora-backup.log'] : []), ...(state === undefined ? [] : [`${state}/cora-backup.log`])];
}

/** `2026-11-21T03:15:04Z level=info command="backup now" project="/srv/app" exit=0 seconds=4.2` */
export function formatRun(entry: RunEntry): string {
  const fields = [`${new Date(entry.time).toISOString().slice(0, 19)}Z`, `level=${entry.level}`];
  for (const key of TEXT_FIELDS) {
    const value = entry[key];
    if (value !== undefined) fields.push(`${key}=${quoted(value)}`);
  }
  if (entry.exit !== undefined) fields.push(`exit=${entry.exit}`);
  if (entry.seconds !== undefined) fields.push(`seconds=${entry.seconds.toFixed(1)}`);
  return fields.join(' ');
}

/** As JSON, with escapes too for what JSON leaves and a terminal or a pager obeys; not longer than a sentence needs. */
function quoted(text: string): string {
  const short = text.length > TEXT_MOST ? `${text.slice(0, TEXT_MOST)}...` : text;
  return escapeSteering(JSON.stringify(short), (code) => `\\u${code.toString(16).padStart(4, '0')}`);
}

/** The entry of a line; undefined for a line that is none. Fields that we do not know are passed over. */
export function parseRun(line: string): RunEntry | undefined {
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z) (.*)$/.exec(line);
  const time = Date.parse(match?.[1] ?? '');
  if (match === null || Number.isNaN(time)) return undefined;
  const fields = new Map<string, string>();
  for (const [, key, quoted, plain] of (match[2] ?? '').matchAll(/([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g)) {
    fields.set(key ?? '', quoted === undefined ? (plain ?? '') : unquoted(quoted));
  }
  const level = fields.get('level');
  const command = fields.get('command');
  if ((level !== 'info' && level !== 'warn' && level !== 'error') || command === undefined) return undefined;
  const text = Object.fromEntries(TEXT_FIELDS.flatMap((key) => (fields.has(key) ? [[key, fields.get(key)]] : [])));
  const number = (key: string) => (fields.has(key) && Number.isFinite(Number(fields.get(key))) ? { [key]: Number(fields.get(key)) } : {});
  return { ...text, time, level, command, ...number('exit'), ...number('seconds') };
}

/** A shell script may have written it with fewer escapes than JSON has. */
function unquoted(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    return text;
  }
}

/** Appends to the first of `paths` that can be written; a new file is for its owner alone. Gives that path. */
export function appendRun(paths: readonly string[], entry: RunEntry): string | undefined {
  const line = `${formatRun(entry)}\n`;
  return paths.find((path) => {
    try {
      makePath(fromText(dirname(path)));
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_MAX) renameSync(path, `${path}.1`);
      appendFileSync(path, line, { mode: 0o600 });
      return true;
    } catch {
      return false;
    }
  });
}

/** The entries among the newest `length` bytes of each log that can be read, oldest first. */
export function readRuns(paths: readonly string[], length = 1 << 20): RunEntry[] {
  return paths
    .flatMap((path) =>
      tailOf(path, length)
        .split('\n')
        .flatMap((line) => parseRun(line) ?? []),
    )
    .toSorted((a, b) => a.time - b.time);
}

function tailOf(path: string, length: number): string {
  try {
    const fd = openSync(path, 'r');
    try {
      const { size } = fstatSync(fd);
      const tail = Buffer.alloc(Math.min(size, length));
      readSync(fd, tail, 0, tail.length, size - tail.length);
      const text = tail.toString();
      return tail.length < size ? text.slice(text.indexOf('\n') + 1) : text;
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}
