// Part of the table in commands.ts: what a shell and a reader of manuals want.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const SHELL_COMMANDS: readonly Command[] = [
  command({
    name: 'shell',
    verbatim: true,
    summary: 'Completions, a prompt segment and phrases for bash, zsh and fish: prints code for your shell',
    usage: 'bash|zsh|fish|starship|tmux|claude [--prompt] [--phrases]',
    about: [
      'bash, zsh: eval "$(cora shell bash)" in ~/.bashrc; fish: cora shell fish | source in config.fish. No alias, nothing else is changed.',
      'starship, tmux, claude: prints lines for the configuration of their status line. docs/shell.md has the rest.',
      'cora shell paths ID PATH prints what a snapshot holds below PATH, for completions.',
    ],
    flags: {
      prompt: { kind: 'switch', variable: false, help: 'show in front of the prompt what needs attention; nothing when all is well' },
      phrases: {
        kind: 'switch',
        help: 'a line that no program answers to, as `save our progress`, is given to cora say; only what saves or backs up runs',
      },
    },
    minArgs: 1,
    maxArgs: 3,
    examples: [
      ['cora shell fish | source', 'completions, and the function cora_prompt'],
      ['eval "$(cora shell bash --prompt)"', 'and what needs attention in front of the prompt'],
      ['eval "$(cora shell zsh --phrases)"', 'and phrases'],
      ['cora shell tmux >> ~/.tmux.conf', 'the segment in the status line of tmux'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage, EXIT.noVault],
    load: () => import('./commands/shell.ts'),
  }),
  command({
    name: 'man',
    verbatim: true,
    summary: 'Print the manual page',
    usage: '',
    flags: {},
    maxArgs: 0,
    examples: [['cora man | man -l -', 'read it; scripts/install.sh makes it known to man']],
    exitCodes: [EXIT.ok, EXIT.usage],
    load: () => import('./commands/man.ts'),
  }),
];
