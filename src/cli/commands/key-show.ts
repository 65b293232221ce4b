// `cora key show`.

import { showKey } from '../../actions/key-show.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { Outcome, Session } from '../command.ts';
import { identityPath, keyPlace } from '../key-session.ts';
import { shownKeyDocument, shownKeyLines } from '../render-key.ts';

type Input = {
  readonly options: { readonly secret?: boolean; readonly qr?: boolean };
  readonly args: readonly Bytes[];
  readonly paths: readonly Bytes[];
};

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const place = await keyPlace(session);
  const key = await showKey(identityPath([...args, ...paths][0], place, session), place.project, options.secret === true);
  const facts = {
    project: place.project?.name,
    remotes: place.project?.config.offsite.remotes ?? [],
    date: new Date(session.ctx.now()).toISOString(),
  };
  return { result: shownKeyDocument(key), lines: shownKeyLines(key, facts, options.qr === true) };
}
