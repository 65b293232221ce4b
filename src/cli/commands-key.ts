// Part of the table in commands.ts: the keys that off-site copies are encrypted for.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const KEY_COMMANDS: readonly Command[] = [
  command({
    name: 'key new',
    verbatim: true,
    summary: 'Make a key that off-site copies are encrypted for (docs/keys.md)',
    usage: '[--out FILE] [--write]',
    about: [
      'The identity, which opens the copies, goes into a file of its own; its recipient, which is no secret, into the configuration.',
      'Print the identity and keep it off this machine: without it nobody opens the copies.',
    ],
    flags: {
      out: { kind: 'path', value: 'FILE', help: 'the identity file, instead of ~/.config/cora/keys/PROJECT.txt; never written over' },
      write: { kind: 'switch', help: "write the recipient into this machine's configuration of the project; else asked at a terminal" },
    },
    maxArgs: 0,
    examples: [
      ['cora key new --write', 'a key, and copies are encrypted from now on'],
      ['cora key new --out /media/stick/cora.txt', 'the identity on a stick'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.refused],
    logged: true,
    load: () => import('./commands/key-new.ts'),
  }),
  command({
    name: 'key show',
    verbatim: true,
    summary: 'Show what a key is for; with --secret the paper key',
    usage: '[FILE] [--secret] [--qr]',
    about: [
      'FILE: an identity file (default ~/.config/cora/keys/PROJECT.txt). The paper key, typed or scanned back into a file, is an identity file.',
    ],
    flags: {
      secret: { kind: 'switch', help: 'the paper key: the identity as text and as a QR code, and how to use it; for a printer' },
      qr: { kind: 'switch', help: 'the recipient as a QR code' },
    },
    maxArgs: 1,
    examples: [
      ['cora key show', 'the recipient, and whether copies are encrypted for it'],
      ['cora key show --secret | lp', 'on paper'],
      ['cora key show key.txt', 'is it typed rightly?'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.refused],
    load: () => import('./commands/key-show.ts'),
  }),
  command({
    name: 'key test',
    summary: 'Open a real off-site copy with a real key: does what you keep open what is there?',
    usage: '[--identity FILE] [--remote REMOTE] [--deep]',
    about: [
      'The newest encrypted copy: its records are fetched, opened and compared with what was sent, and of the rest the beginning; with --deep all.',
      'Best where you would restore, with the key as you keep it: on another machine no project and no vault are needed, only --remote.',
    ],
    flags: {
      identity: {
        kind: 'path',
        short: 'i',
        value: 'FILE',
        help: 'the identity file (default ~/.config/cora/keys/PROJECT.txt, else all that lie there)',
      },
      remote: { kind: 'text', value: 'REMOTE', help: 'instead of the configured ones: name:bucket/path of rclone, or an absolute path' },
      deep: { kind: 'switch', help: 'fetch and open everything' },
    },
    maxArgs: 0,
    examples: [
      ['cora key test', 'the configured remote, the usual key'],
      ['cora key test --identity /media/stick/cora.txt --deep', 'the key on the stick, and all of the copy'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.remote, EXIT.refused, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/key-test.ts'),
  }),
];
