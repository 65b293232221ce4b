// Where a client works: its roots, where it names some, else the directory that `cora mcp` was started in.
// Invariant: with roots, no project outside of them is read or changed.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Bytes, fromBuffer, fromText, fsPath, printable } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';

export type Place = {
  /** The directory whose project is meant. */
  readonly directory: Bytes;
  /** Real paths; empty where the client names none. */
  readonly roots: readonly Bytes[];
};

/** @param uris undefined where the client does not tell its roots */
export function placeOf(uris: readonly string[] | undefined, started: Bytes): Place {
  const roots = (uris ?? []).flatMap(pathOf);
  if (uris !== undefined && uris.length > 0 && roots.length === 0)
    throw new CoraError('project_refused', 'None of the roots of this client is a directory here', { hint: 'open a local project in the client' });
  const [first] = roots;
  const inside = realOf(started).some((directory) => roots.length === 0 || isWithin(directory, roots));
  return { directory: inside || first === undefined ? started : first, roots };
}

/** @throws CoraError project_refused where the project around a place is larger than what the client opened */
export function requireInRoots(root: Bytes, { roots }: Place): void {
  if (roots.length === 0 || realOf(root).some((real) => isWithin(real, roots))) return;
  throw new CoraError(
    'project_refused',
    `The project ${printable(root)} does not lie in a root of this client (${roots.map(printable).join(', ')})`,
    {
      hint: 'open the whole project in the client',
    },
  );
}

function isWithin(path: Bytes, roots: readonly Bytes[]): boolean {
  return roots.some((root) => path === root || path.startsWith(root === '/' ? '/' : `${root}/`));
}

function pathOf(uri: string): Bytes[] {
  try {
    return realOf(fromText(fileURLToPath(uri)));
  } catch {
    // Not a file: nothing of ours can lie there.
    return [];
  }
}

function realOf(path: Bytes): Bytes[] {
  try {
    return [fromBuffer(realpathSync(fsPath(path), { encoding: 'buffer' }))];
  } catch {
    return [];
  }
}
