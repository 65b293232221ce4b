// `cora serve`.

import type { Bytes } from '../../base/bytes.ts';
import { toText } from '../../base/bytes.ts';
import type { Problem } from '../../base/context.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { openToken, tokenPath } from '../../vault/http-token.ts';
import { openLocated, type VaultLocation } from '../../vault/locate.ts';
import type { Outcome, Session } from '../command.ts';
import { resultDocument } from '../json.ts';
import { counted } from '../render.ts';
import { installedLines, servingLines } from '../render-serve.ts';
import { installedDocument, removedDocument } from '../render-timers.ts';
import { type TimersFlags, timersOptions } from '../timers-session.ts';

type Options = Pick<TimersFlags, 'user' | 'unitDir'> & {
  readonly port?: number;
  readonly socket?: Bytes;
  readonly idle?: number;
  readonly install?: boolean;
  readonly remove?: boolean;
  readonly print?: boolean;
};

/** C-O-R-A on a telephone. */
const PORT = 2672;

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const { machine, globals } = session;
  if (options.port !== undefined && options.port > 65_535)
    throw new CoraError('usage', `There is no port ${options.port}`, { hint: 'cora serve --port 0 takes a free one' });
  if (options.install === true || options.remove === true) return setUp(options, session);
  // The server's libraries are loaded here alone.
  const { inheritedPlace } = await import('../http/listen.ts');
  const { serve } = await import('../http/server.ts');
  const inherited = inheritedPlace(machine.env, process.pid);
  const socket = options.socket === undefined ? [] : [{ socket: toText(session.absolute(options.socket)) }];
  const port = options.port !== undefined || socket.length === 0 ? [{ port: options.port ?? PORT }] : [];
  await serve(session, {
    places: inherited === undefined ? [...port, ...socket] : [inherited],
    idleMs: options.idle,
    ready(listening, tokenFile, code) {
      const { output } = session.takeStdio();
      // Who started it may not read what it says, and is served all the same.
      output.on('error', () => undefined);
      const url = listening.find((one) => one.url !== undefined)?.url ?? null;
      const path = listening.find((one) => one.socket !== undefined)?.socket ?? null;
      const facts = { url, socket: path, token_file: tokenFile };
      if (globals.json === true) output.write(resultDocument('serve', facts, []));
      else if (globals.quiet !== true)
        output.write(`${servingLines(facts, session.toTerminal && url !== null ? `${url}#code=${code()}` : undefined).join('\n')}\n`);
    },
  });
  return { result: {}, lines: [] };
}

async function setUp(options: Options, session: Session): Promise<Outcome> {
  if (options.install === options.remove)
    throw new CoraError('usage', 'serve takes --install or --remove, not both', { hint: 'cora serve --install' });
  if (options.port !== undefined && options.socket !== undefined)
    throw new CoraError('usage', 'A socket unit has one place: --port or --socket', { hint: 'cora serve --install' });
  const { installTimers, removeTimers } = await import('../../actions/timers.ts');
  const target = await session.open();
  const how = { ...timersOptions(options, session), jobs: ['serve'] } as const;
  if (options.remove === true) {
    const removed = removeTimers(session.machine, target, how);
    const { length } = removed.files;
    return {
      result: removedDocument(removed),
      lines: [length === 0 ? 'Nothing was installed for this project' : `Stopped it and removed ${counted(length, 'file')}`],
    };
  }
  const listen = options.socket === undefined ? `127.0.0.1:${options.port ?? PORT}` : toText(session.absolute(options.socket));
  if (options.port === 0) throw new CoraError('usage', 'A socket unit needs a port of its own', { hint: 'cora serve --install --port 2672' });
  const print = options.print === true;
  const result = installTimers(session.machine, target, { ...how, listen, print }, session.ctx);
  const problems = result.warnings.map((message): Problem => ({ code: 'serve', message, severity: 'warning' }));
  for (const problem of problems) session.ctx.monitor.problem(problem);
  const tokenFile = print ? undefined : tokenFileOf(target.location);
  const wanted = result.started || print || options.unitDir !== undefined;
  return {
    result: { ...installedDocument(result, print), listen, token_file: tokenFile ?? null },
    lines: installedLines(result, print, listen, tokenFile),
    problems,
    exitCode: wanted ? EXIT.ok : EXIT.incomplete,
  };
}

/** Made now, so that it can be handed on before anybody asked. */
function tokenFileOf(location: VaultLocation): string {
  const { root } = openLocated(location);
  openToken(root);
  return tokenPath(root);
}
