// Part of the table in commands.ts: what is said in words.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const SAY_COMMANDS: readonly Command[] = [
  command({
    name: 'say',
    summary: 'Do what a phrase asks, and answer in a sentence: "save our progress", "how big are our backups?"',
    usage: 'PHRASE [--explain] | --apply PLAN',
    about: [
      'Offline and by fixed rules (docs/say.md). Each word has to be understood; else it ends with 64 and names the two nearest commands.',
      'It saves, backs up, verifies, lists, protects, rotates, ends a session, and tells sizes, ages, health and losses. Nothing is ever deleted, unlocked or',
      'switched off by a phrase. A restore shows its plan and needs a yes at a terminal, or --apply with the plan that it printed.',
      'Without "say" too, as one argument: cora "save our progress"',
    ],
    flags: {
      explain: { kind: 'switch', help: 'say how the phrase is understood, and do nothing' },
      apply: {
        kind: 'text',
        value: 'PLAN',
        variable: false,
        help: 'restore as that plan says; refused (20) where the files or the vault changed since, or after ten minutes',
      },
      confirmServiceStopped: { kind: 'switch', variable: false, help: 'for a restore: nothing has the databases open that are replaced' },
      live: { kind: 'switch', variable: false, help: 'for a restore: replace the content of databases through SQLite while their programs work' },
    },
    examples: [
      ['cora say "save our progress"', 'a save'],
      ['cora "how big are our backups?"', '7 daily (1.2 GB), 4 weekly (680 MB)'],
      ['cora say "restore notes.db from yesterday"', 'shows the plan, and asks'],
      ['cora say --explain --json "back up and end the session"', 'what it would run'],
    ],
    exitCodes: [
      EXIT.ok,
      EXIT.failed,
      EXIT.usage,
      EXIT.incomplete,
      EXIT.noVault,
      EXIT.locked,
      EXIT.remote,
      EXIT.refused,
      EXIT.damaged,
      EXIT.tooOld,
      EXIT.phrase,
      EXIT.interrupted,
    ],
    logged: true,
    load: () => import('./commands/say.ts'),
  }),
];
