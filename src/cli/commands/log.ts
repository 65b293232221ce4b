// `cora log`.

import { log } from '../../actions/log.ts';
import { type Bytes, bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { listingFailure, logDocument, logLines } from '../render-travel.ts';

type Input = { readonly options: { readonly limit?: number }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { location } = await session.locate();
  const word = [...args, ...paths][0] ?? bytes('.');
  const result = await log(location, word, session.absolute(word));
  const document = logDocument(result, options.limit);
  const failure = listingFailure(result.damaged, document);
  return { result: document, lines: logLines(result, options.limit, session.ctx.now()), ...(failure === undefined ? {} : { failure }) };
}
