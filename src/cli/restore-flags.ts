// The options of `cora restore`, a part of the table in commands.ts.

import type { FlagTable } from './flags.ts';
import { MOMENT_FLAGS } from './snapshot-name.ts';

export const RESTORE_ABOUT: readonly string[] = [
  'With --to: into an empty directory, each path at its place below it. Without: in place, after a question.',
  'In place, all is staged and checked first, what is there is saved (pre-restore-safety), and --undo takes it back.',
  'What is not in the snapshot stays. ID may be an id, its beginning, latest, ID:path, a label or a path (of the newest that has it); after -- it is a path.',
  '@WHEN or --at WHEN: the newest good one not after it, as in cora show --help. A backup of another tool (cora adopt) is restored with --to.',
];

export const RESTORE_FLAGS = {
  ...MOMENT_FLAGS,
  to: { kind: 'path', short: 't', value: 'DIR', aliases: ['target'], help: 'restore into DIR, which is empty or does not exist yet' },
  critical: { kind: 'switch', help: 'critical files and databases only' },
  databases: { kind: 'switch', help: 'databases only' },
  with: { kind: 'list', value: 'NAME', help: 'the artefact NAME alone ([[artefacts]]; chroma: the vector store)' },
  without: { kind: 'list', value: 'NAME', help: 'all but the artefact NAME' },
  chroma: { kind: 'switch', help: 'the same as --with chroma' },
  noChroma: { kind: 'switch', help: 'the same as --without chroma' },
  dryRun: { kind: 'switch', short: 'n', help: 'say what would change, and change nothing' },
  overwrite: {
    kind: 'choice',
    value: 'WHEN',
    choices: ['always', 'if-changed', 'if-newer', 'never'],
    help: 'what to do with files that are there: always (default), if-changed, if-newer, never',
  },
  delete: { kind: 'switch', help: 'in place: move what the snapshot does not hold aside, into .cora-restore/' },
  modes: {
    kind: 'choice',
    value: 'WHOSE',
    choices: ['live', 'snapshot'],
    help: 'in place: owner and mode of what is overwritten: of the file that is there (live, default) or of the snapshot',
  },
  confirmServiceStopped: { kind: 'switch', help: 'nothing has the databases open that are replaced' },
  live: { kind: 'switch', help: 'replace the content of databases through SQLite while their programs work' },
  noPreSnapshot: { kind: 'switch', help: 'do not save what is there first' },
  partial: { kind: 'switch', help: 'where a part of the snapshot is damaged, restore the rest' },
  rollback: {
    kind: 'choice',
    value: 'WHEN',
    choices: ['ask', 'auto', 'never'],
    help: 'where your checks fail after it: ask at a terminal (default), auto takes the restore back, never',
  },
  undo: { kind: 'switch', help: 'take the last restore in place back' },
} as const satisfies FlagTable;
