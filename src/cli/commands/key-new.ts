// `cora key new`.

import { recipientPlace } from '../../actions/key-config.ts';
import { newKey } from '../../actions/key-new.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { identityPath, keyPlace } from '../key-session.ts';
import { newKeyDocument, newKeyLines } from '../render-key.ts';

type Options = { readonly out?: Bytes; readonly write?: boolean };

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const place = await keyPlace(session);
  const { project } = place;
  const path = identityPath(options.out, place, session);
  const asked = options.write === true;
  if (asked && project === undefined) {
    throw new CoraError('usage', 'There is no project here whose configuration could name the recipient', {
      hint: 'go to the project (cd), or leave --write out',
    });
  }
  // Asked before anything is made: a person who says no, or a file that cannot take it, changes nothing.
  const offers = project !== undefined && project.config.offsite.recipients.length === 0 && session.interactive && session.globals.json !== true;
  const writes = asked || (offers && (await session.confirm('Encrypt the off-site copies of this project for the new key from now on?')));
  const config = writes && project !== undefined ? await recipientPlace(project, session.machine) : undefined;
  const key = await newKey(path, place, config, session.ctx);
  return { result: newKeyDocument(key), lines: newKeyLines(key, project?.name) };
}
