// SHA256SUMS.txt: exactly what sha256sum writes and `sha256sum -c` reads (coreutils, "md5sum
// invocation": a name with a backslash, newline or carriage return is escaped and its line begins with a backslash).

import { type Bytes, bytes } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';

export type Sum = { readonly path: Bytes; readonly sha256: string };

export function formatSums(sums: readonly Sum[]): Buffer {
  const lines = [...sums]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, sha256 }) => {
      const escaped = path.replace(/[\\\n\r]/g, (c) => (c === '\\' ? '\\\\' : c === '\n' ? '\\n' : '\\r'));
      return `${escaped === path ? '' : '\\'}${sha256}  ${escaped}\n`;
    });
  return Buffer.from(lines.join(''), 'latin1');
}

/** @throws CoraError damaged at a line that sha256sum would not have written */
export function parseSums(text: Buffer): Sum[] {
  const lines = text.toString('latin1').split('\n');
  if (lines.pop() !== '') throw new CoraError('damaged', 'SHA256SUMS.txt is cut');
  return lines.map((line) => {
    const match = /^(\\?)([0-9a-f]{64}) [ *]([\s\S]+)$/.exec(line);
    if (match === null) throw new CoraError('damaged', `SHA256SUMS.txt has a malformed line: ${JSON.stringify(line.slice(0, 80))}`);
    const path = match[3] ?? '';
    const plain = match[1] === '' ? path : path.replace(/\\[\\nr]/g, (c) => (c === '\\\\' ? '\\' : c === '\\n' ? '\n' : '\r'));
    return { path: bytes(plain), sha256: match[2] ?? '' };
  });
}
