// Whether `cora init` has a key to offer: copies leave this machine, and nothing says yet whom they are encrypted for. Nothing is written.

import { CoraError } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { recipientPlace } from './key-config.ts';
import { type KeyPlace, refuseIdentityAt, usualIdentity } from './key-place.ts';
import { remotesOf } from './offsite-remote.ts';
import type { ProjectFacts } from './open-project.ts';

/** What init could do about encryption. */
export type KeyOffer = {
  readonly remotes: readonly string[];
  /** Where the identity lies, or will. */
  readonly identity: string;
  /** An identity of an earlier init: its recipient is taken. */
  readonly isThere: boolean;
  /** The file that will name the recipient. */
  readonly config: string;
};

type OfferMachine = { readonly uid: number; readonly home: string | undefined; env?(name: string): string | undefined };

/** Where copies go; none where the credentials cannot be read, which ship will say. */
function remotesAt(project: ProjectFacts, machine: OfferMachine): readonly string[] {
  try {
    return remotesOf({
      config: project.config.offsite,
      places: { home: machine.home, credentialsDirectory: machine.env?.('CREDENTIALS_DIRECTORY') },
    });
  } catch {
    return [];
  }
}

/** Undefined where there is nothing to offer: no remote, recipients already, or no place for a key. */
export async function keyOffer(project: ProjectFacts, location: VaultLocation, machine: OfferMachine): Promise<KeyOffer | undefined> {
  const remotes = remotesAt(project, machine);
  if (remotes.length === 0 || project.config.offsite.recipients.length > 0) return undefined;
  try {
    const place: KeyPlace = { project, vault: location.path, home: machine.home };
    const identity = usualIdentity(place);
    refuseIdentityAt(identity, place);
    return { remotes, identity, isThere: exists(identity), config: (await recipientPlace(project, machine)).path };
  } catch (error) {
    if (error instanceof CoraError) return undefined;
    throw error;
  }
}
