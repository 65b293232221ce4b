// Part of the table in commands.ts: single databases, without a project and without a vault.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const DATABASE_COMMANDS: readonly Command[] = [
  command({
    name: 'db backup',
    summary: 'Copy one SQLite database, in use or not, into one verified file',
    usage: 'FILE [--backup OUT]',
    about: [
      'No project and no vault needed. OUT (mode 0600) appears when it is complete, checked and on the disk; never over another file.',
      'Without OUT: FILE-backup-YYYYMMDD-HHMMSS.db (UTC) beside FILE, without its .db. docs/databases.md has more.',
    ],
    flags: {
      db: { kind: 'path', value: 'FILE', help: 'the database; the same as FILE alone' },
      backup: { kind: 'path', value: 'OUT', help: 'where the copy goes' },
      checkpoint: {
        kind: 'switch',
        standard: 'on',
        help: 'do not have SQLite write the -wal back afterwards (never done while a program has FILE open)',
      },
      verify: { kind: 'switch', standard: 'on', help: 'leave out PRAGMA integrity_check: faster, and the copy is not proven' },
    },
    maxArgs: 1,
    examples: [
      ['cora db backup app.db', 'a copy beside it, rows told table by table'],
      ['cora db backup --db app.db --backup /mnt/usb/app.db --checkpoint=false', 'elsewhere, and the -wal stays as it is'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.locked, EXIT.refused, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/db-backup.ts'),
  }),
  command({
    name: 'db restore',
    summary: 'Put a verified copy in the place of a SQLite database',
    usage: 'COPY --db TARGET [--force]',
    about: [
      'COPY is verified first. What is at TARGET is kept as TARGET.pre-restore-YYYYMMDD-HHMMSS, that of its -wal included.',
      'A TARGET that programs have open is restored through SQLite itself: they go on, and see old or new content, never a mix.',
    ],
    flags: {
      backup: { kind: 'path', value: 'COPY', help: 'the copy; the same as COPY alone' },
      db: { kind: 'path', value: 'TARGET', help: 'the database that it becomes' },
      dryRun: { kind: 'switch', short: 'n', help: 'verify COPY, say what would change, and change nothing' },
      force: { kind: 'switch', short: 'f', help: 'replace what is at TARGET' },
    },
    maxArgs: 2,
    examples: [
      ['cora db restore app-backup-20261121-031500.db --db app.db --dry-run', 'rows by table, now and then'],
      ['cora db restore app-backup-20261121-031500.db --db app.db --force', 'in its place'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.locked, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/db-restore.ts'),
  }),
];
