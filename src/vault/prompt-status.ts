// The one small text file that prompts and completions read with shell builtins alone (docs/shell.md has its
// format): when what last went well, and what last failed. It is told, not relied on: it can be deleted at any
// time, and no failure here ends a run.

import { dirname } from 'node:path';
import { type Bytes, fromText, isText, toText } from '../base/bytes.ts';
import { exists, makePath, readCacheFile, replaceFile } from '../os/files.ts';
import { NAMES } from './layout.ts';
import type { VaultLocation } from './locate.ts';

const HEADER = 'cora-prompt 1';
/** Longer names no file system takes. */
const NAME_MOST = 255;
/** A status is smaller. */
const STATUS_MOST = 1 << 16;
const DAY = 86_400;
/** Of a project that no timer saves: a save older than this is late. */
const LATE_BY_HAND = DAY;
/** Two intervals of the timer as it is installed. */
const LATE_LEAST = 1800;
/** A timer that was not seen for this long is gone. */
const TIMER_GONE = 7 * DAY;

/** What can have failed, in the order in which a prompt names it. */
const FAILURES = ['save', 'lost', 'verify', 'backup', 'ship', 'drill', 'health'] as const;
export type PromptFailure = (typeof FAILURES)[number];

const TIMES = ['saved', 'backed', 'verified', 'shipped', 'drilled', 'timer'] as const;
type Time = (typeof TIMES)[number];

/** Times in seconds since 1970; 0 where it never was. */
export type PromptStatus = {
  readonly root: string;
  readonly vault: string;
  /** A save older than this many seconds is late. */
  readonly late: number;
  readonly times: Readonly<Record<Time, number>>;
  /** What failed when it last ran. */
  readonly failed: readonly PromptFailure[];
  /** Names of `cora health`'s checks that are not well. */
  readonly warn: readonly string[];
};

/** What one run changes. */
export type PromptChange = {
  /** When it went well, in seconds since 1970. */
  readonly times?: Partial<Readonly<Record<Exclude<Time, 'timer'>, number>>>;
  /** True where the run is a timer's save. */
  readonly timer?: boolean;
  readonly failed?: readonly PromptFailure[];
  readonly well?: readonly PromptFailure[];
  readonly warn?: readonly string[];
};

/**
 * Where a project's status lies: beside what Cora remembers of it, and in a vault that was named in the vault itself.
 * @returns undefined where a shell could not find it (a name that is no text, or has a line break, or is too long)
 */
export function promptStatusPath(root: Bytes, location: VaultLocation): string | undefined {
  const text = toText(root);
  if (!isText(root) || /[\r\n]/.test(text) || /[\r\n]/.test(location.path)) return undefined;
  if (location.source === 'explicit') {
    // A directory that is no vault, or not yet, gets nothing; one whose VAULT.json is gone was one.
    const cache = `${location.path}/${NAMES.cache}`;
    return isThere(cache) || isThere(`${location.path}/${NAMES.vaultJson}`) ? `${cache}/prompt` : undefined;
  }
  const name = text.replaceAll('/', '%');
  return location.memory === undefined || Buffer.byteLength(name) > NAME_MOST ? undefined : `${dirname(dirname(location.memory))}/prompt/${name}`;
}

/** On a disk that died nothing is. */
function isThere(path: string): boolean {
  try {
    return exists(path);
  } catch {
    return false;
  }
}

/** Writes down what a run changed. Never throws. */
export function updatePromptStatus(path: string, root: string, vault: string, change: PromptChange, now: number): void {
  try {
    const old = parsePromptStatus(readCacheFile(path, STATUS_MOST)?.toString() ?? '');
    const known = old?.root === root && old.vault === vault ? old : undefined;
    makePath(fromText(dirname(path)));
    replaceFile(path, formatPromptStatus(changed(known, root, vault, change, Math.floor(now / 1000))), false);
  } catch {
    // Read-only or full: a prompt tells less, and nothing else is the worse for it.
  }
}

function changed(old: PromptStatus | undefined, root: string, vault: string, change: PromptChange, now: number): PromptStatus {
  const times = { saved: 0, backed: 0, verified: 0, shipped: 0, drilled: 0, timer: 0, ...old?.times, ...change.times };
  let late = old?.late ?? LATE_BY_HAND;
  if (change.timer === true) {
    // The interval is what was seen, because `systemctl edit` may have changed it.
    const gap = times.timer === 0 ? 0 : now - times.timer;
    late = Math.min(Math.max(2 * gap, LATE_LEAST), 2 * DAY);
    times.timer = now;
  } else if (now - times.timer > TIMER_GONE) late = LATE_BY_HAND;
  const failed = new Set([...(old?.failed ?? []).filter((name) => change.well?.includes(name) !== true), ...(change.failed ?? [])]);
  return { root, vault, late, times, failed: FAILURES.filter((name) => failed.has(name)), warn: change.warn ?? old?.warn ?? [] };
}

export function formatPromptStatus({ root, vault, late, times, failed, warn }: PromptStatus): string {
  const lines = [HEADER, `root ${root}`, `vault ${vault}`, `late ${late}`, ...TIMES.map((name) => `${name} ${times[name]}`)];
  return `${[...lines, `failed ${failed.join(' ')}`, `warn ${warn.join(' ')}`].join('\n')}\n`;
}

/** @returns undefined for what is no status of this version */
export function parsePromptStatus(text: string): PromptStatus | undefined {
  const [header, ...lines] = text.split('\n');
  if (header !== HEADER) return undefined;
  const fields = new Map(lines.map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]));
  const words = (name: string) => (fields.get(name) ?? '').split(' ').filter((word) => word !== '');
  const number = (name: string, otherwise: number) => (/^\d{1,12}$/.test(fields.get(name) ?? '') ? Number(fields.get(name)) : otherwise);
  const time = (name: Time) => number(name, 0);
  return {
    root: fields.get('root') ?? '',
    vault: fields.get('vault') ?? '',
    late: number('late', LATE_BY_HAND),
    times: {
      saved: time('saved'),
      backed: time('backed'),
      verified: time('verified'),
      shipped: time('shipped'),
      drilled: time('drilled'),
      timer: time('timer'),
    },
    failed: FAILURES.filter((name) => words('failed').includes(name)),
    warn: words('warn'),
  };
}
