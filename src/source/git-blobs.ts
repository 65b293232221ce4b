// Whether a file is what its commit has, without git's index and filters: the id of its content, compared with the tree of HEAD.
// A file that a filter changes on its way (line ends, git-lfs) never counts as the same.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Bytes, bytes, fsPath, joinBytes } from '../base/bytes.ts';
import { findRepository, gitIn } from '../os/git.ts';

/** Asks whether the file at a path below `root` is as HEAD has it; always false outside a repository. */
export async function committedFiles(root: Bytes): Promise<(path: Bytes) => boolean> {
  const place = findRepository(root);
  const listed = place === undefined ? undefined : await gitIn(place, root, ['ls-tree', '-r', '-z', 'HEAD']);
  const blobs = new Map<string, string>();
  for (const line of listed?.exitCode === 0 ? listed.stdout.toString('latin1').split('\0') : []) {
    const [, id, path] = /^100\d{3} blob ([0-9a-f]+)\t(.*)$/s.exec(line) ?? [];
    if (id !== undefined && path !== undefined) blobs.set(path, id);
  }
  return (path) => {
    const id = blobs.get(path);
    return id !== undefined && idOf(fsPath(joinBytes(root, bytes(path))), id.length === 64 ? 'sha256' : 'sha1') === id;
  };
}

function idOf(file: string | Buffer, algorithm: 'sha1' | 'sha256'): string | undefined {
  try {
    const content = readFileSync(file);
    return createHash(algorithm).update(`blob ${content.length}\0`).update(content).digest('hex');
  } catch {
    return undefined;
  }
}
