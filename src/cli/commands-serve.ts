// Part of the table in commands.ts: what serves the page and programs over HTTP.

import { EXIT } from '../base/errors.ts';
import { type Command, command } from './command.ts';

export const SERVE_COMMANDS: readonly Command[] = [
  command({
    name: 'serve',
    summary: 'Serve a page to look at, and an HTTP interface, on this machine alone',
    usage: '[--port N] [--socket PATH] [--install | --remove]',
    about: [
      'Listens on 127.0.0.1, or at a unix socket that only you may open, until Ctrl-C. Every request but the one for the page needs a token: the line of',
      'the file that it names. On a terminal it prints a link that is good once. From elsewhere: ssh -L 2672:127.0.0.1:2672 HOST (docs/http.md).',
    ],
    flags: {
      port: { kind: 'number', value: 'N', help: 'the port on 127.0.0.1 (default 2672); 0 takes a free one' },
      socket: { kind: 'path', value: 'PATH', help: 'a unix socket, mode 0600, instead; with --port as well' },
      idle: { kind: 'duration', value: 'TIME', help: 'end when nobody asked for so long (a socket unit starts it again)' },
      install: { kind: 'switch', help: 'let systemd open the socket, and start this when somebody asks' },
      remove: { kind: 'switch', help: 'take that back' },
      user: { kind: 'switch', help: "units of your own user's systemd (always so for everyone but root)" },
      unitDir: { kind: 'path', value: 'DIR', help: 'unit files in DIR, and systemd is not asked' },
      print: { kind: 'switch', short: 'n', aliases: ['dry-run'], help: 'with --install: show the files, and write nothing' },
    },
    maxArgs: 0,
    examples: [
      ['cora serve', 'then open the link that it prints'],
      ['cora serve --install', 'units with socket activation, as cora timers install'],
      ['cora serve --socket ~/.cora.sock', 'for programs: curl --unix-socket ~/.cora.sock http://localhost/api/v1/health'],
    ],
    exitCodes: [EXIT.ok, EXIT.failed, EXIT.usage, EXIT.incomplete, EXIT.noVault, EXIT.refused],
    load: () => import('./commands/serve.ts'),
  }),
];
