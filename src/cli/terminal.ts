// The Monitor for people and for JSON lines, all on stderr: a progress line on a terminal, a line
// a phase elsewhere, each problem in one line. stdout belongs to the result. Invariant: nothing
// here throws, and no name reaches a terminal with its control characters.

import type { Monitor, Problem, Progress } from '../base/context.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { type Paint, paintLine, wrapLines } from './columns.ts';
import type { GlobalOptions } from './flags.ts';
import { grouped, visible } from './render.ts';

/** One of the process's standard streams, as much of it as is used here. */
export type Stream = {
  write(text: string | Uint8Array, done?: (error?: Error | null) => void): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
};

/** Settles when the stream has taken the bytes: a large file is never in memory as a whole. False where nobody reads any more. */
export function sendBytes(stream: Stream, content: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => stream.write(content, (error) => resolve(error === undefined || error === null)));
}

export type Terminal = {
  readonly monitor: Monitor;
  /** All problems so far, in order. */
  readonly problems: readonly Problem[];
  /** Lines on stderr, the progress line taken away first. */
  show(lines: readonly string[]): void;
  /** Takes the progress line away and says how many problems were not shown. */
  finish(): void;
};

/** A short run shows no progress at all; a redraw costs more than it tells. */
const FIRST_DRAW_MS = 300;
const REDRAW_MS = 100;
/** Without -v: as many problems as a person reads; the report has all. */
const SHOWN_PROBLEMS = 20;
/** Phases that took less are not worth a line. */
const LONG_PHASE_MS = 2000;

const same = (text: string) => text;
const PLAIN: Paint = { red: same, yellow: same, green: same, dim: same };

/** Columns of a terminal, or those that COLUMNS names; undefined for a file or a pipe. */
export function widthOf(stream: Stream, env: Readonly<Record<string, string | undefined>>): number | undefined {
  if (stream.isTTY === true && stream.columns !== undefined && stream.columns > 0) return stream.columns;
  const text = env['COLUMNS'] ?? '';
  return /^[1-9]\d{0,3}$/.test(text) ? Number(text) : undefined;
}

/** Lines of a result as they go to a stream: no wider than its terminal, and in colour where that may be. */
export async function fitted(
  lines: readonly string[],
  stream: Stream,
  globals: GlobalOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  const width = widthOf(stream, env);
  const narrow = width === undefined ? lines : wrapLines(lines, width);
  if (!wantsColor(stream, globals, env)) return narrow;
  const paint = await loadPaint();
  return narrow.map((line) => paintLine(line, paint));
}

