// `cora find`.

import { find } from '../../actions/find.ts';
import { type Bytes, bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { findDocument, findLines, listingFailure } from '../render-travel.ts';

type Options = { readonly gone?: boolean; readonly ignoreCase?: boolean; readonly limit?: number };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

const LIMIT = 1000;

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { location } = await session.locate();
  const pattern = [...args, ...paths][0] ?? bytes('*');
  const result = await find(location, { pattern, ignoreCase: options.ignoreCase === true, onlyGone: options.gone === true });
  const limit = options.limit === 0 ? Number.POSITIVE_INFINITY : (options.limit ?? LIMIT);
  const document = findDocument(result, limit);
  const failure = listingFailure(result.damaged, document);
  return { result: document, lines: findLines(result, limit, pattern, session.ctx.now()), ...(failure === undefined ? {} : { failure }) };
}
