// Named artefacts (`[[artefacts]]`): what belongs to a project's data under a name of its own. Types and
// the reserved place of what commands give; nothing is read here.

import { type Bytes, bytes } from './bytes.ts';
import type { UserCommand } from './user-command.ts';

export type ArtefactKind = 'database' | 'json' | 'directory' | 'command';

export type Artefact = {
  readonly name: string;
  readonly kind: ArtefactKind;
  /** Relative to the project; undefined for a command. */
  readonly path: Bytes | undefined;
  /** True: only in a snapshot that asks for it (`--with NAME`). */
  readonly optional: boolean;
  /** A directory's lock file, relative to the project, that its application takes with flock. */
  readonly lock: Bytes | undefined;
  readonly lockCommand: UserCommand | undefined;
  readonly unlockCommand: UserCommand | undefined;
  /** Milliseconds to wait for the lock. */
  readonly lockWait: number;
  /** Its standard output is the artefact. */
  readonly command: UserCommand | undefined;
  /** Gets the artefact on its standard input. */
  readonly restore: UserCommand | undefined;
  /** Bytes: less is a failure. */
  readonly minSize: number;
  /** Milliseconds for the command, and for its restore. */
  readonly timeout: number;
};

/** The directory in a listing that holds what commands gave. Never read from the project, never written into it. */
export const ARTEFACTS = '.cora-artefacts';

/** Where a command's output stands in a listing. */
export function artefactPath(name: string): Bytes {
  return bytes(`${ARTEFACTS}/${name}`);
}

/** True for the reserved directory and what is in it. */
export function isArtefactPath(path: Bytes): boolean {
  return path === ARTEFACTS || path.startsWith(`${ARTEFACTS}/`);
}
