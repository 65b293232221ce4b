// Every entry below a directory, by its bytes.

import { readdirSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, joinBytes } from '../base/bytes.ts';

/** Relative paths of files and directories; links and what is neither are left out. */
export function filesBelow(directory: string): Bytes[] {
  const found: Bytes[] = [];
  const walk = (below: Bytes | undefined): void => {
    const at = below === undefined ? fromText(directory) : joinBytes(fromText(directory), below);
    for (const entry of readdirSync(fsPath(at), { withFileTypes: true, encoding: 'latin1' })) {
      const path = bytes(below === undefined ? entry.name : `${below}/${entry.name}`);
      if (entry.isDirectory() || entry.isFile()) found.push(path);
      if (entry.isDirectory()) walk(path);
    }
  };
  walk(undefined);
  return found;
}
