// Part of the table in commands.ts: what people and their assistants do together: the assistant's hook, and the end of a session.

import { EXIT } from '../base/errors.ts';
import { ARTEFACT_FLAGS } from './artefact-flags.ts';
import { type Command, command } from './command.ts';

export const ASSISTANT_COMMANDS: readonly Command[] = [
  command({
    name: 'hook agent',
    summary: 'The hook of an AI assistant itself: saves at the start of a session, before risky acts, after each turn and at the end',
    usage: 'EVENT [ASSISTANT]',
    about: [
      "Reads the assistant's JSON on standard input. EVENT: session-start, pre-tool, stop, session-end. ASSISTANT: claude (default), codex, gemini, cursor.",
      'Always ends with 0: a save that failed stops no assistant, and is in the run log. CORA=0 skips it (docs/agents.md).',
    ],
    flags: {},
    minArgs: 1,
    maxArgs: 2,
    examples: [['cora hook agent pre-tool claude', 'what cora init --agents puts into .claude/settings.json']],
    exitCodes: [EXIT.ok, EXIT.usage],
    load: () => import('./commands/hook-agent.ts'),
  }),
  command({
    name: 'end',
    summary: 'End a session: save, read it back, send what waits off-site, and say it in a sentence',
    usage: '[-m NOTE] [--backup] [--no-ship]',
    about: ['Reading back is given up after a minute, and that is said; cora verify has all the time.'],
    flags: {
      message: { kind: 'text', short: 'm', value: 'NOTE', help: 'a note that list and show print; "end of session" by default' },
      backup: { kind: 'switch', help: 'also a backup, when one is due (as cora backup auto)' },
      noShip: { kind: 'switch', help: 'leave copies off-site ([offsite]) to cora ship, as offsite.after_backup = false does' },
      trigger: { kind: 'text', value: 'WORD', help: 'who asked, for the report: manual (default), assistant' },
      ...ARTEFACT_FLAGS,
    },
    maxArgs: 0,
    examples: [
      ['cora end', 'done for today'],
      ['cora end --backup -m "release 2.0 is out"', 'back up and end the session'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.locked, EXIT.remote, EXIT.damaged, EXIT.interrupted],
    logged: true,
    load: () => import('./commands/end.ts'),
  }),
];
