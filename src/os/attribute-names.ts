// Which files have extended attributes, ACLs or capabilities, as getfattr (package attr) tells it. Cora keeps none of
// them yet, so each backup says which files lose them; nothing is followed and no content is opened.

import { constants, openSync } from 'node:fs';
import { type Bytes, bytes, fromBuffer } from '../base/bytes.ts';
import { closing } from './files.ts';
import { onPath } from './long-path.ts';
import { findProgram, runSync } from './run.ts';

export type Attributed = { readonly path: Bytes; readonly names: readonly string[] };

const LONGEST = 4000;
/** The label that a security module gives each file by itself. */
const OF_THE_SYSTEM = new Set(['security.selinux']);

/** How the paths are written for getfattr: below the directory that it has open, whatever its own path is. */
const BELOW = '/proc/self/fd/3/';

/**
 * @param root where the paths lie
 * @param paths relative, of files and directories; those that are gone are left out
 * @returns undefined where nobody can tell: getfattr is not installed, or cannot be run here
 */
export function attributedFiles(root: Bytes, paths: readonly Bytes[]): Attributed[] | undefined {
  const [getfattr, xargs] = [findProgram('getfattr'), findProgram('xargs')];
  if (getfattr === undefined || xargs === undefined) return undefined;
  // Longer ones the kernel does not take in one call.
  const list = Buffer.from(paths.flatMap((path) => (path.length < LONGEST ? [`${BELOW}${path}\0`] : [])).join(''), 'latin1');
  try {
    // Names go in by a list, because an argument must be text here and a path need not be.
    const args = ['-0', '-r', getfattr, '-h', '--absolute-names', '-m', '-', '--'];
    const fd = onPath(root, (path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
    const run = closing(fd, () => runSync(xargs, args, { input: list, inherit: [fd], timeout: 600_000 }));
    // Files that went meanwhile make an exit code of 123; of the others it tells all the same.
    return run.exitCode === 0 || run.exitCode === 123 ? parse(fromBuffer(run.stdout)) : undefined;
  } catch {
    return undefined;
  }
}

function parse(output: string): Attributed[] {
  const found: Attributed[] = [];
  for (const block of output.split('\n\n')) {
    const [head = '', ...lines] = block.split('\n');
    const names = lines.filter((name) => name !== '' && !OF_THE_SYSTEM.has(name));
    if (head.startsWith(`# file: ${BELOW}`) && names.length > 0) found.push({ path: unescaped(head.slice(8 + BELOW.length)), names });
  }
  return found;
}

/** getfattr writes bytes that could be taken for something else as \\ooo. */
function unescaped(name: string): Bytes {
  return bytes(name.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))));
}
