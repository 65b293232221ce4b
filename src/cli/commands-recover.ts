// Part of the table in commands.ts: the way back from a remote, on a machine that has nothing else.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const RECOVER_COMMANDS: readonly Command[] = [
  command({
    name: 'recover',
    summary: 'Bring a project back from off-site, on a machine with nothing but Cora and the keys',
    usage: '[REMOTE] [ID | @WHEN] [--to DIR]',
    about: [
      'Without --to or --vault-only it lists what is at REMOTE. REMOTE: name:bucket/path of rclone, or an absolute path; it may be left out where',
      'backup.env has SPACES_* and BACKUP_BUCKET. Without ID, --at or --latest: the newest good copy. No project is needed.',
      'Every byte is compared before anything of a copy is used; an altered object ends with 21, and nothing is restored. A run that was cut off goes on.',
      'The vault is made again with its id and ledger, so that save, backup and ship go on in DIR; the repository comes back with its branches.',
    ],
    flags: {
      to: { kind: 'path', value: 'DIR', help: 'restore into DIR, which does not exist yet or is empty' },
      latest: { kind: 'switch', variable: false, help: 'the newest good copy' },
      at: { kind: 'text', value: 'WHEN', help: 'the newest good one not after WHEN: "2 hours ago", "yesterday"; @WHEN is the same' },
      env: { kind: 'text', value: 'ENV', variable: false, help: 'of which env, where several lie at REMOTE' },
      list: { kind: 'switch', help: 'only list what is there' },
      vaultOnly: { kind: 'switch', help: 'make the vault again and restore nothing' },
      all: { kind: 'switch', help: 'every copy of the project into the vault, not the one alone' },
      identity: { kind: 'list', value: 'FILE', help: 'age identity for encrypted copies; may be repeated (default ~/.config/cora/keys/*.txt)' },
      credentials: { kind: 'path', value: 'FILE', help: 'backup.env with the keys (default /etc/cora/backup.env, ~/.config/cora/backup.env)' },
      rcloneConfig: { kind: 'path', value: 'FILE', help: "rclone's configuration (default ~/.config/rclone/rclone.conf)" },
      bwlimit: { kind: 'text', value: 'RATE', help: "how fast at most, as rclone's --bwlimit: 2M" },
    },
    maxArgs: 2,
    examples: [
      ['cora recover spaces:cora-backups', 'what is there'],
      ['cora recover spaces:cora-backups --latest --to ~/app', 'the newest good copy'],
      ['cora recover /mnt/nas/cora --at "yesterday 18:00" --env prod --to ~/app', 'of a moment, from a mounted disk'],
      ['cora recover spaces:cora-backups --vault-only --all', 'the whole history; cora restore then chooses'],
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
      EXIT.interrupted,
    ],
    logged: true,
    load: () => import('./commands/recover.ts'),
  }),
];
