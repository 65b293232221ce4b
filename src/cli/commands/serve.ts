// `cora serve`.

import type { Bytes } from '../../base/bytes.ts';
import { toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { resultDocument } from '../json.ts';
import { servingLines } from '../render-serve.ts';

type Options = { readonly port?: number; readonly socket?: Bytes; readonly idle?: number };

/** C-O-R-A on a telephone. */
const PORT = 2672;

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const { machine, globals } = session;
  if (options.port !== undefined && options.port > 65_535)
    throw new CoraError('usage', `There is no port ${options.port}`, { hint: 'cora serve --port 0 takes a free one' });
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
