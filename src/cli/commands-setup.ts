// Part of the table in commands.ts: setting a project or a machine up: init, doctor.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const SETUP_COMMANDS: readonly Command[] = [
  command({
    name: 'init',
    summary: 'Set this project up: find out what it holds, save it, restore a part as a test, and make it happen by itself',
    usage: '[--yes] [--dry-run] [--no-hook] [--no-timers] [--no-key] [--no-agents] [--vault DIR]',
    about: [
      'Shows what it found and asks at most four questions, each with a default; --yes takes every default. Again: changes nothing.',
      'Writes cora.toml, the pre-push hook and timers, what AI assistants need where one is used (docs/agents.md), and makes a key where a remote is',
      'configured; --undo takes it back, and leaves the vault and the key.',
    ],
    flags: {
      dryRun: { kind: 'switch', short: 'n', help: 'show what was found and what would be done, and write nothing' },
      undo: { kind: 'switch', help: 'take back what init did here; what was edited since is kept and named' },
      noHook: { kind: 'switch', help: 'no git hook' },
      noTimers: { kind: 'switch', help: 'no timers' },
      noKey: { kind: 'switch', help: 'no key, where copies go off-site and nothing says yet whom they are encrypted for' },
      agents: { kind: 'switch', help: 'only what is for AI assistants: AGENTS.md, a skill, and the hooks of those found; with --undo that alone' },
      noAgents: { kind: 'switch', help: 'nothing for AI assistants' },
      user: { kind: 'switch', help: "timers of your own user's systemd (always so for everyone but root)" },
      unitDir: { kind: 'path', value: 'DIR', help: 'unit files in DIR, and systemd is not asked' },
    },
    maxArgs: 0,
    examples: [
      ['cora init', 'look, answer, done'],
      ['cora init --yes', 'with every default'],
      ['cora init --dry-run', 'what it would do'],
      ['cora init --agents', 'let assistants save before they do what is risky'],
      ['cora init --undo', 'as it was before'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.refused, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/init.ts'),
  }),
  command({
    name: 'doctor',
    summary: 'Try Cora on this machine: a real save, backup and restore of a probe',
    usage: '',
    about: ['In a temporary directory; nothing of it stays. Also looks at the programs that Cora uses, and at the vault of the project around you.'],
    flags: {},
    maxArgs: 0,
    examples: [['cora doctor', 'ends with 1 where Cora does not work, with 3 where something is missing']],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete],
    load: () => import('./commands/doctor.ts'),
  }),
];
