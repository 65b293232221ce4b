// The table of commands, and the map for newcomers: what Cora can do, how each is typed, and
// which file in commands/ does it. Importing this loads no library and no action.

import { EXIT } from '../base/errors.ts';
import { ARTEFACT_FLAGS } from './artefact-flags.ts';
import { type Command, command } from './command.ts';
import { ADOPT_COMMANDS } from './commands-adopt.ts';
import { ASSISTANT_COMMANDS } from './commands-assistant.ts';
import { AUTOMATIC_COMMANDS } from './commands-automatic.ts';
import { DATABASE_COMMANDS } from './commands-database.ts';
import { HEALTH_COMMANDS } from './commands-health.ts';
import { KEY_COMMANDS } from './commands-key.ts';
import { MCP_COMMANDS } from './commands-mcp.ts';
import { OFFSITE_COMMANDS } from './commands-offsite.ts';
import { PROOF_COMMANDS } from './commands-proof.ts';
import { PROTECTION_COMMANDS } from './commands-protection.ts';
import { RECOVER_COMMANDS } from './commands-recover.ts';
import { RETENTION_COMMANDS } from './commands-retention.ts';
import { SAY_COMMANDS } from './commands-say.ts';
import { SERVE_COMMANDS } from './commands-serve.ts';
import { SETUP_COMMANDS } from './commands-setup.ts';
import { SHELL_COMMANDS } from './commands-shell.ts';
import { TORTURE_COMMANDS } from './commands-torture.ts';
import { TRAVEL_COMMANDS } from './commands-travel.ts';
import { TRUST_COMMANDS } from './commands-trust.ts';
import type { FlagTable } from './flags.ts';
import { RESTORE_ABOUT, RESTORE_FLAGS } from './restore-flags.ts';
import { MOMENT_FLAGS } from './snapshot-name.ts';

const note = { kind: 'text', short: 'm', value: 'NOTE', aliases: ['note', 'description'], help: 'a note that list and show print' } as const;
const label = { kind: 'text', short: 'l', value: 'LABEL', help: 'a label; labelled snapshots are kept until a person deletes them' } as const;
const trigger = { kind: 'text', value: 'WORD', help: 'who asked, for the report: manual (default), timer, hook, assistant' } as const;

const LIST_FLAGS = {
  saves: { kind: 'switch', help: 'saves only' },
  backups: { kind: 'switch', help: 'backups only' },
  limit: { kind: 'number', short: 'n', value: 'COUNT', help: 'the newest COUNT only' },
} as const satisfies FlagTable;

const VERIFY_FLAGS = {
  ...MOMENT_FLAGS,
  all: { kind: 'switch', help: 'every snapshot, and the ledger' },
  chain: { kind: 'switch', help: 'the ledger: names each snapshot and line that was altered, removed or put in; alone, contents are not read' },
  offsite: { kind: 'switch', help: 'with --chain: compare the ledger with what the copies at the remotes know of it (needs the network)' },
  deep: { kind: 'switch', aliases: ['read-data'], help: 'also decode everything and check each file and database inside' },
  maxDuration: { kind: 'duration', value: 'TIME', help: 'stop after TIME (5m, 1h); the next run goes on with the rest' },
} as const satisfies FlagTable;

