// Part of the table in commands.ts: looking back: diff, log, find, cat.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';
import { DIFF_FLAGS } from './diff-flags.ts';

const LOOKING = [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.locked, EXIT.damaged, EXIT.interrupted];

export const TRAVEL_COMMANDS: readonly Command[] = [
  command({
    name: 'diff',
    summary: 'What differs between two snapshots, or between one and the project as it is now',
    usage: '[A [B [PATH...]]] [-- PATH...]',
    about: [
      'A and B: an id or its beginning, latest, @WHEN, a label (cora show --help). Without B: against now; without A: latest.',
      'Databases by rows a table. Files by content, type, mode, owner and target; times alone are no difference.',
      'With the PATH of one file its lines as a unified diff; of one database with --rows the rows that differ.',
    ],
    flags: DIFF_FLAGS,
    examples: [
      ['cora diff', 'what changed since the newest snapshot'],
      ['cora diff @yesterday latest --stat', 'how much changed since yesterday'],
      ['cora diff latest -- notes.md', 'what changed in one file'],
      ['cora diff latest~1 latest -- src', 'what the newest snapshot changed below src'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, ...LOOKING.slice(3)],
    load: () => import('./commands/diff.ts'),
  }),
  command({
    name: 'log',
    summary: 'The versions of one file over all snapshots, or when something in a directory changed',
    usage: 'PATH',
    about: ['Snapshots with the same content are one line: first and last seen, size, hash. Newest last.'],
    flags: { limit: { kind: 'number', short: 'n', value: 'COUNT', help: 'the newest COUNT only' } },
    minArgs: 1,
    maxArgs: 1,
    examples: [
      ['cora log notes.md', 'also of a file that is gone'],
      ['cora log src', 'which snapshots changed something below src'],
    ],
    exitCodes: LOOKING,
    load: () => import('./commands/log.ts'),
  }),
  command({
    name: 'find',
    summary: 'Find paths in all snapshots, those that are gone first, and where each was last seen',
    usage: 'PATTERN',
    about: ['A shell pattern: of names (*.db), or with a slash of whole paths (src/**/*.ts). Quote it.'],
    flags: {
      gone: { kind: 'switch', help: 'only what the newest snapshot does not have' },
      ignoreCase: { kind: 'switch', short: 'i', help: 'capital and small ASCII letters are the same' },
      limit: { kind: 'number', short: 'n', value: 'COUNT', help: 'show at most COUNT paths (default 1000; 0: all)' },
    },
    minArgs: 1,
    maxArgs: 1,
    examples: [
      ["cora find '*.db'", 'every database there ever was'],
      ["cora find --gone 'src/**'", 'what was deleted below src'],
    ],
    exitCodes: LOOKING,
    load: () => import('./commands/find.ts'),
  }),
  command({
    name: 'cat',
    verbatim: true,
    summary: 'Write one file of a snapshot to stdout, its exact bytes',
    usage: 'ID | @WHEN PATH',
    about: ['Also ID:PATH. Each piece is checked before it is written. Of a database: the consistent copy.'],
    flags: { force: { kind: 'switch', help: 'to a terminal also where the content is not text' } },
    minArgs: 1,
    maxArgs: 2,
    examples: [
      ['cora cat latest notes.md', 'as it was saved last'],
      ['cora cat "@2 hours ago" data/app.db > /tmp/app.db', 'a database, beside the project'],
    ],
    exitCodes: LOOKING,
    load: () => import('./commands/cat.ts'),
  }),
  command({
    name: 'why',
    summary: 'Whether a path is saved, by which rule it is or is not, and when it was saved last',
    usage: 'PATH',
    about: [
      'Exclusions with the line of the configuration, .git, other file systems, links, companions of databases; critical, log and append-only rules.',
    ],
    flags: {},
    minArgs: 1,
    maxArgs: 1,
    examples: [
      ['cora why dist/app.js', 'which pattern leaves it out'],
      ['cora why .env', 'that it is critical, and whether the newest snapshot has it as it is'],
    ],
    exitCodes: LOOKING,
    load: () => import('./commands/why.ts'),
  }),
];
