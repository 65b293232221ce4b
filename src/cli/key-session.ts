// What the key commands know of the place they are typed in: a project and its vault, or neither.

import type { KeyPlace } from '../actions/key-place.ts';
import { usualIdentity } from '../actions/key-place.ts';
import { type Bytes, fromText, isText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { Project } from '../vault/project.ts';
import type { Session } from './command.ts';

/** Outside of any project a key can be made and shown as well. */
export async function keyPlace(session: Session): Promise<KeyPlace & { readonly project: Project | undefined }> {
  const { home } = session.machine;
  try {
    const { project, location } = await session.open();
    return { project, vault: location.path, home };
  } catch (error) {
    if (error instanceof CoraError && error.code === 'project_refused') return { project: undefined, vault: undefined, home };
    throw error;
  }
}

/** The key file that was typed, or the usual one; absolute. */
export function identityPath(typed: Bytes | undefined, place: KeyPlace, session: Session): string {
  if (typed === undefined) return usualIdentity(place);
  if (!isText(typed)) throw new CoraError('usage', 'The name of the key file is not UTF-8', { hint: 'give it another name' });
  const text = toText(typed);
  const { home } = place;
  return text.startsWith('~/') && home !== undefined ? `${home}${text.slice(1)}` : toText(session.absolute(fromText(text)));
}
