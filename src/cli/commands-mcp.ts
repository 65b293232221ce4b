// Part of the table in commands.ts: what serves AI assistants.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const MCP_COMMANDS: readonly Command[] = [
  command({
    name: 'mcp',
    summary: 'Serve the project to an AI assistant (Model Context Protocol, on stdin and stdout)',
    usage: '',
    about: [
      'For clients like Claude Code, Claude Desktop and Cursor, which start it: docs/mcp.md. The project is the one around the current directory,',
      'or the root that the client names. Tools save, back up, verify, show and plan restores; none deletes, unlocks or configures.',
      'A restore in place needs a yes that the client asks a person for; without that it goes into a directory beside the live files.',
    ],
    flags: {},
    maxArgs: 0,
    examples: [
      ['cora mcp', 'what a client starts'],
      ['claude mcp add cora -- cora mcp', 'tell Claude Code of it, once'],
    ],
    exitCodes: [EXIT.ok, EXIT.usage],
    load: () => import('./commands/mcp.ts'),
  }),
];
