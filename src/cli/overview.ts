// `cora` alone: one screen of 80 columns, by what one wants to do. Pure.
// Invariant: every command of the table is on it, in a group or in the closing lines (test/cli-help.test.ts).

import { table } from './columns.ts';
import type { Command } from './command.ts';
import { flagName, GLOBAL_FLAGS } from './flags.ts';

/** Columns of the narrowest terminal that is common. */
const WIDTH = 80;

type Row = readonly [command: string, does: string];

/** What one wants to do, and what to type for it. Text shorter than the summaries, which `cora COMMAND --help` begins with. */
const GROUPS: readonly (readonly [title: string, rows: readonly Row[]])[] = [
  [
    'Save',
    [
      ['save', 'what changed, deduplicated: cheap, made often'],
      ['backup now', 'a backup, complete on its own, read back and checked'],
      ['backup auto', 'always a save, and a backup when one is due'],
      ['end', 'end a session: save, read back, send what waits'],
    ],
  ],
  [
    'Look',
    [
      ['status', 'how old the last save, backup, check and copy are'],
      ['list', 'saves and backups'],
      ['show', 'what one of them holds'],
      ['diff', 'what differs between two, or from the project as it is'],
      ['log', 'the versions of a path'],
      ['find', 'where a name was, gone ones first'],
      ['cat', 'a file as it was, to stdout'],
      ['why', 'is a path saved or not, and by which rule?'],
    ],
  ],
  [
    'Get back',
    [
      ['lost', 'what is gone, and the command that brings it back'],
      ['restore', 'a path or the whole, beside or in place, with --undo'],
      ['guard', 'back up, run a command, roll back where it fails'],
      ['recover', 'a project from off-site, on an empty machine'],
    ],
  ],
  [
    'Trust it',
    [
      ['verify', 'read snapshots back from the disk, name what is damaged'],
      ['drill', 'prove that a restore works, and how long it takes'],
      ['health', 'does the protection work?'],
      ['torture', 'crashes and power cuts on this disk, in a scratch vault'],
      ['protect', 'make backups immutable, memory files append-only'],
      ['rotate', 'cut a grown log; the whole is in the vault first'],
      ['prune', 'remove old snapshots by rules; pin keeps one'],
      ['ship', 'copy off-site, and prove every byte there'],
    ],
  ],
  [
    'Set up',
    [
      ['init', 'all of it at once: hook, timers, key, assistants'],
      ['doctor', 'a real save, backup and restore of a probe'],
      ['timers install', 'save every 15 minutes, back up each night'],
      ['hooks install', 'save before each push'],
      ['shell', 'completion and prompt for bash, zsh and fish'],
      ['mcp', 'for AI assistants'],
      ['serve', 'a page to look at, and HTTP for programs'],
    ],
  ],
];

export function overviewLines(commands: readonly Command[]): string[] {
  const grouped = new Set(GROUPS.flatMap(([, rows]) => rows.map(([name]) => name)));
  const rest = commands.filter(({ name }) => !grouped.has(name)).map(({ name }) => name);
  const widest = Math.max(...[...grouped].map((name) => name.length));
  return [
    'Cora saves and backs up a project: files git never held, and databases in use.',
    'Usage: cora COMMAND [OPTIONS], or in words: cora "save our progress"',
    ...GROUPS.flatMap(([title, rows]) => ['', title, ...rows.map(([name, does]) => `  cora ${name.padEnd(widest)}  ${does}`)]),
    '',
    ...wrapped(`Also: ${rest.join(', ')}`, WIDTH),
    ...wrapped(`Options of every command: ${globals()}`, WIDTH),
    'More: cora COMMAND --help, man cora. First steps: cora save, then cora status.',
  ];
}

/** The commands of one word: `cora key`. */
export function familyLines(commands: readonly Command[]): string[] {
  return [
    'Usage: cora COMMAND [OPTIONS]',
    '',
    ...table(commands.map(({ name, summary }) => [`  cora ${name}`, summary])),
    '',
    'More: cora COMMAND --help',
  ];
}

function globals(): string {
  return Object.keys(GLOBAL_FLAGS).map(flagName).join(', ');
}

/** Lines of at most `width`, broken after commas; later ones are indented. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of text.split(/(?<=,) /)) {
    const last = lines.at(-1);
    if (last === undefined) lines.push(part);
    else if (last.length + 1 + part.length > width) lines.push(`  ${part}`);
    else lines[lines.length - 1] = `${last} ${part}`;
  }
  return lines;
}