/** True where colours may be sent: a terminal that knows them, and nobody said no. */
export function wantsColor(stream: Stream, globals: GlobalOptions, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && globals.noColor !== true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/**
 * The monitor of one run.
 * @param now milliseconds, for rates; need not be wall-clock time
 */
export async function openTerminal(
  stream: Stream,
  globals: GlobalOptions,
  env: Readonly<Record<string, string | undefined>>,
  now: () => number,
): Promise<Terminal> {
  const paint = wantsColor(stream, globals, env) ? await loadPaint() : PLAIN;
  const how = styleOf(stream, globals, env);
  const verbose = (globals.verbose ?? 0) > 0;
  const problems: Problem[] = [];
  const startedAt = now();
  let phaseAt = startedAt;
  let last: Progress | undefined;
  let lastDrawAt = 0;
  let drawn = false;

  const write = (text: string) => {
    try {
      stream.write(text);
    } catch {
      // Progress on a closed stderr must not end a backup.
    }
  };
  const erase = () => {
    if (drawn) write('\r\x1b[K');
    drawn = false;
  };
  const say = (line: string) => {
    erase();
    write(`${line}\n`);
  };
  const sayJson = (value: object) => write(`${JSON.stringify(value)}\n`);
  const endPhase = () => {
    const elapsed = now() - phaseAt;
    if (how === 'lines' && last !== undefined && (verbose || globals.progress === 'lines' || elapsed >= LONG_PHASE_MS)) say(phaseLine(last, elapsed));
    last = undefined;
  };

  const monitor: Monitor = {
    phase(phase) {
      endPhase();
      phaseAt = now();
      last = { phase, files: 0, totalFiles: 0, bytes: 0, totalBytes: 0 };
      if (how === 'json') sayJson(statusOf(last, 0));
    },
    progress(progress) {
      last = progress;
      const at = now();
      if (at - startedAt < FIRST_DRAW_MS || at - lastDrawAt < REDRAW_MS) return;
      lastDrawAt = at;
      if (how === 'json') sayJson(statusOf(progress, at - phaseAt));
      if (how !== 'bar') return;
      const width = Math.max(20, (stream.columns ?? 80) - 1);
      write(`\r\x1b[K${paint.dim(progressLine(progress, at - phaseAt).slice(0, width))}`);
      drawn = true;
    },
    problem(problem) {
      problems.push(problem);
      if (how === 'json') sayJson({ message_type: problem.severity, ...problem });
      else if (verbose || problems.length <= SHOWN_PROBLEMS) {
        const color = problem.severity === 'error' ? paint.red : paint.yellow;
        say(`${color(`${problem.severity}:`)} ${problemText(problem)}`);
      }
    },
    note(message) {
      if (how === 'json') sayJson({ message_type: 'note', message });
      else if (globals.quiet !== true) say(visible(message));
    },
  };

  return {
    monitor,
    problems,
    show(lines) {
      for (const line of lines) say(line);
    },
    finish() {
      endPhase();
      erase();
      const hidden = problems.length - SHOWN_PROBLEMS;
      if (how !== 'json' && !verbose && hidden > 0) say(`and ${grouped(hidden)} more problems; all are in REPORT.json and with --json`);
    },
  };
}

async function loadPaint(): Promise<Paint> {
  const { Chalk } = await import('chalk');
  // chalk's own guess looks at stdout and at argv; whether to colour is decided above.
  const chalk = new Chalk({ level: 1 });
  return {
    red: (text) => chalk.red(text),
    yellow: (text) => chalk.yellow(text),
    green: (text) => chalk.green(text),
    dim: (text) => chalk.dim(text),
  };
}

type Style = 'bar' | 'lines' | 'json' | 'none';

function styleOf(stream: Stream, globals: GlobalOptions, env: Readonly<Record<string, string | undefined>>): Style {
  const asked = globals.progress ?? 'auto';
  if (asked !== 'auto') return asked;
  if (globals.quiet === true) return 'none';
  return stream.isTTY === true && env['TERM'] !== 'dumb' ? 'bar' : 'lines';
}

/** `unreadable src/a: Permission denied`, the path given once. */
export function problemText(problem: Problem): string {
  const message = visible(problem.message);
  const path = problem.path === undefined ? '' : visible(problem.path);
  // A command at the end of a message names the path too: what the message is of stands in its first sentence.
  return path === '' || names(message.split('. ')[0] ?? '', path) ? message : `${path}: ${message}`;
}

/** True where the message holds the path as a word of its own: the file `a` is not named by "pack". */
function names(message: string, path: string): boolean {
  const inName = /[\w./-]/;
  for (let at = message.indexOf(path); at >= 0; at = message.indexOf(path, at + 1)) {
    if (!inName.test(message[at - 1] ?? ' ') && !/[\w/-]/.test(message[at + path.length] ?? ' ')) return true;
  }
  return false;
}

function phaseLine(progress: Progress, elapsedMs: number): string {
  if (progress.phase === 'torture') return `${progress.phase}: ${grouped(progress.files)} points, ${formatDuration(elapsedMs)}`;
  return `${progress.phase}: ${grouped(progress.files)} files, ${formatBytes(progress.bytes)}, ${formatDuration(elapsedMs)}`;
}

/** Pure: `store  1,204 of 49,000 files  247 MB  82 MB/s  12 s left`. */
export function progressLine(progress: Progress, elapsedMs: number): string {
  if (progress.phase === 'torture') return `torture  ${grouped(progress.files)} points  ${formatDuration(elapsedMs)}`;
  const parts: string[] = [progress.phase];
  parts.push(progress.totalFiles > 0 ? `${grouped(progress.files)} of ${grouped(progress.totalFiles)} files` : `${grouped(progress.files)} files`);
  parts.push(progress.totalBytes > 0 ? `${formatBytes(progress.bytes)} of ${formatBytes(progress.totalBytes)}` : formatBytes(progress.bytes));
  if (progress.bytes > 0 && elapsedMs >= FIRST_DRAW_MS) parts.push(`${formatBytes(Math.round((progress.bytes * 1000) / elapsedMs))}/s`);
  const left = remainingMs(progress, elapsedMs);
  if (left !== undefined) parts.push(`${formatDuration(left)} left`);
  return parts.join('  ');
}

function remainingMs(progress: Progress, elapsedMs: number): number | undefined {
  if (progress.totalBytes <= 0 || progress.bytes <= 0 || elapsedMs < FIRST_DRAW_MS) return undefined;
  return Math.max(0, ((progress.totalBytes - progress.bytes) * elapsedMs) / progress.bytes);
}

/** restic's names for a status line, so that its readers work. */
function statusOf(progress: Progress, elapsedMs: number): object {
  const left = remainingMs(progress, elapsedMs);
  return {
    message_type: 'status',
    phase: progress.phase,
    seconds_elapsed: Math.round(elapsedMs) / 1000,
    ...(left === undefined ? {} : { seconds_remaining: Math.round(left / 1000) }),
    ...(progress.totalBytes > 0 ? { percent_done: Math.min(1, progress.bytes / progress.totalBytes) } : {}),
    total_files: progress.totalFiles,
    files_done: progress.files,
    total_bytes: progress.totalBytes,
    bytes_done: progress.bytes,
  };
}
