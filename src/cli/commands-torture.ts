// Part of the table in commands.ts: the fault harness for the user's own disk.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const TORTURE_COMMANDS: readonly Command[] = [
  command({
    name: 'torture',
    summary: 'Try on your own disk that no crash, error, damage or power cut loses anything, and get a certificate',
    usage: '[DIR] [--minutes N] [--space SIZE] [--seed S]',
    about: [
      'In a scratch directory in DIR (default: beside the vault), with a project and a vault of its own; it is always removed, and nothing else is touched.',
      'Cora is killed and meets errors at its calls, full disks, flipped bits, cut files, other runs and clocks that jump; as root the power is cut too,',
      'on a disk image of the same kind of file system (ext4, xfs). What cannot be tried here is named. strace, faketime and xfs_io try more.',
      "The certificate is printed, and kept in the vault's ledger/torture/; status and health show it (docs/reliability.md).",
    ],
    flags: {
      minutes: { kind: 'text', value: 'N', help: 'begin no new point N minutes after the first (default 5; 0.5 is half a minute)' },
      space: { kind: 'text', value: 'SIZE', help: 'take at most SIZE of the disk (default 512MB)' },
      seed: { kind: 'number', value: 'S', help: 'the same points in the same order as another run (default: by chance; the certificate has it)' },
    },
    maxArgs: 1,
    examples: [
      ['cora torture', 'five minutes on the disk of the vault'],
      ['sudo cora torture /mnt/usb --minutes 60', 'an hour on another disk, with power cuts'],
      ['cora torture --minutes 1 --json', 'the certificate for programs'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.noVault, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/torture.ts'),
  }),
];
