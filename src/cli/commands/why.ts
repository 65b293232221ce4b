// `cora why`.

import { why } from '../../actions/why.ts';
import { type Bytes, bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { listingFailure } from '../render-travel.ts';
import { whyDocument, whyLines } from '../render-why.ts';

type Input = { readonly options: object; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ args, paths }: Input, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const word = [...args, ...paths][0] ?? bytes('.');
  const result = await why(project, location, word, session.absolute(word));
  const document = whyDocument(result);
  const failure = listingFailure(result.damaged, document);
  return { result: document, lines: whyLines(result, project.config.logCap, session.ctx.now()), ...(failure === undefined ? {} : { failure }) };
}