export const COMMANDS: readonly Command[] = [
  command({
    name: 'save',
    summary: 'Save what changed: cheap, deduplicated, made often',
    usage: '[-m NOTE]',
    about: ['Nothing changed: it says so and makes no new snapshot. With -m it always makes one that you can name.'],
    flags: {
      message: note,
      label,
      ifOlder: { kind: 'duration', value: 'TIME', help: 'only when the newest save is older than TIME (60s, 15m)' },
      trigger,
      ...ARTEFACT_FLAGS,
    },
    maxArgs: 0,
    examples: [
      ['cora save', 'a save now'],
      ['cora save -m "before the migration"', 'a save that you find again'],
      ['cora save --if-older 60s', 'at most one a minute'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/save.ts'),
  }),
  command({
    name: 'backup now',
    aliases: ['create'],
    summary: 'Make a backup: complete on its own, read back and checked',
    usage: '[-l LABEL] [-m NOTE]',
    about: ['One directory with the archive, critical files, databases, git state, MANIFEST and SHA256SUMS.'],
    flags: { message: note, label, trigger, ...ARTEFACT_FLAGS, noShip: { kind: 'switch', help: 'leave the copy off-site ([offsite]) to cora ship' } },
    maxArgs: 0,
    examples: [
      ['cora backup now', 'a backup now'],
      ['cora backup now -l pre-upgrade-2.0', 'one that is kept until you delete it'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.remote, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/backup-now.ts'),
  }),
  command({
    name: 'backup auto',
    summary: 'Always a save, and a backup when one is due',
    usage: '[-l LABEL] [-m NOTE]',
    about: ['Due: the newest good backup is older than backup.min_age (6 hours), or a critical or large file changed.'],
    flags: { message: note, label, trigger, ...ARTEFACT_FLAGS },
    maxArgs: 0,
    examples: [['cora backup auto', 'for hooks and assistants']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/backup-auto.ts'),
  }),
  command({
    name: 'backup list',
    summary: 'List backups',
    usage: '[-n COUNT] [PATH]',
    flags: LIST_FLAGS,
    maxArgs: 1,
    examples: [['cora backup list', 'newest last']],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.noVault],
    load: () => import('./commands/backup-list.ts'),
  }),
  command({
    name: 'backup verify',
    summary: 'Verify a backup (the newest one by default)',
    usage: '[ID | @WHEN] [--all] [--chain] [--deep]',
    flags: VERIFY_FLAGS,
    maxArgs: 1,
    examples: [['cora backup verify', 'read the newest backup back from the disk']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.remote, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/backup-verify.ts'),
  }),
  command({
    name: 'list',
    aliases: ['snapshots'],
    summary: 'List saves and backups, newest last',
    usage: '[--saves | --backups] [-n COUNT] [PATH]',
    about: ['PATH: only snapshots that hold it.'],
    flags: LIST_FLAGS,
    maxArgs: 1,
    examples: [
      ['cora list -n 10', 'the ten newest'],
      ['cora list --saves notes.db', 'saves that hold one file'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.noVault],
    load: () => import('./commands/list.ts'),
  }),
  command({
    name: 'show',
    summary: 'Show what one snapshot holds and how it was made',
    usage: '[ID | @WHEN]',
    about: [
      'ID: an id or its beginning, latest (default), latest~1, a git sha, or a label.',
      'WHEN: "2 hours ago", yesterday, "last friday 3pm", "2026-11-20 14:30", "before v1.2" (a commit or a label): the newest good snapshot not after it.',
    ],
    flags: MOMENT_FLAGS,
    maxArgs: 1,
    examples: [
      ['cora show latest', 'the newest'],
      ['cora show "@2 hours ago"', 'the newest one of before that'],
      ['cora show --latest daily', 'the newest daily backup'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.noVault, EXIT.damaged],
    load: () => import('./commands/show.ts'),
  }),
  command({
    name: 'verify',
    aliases: ['check'],
    summary: 'Read snapshots back from the disk and name what is damaged',
    usage: '[ID | @WHEN] [--all] [--chain [--offsite]] [--deep] [--max-duration TIME]',
    about: ['Reads the disk itself, not the cache of memory. Without ID: the newest snapshot.'],
    flags: VERIFY_FLAGS,
    maxArgs: 1,
    examples: [
      ['cora verify', 'the newest snapshot'],
      ['cora verify --all --max-duration 5m', 'as much as five minutes allow'],
      ['cora verify --chain', 'whether anything was altered, removed or put in'],
      ['cora verify --chain --offsite', 'and whether the ledger is the one that the copies off-site know'],
      ['cora verify 20261121-143000 --deep', 'one snapshot, every file inside'],
      ['cora verify @yesterday', 'the newest one of yesterday or before'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.remote, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/verify.ts'),
  }),
  command({
    name: 'restore',
    aliases: ['extract'],
    summary: 'Bring a snapshot back, whole or single paths',
    usage: '[ID | @WHEN] [PATH...] [--to DIR]',
    about: RESTORE_ABOUT,
    flags: RESTORE_FLAGS,
    examples: [
      ['cora restore latest --to /tmp/look', 'everything, beside the project'],
      ['cora restore 20261121-143000 src/app.ts --dry-run', 'what one file would become'],
      ['cora restore latest notes.db --confirm-service-stopped', 'one database, whose program is stopped'],
      ['cora restore latest notes.db --live', 'the same while its program works'],
      ['cora restore --undo', 'back to what was there before the last restore'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/restore.ts'),
  }),
  command({
    name: 'status',
    summary: 'How old the last save, backup, verify and copy off-site are, and where they lie',
    usage: '[--remote [REMOTE]]',
    about: ['Asks no remote. With --remote: every project that has copies there, by their markers alone; with REMOTE no project is needed.'],
    flags: { remote: { kind: 'switch', variable: false, help: 'what lies at the remotes, or at REMOTE (name:bucket, or a directory)' } },
    maxArgs: 1,
    examples: [
      ['cora status --json', 'for programs'],
      ['cora status --remote', 'all projects in the bucket, and how old their newest copies are'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.remote],
    load: () => import('./commands/status.ts'),
  }),
  ...HEALTH_COMMANDS,
  ...OFFSITE_COMMANDS,
  ...KEY_COMMANDS,
  ...PROOF_COMMANDS,
  ...TORTURE_COMMANDS,
  ...PROTECTION_COMMANDS,
  ...RETENTION_COMMANDS,
  ...RECOVER_COMMANDS,
  ...TRAVEL_COMMANDS,
  ...AUTOMATIC_COMMANDS,
  ...ASSISTANT_COMMANDS,
  ...SAY_COMMANDS,
  ...SETUP_COMMANDS,
  ...TRUST_COMMANDS,
  ...DATABASE_COMMANDS,
  ...ADOPT_COMMANDS,
  ...MCP_COMMANDS,
  ...SERVE_COMMANDS,
  ...SHELL_COMMANDS,
  command({
    name: 'version',
    summary: 'Show the version',
    usage: '',
    flags: {},
    maxArgs: 0,
    examples: [['cora version --json', 'with the version of Node']],
    exitCodes: [EXIT.ok],
    load: () => import('./commands/version.ts'),
  }),
  command({
    name: 'help',
    summary: 'Show help for Cora or one command',
    usage: '[COMMAND]',
    flags: {},
    examples: [['cora help restore', 'the same as cora restore --help']],
    exitCodes: [EXIT.ok, EXIT.usage],
    load: () => import('./commands/help.ts'),
  }),
];
