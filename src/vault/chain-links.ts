// Whether the lines of the ledger follow each other, and which one does not. Pure. A line's hash is in the next one, so what was
// altered, taken out or put in shows at its neighbour; this says who of the two it was.

import { type ChainText, NO_HASH, originOf } from './chain.ts';

/** `line` names the line for people: its place and what it is about. */
export type BrokenLink = { readonly line: string; readonly reason: string };

export function brokenLinks(lines: readonly ChainText[]): BrokenLink[] {
  const blamed = new Map<number, string>();
  const broken: BrokenLink[] = [];
  // A rebuilt ledger goes on after the last line that was known of the lost one.
  const begins = originOf(lines[0]?.line);
  const places = new Map<string, number>([
    [NO_HASH, -1],
    [begins.hash, -1],
  ]);
  const torn: number[] = [];
  lines.forEach(({ line, hash }, at) => {
    if (line === undefined) blamed.set(at, 'it was altered: it is no line of a ledger');
    else {
      const before = lines[at - 1];
      const sequence = before === undefined ? begins.sequence : before.line?.sequence;
      const origin = places.get(line.previous);
      if (origin === at - 1) {
        if (sequence !== undefined && line.sequence !== sequence + 1) blamed.set(at, `it was altered: its number is not ${sequence + 1}`);
      } else if (origin !== undefined) {
        // It follows a line further up: what is between the two was not there when it was written.
        for (let inserted = origin + 1; inserted < at; inserted++) blamed.set(inserted, 'it was put in: the ledger goes on without it');
      } else if (sequence !== undefined && line.sequence > sequence + 1) {
        const [first, last] = [sequence + 1, line.sequence - 1];
        broken.push({
          line: `ledger ${first === last ? `line ${first}` : `lines ${first} to ${last}`}`,
          reason: `${first === last ? 'it was' : 'they were'} taken out of the ledger`,
        });
      } else torn.push(at);
    }
    places.set(hash, at);
  });
  for (let index = 0; index < torn.length; index++) {
    const at = torn[index] ?? 0;
    if (blamed.has(at - 1)) continue;
    // Torn on both sides, it was the line itself; else the line before it is not what this one was written after.
    const bothSides = torn[index + 1] === at + 1;
    if (bothSides) index += 1;
    if (at === 0 || bothSides) blamed.set(at, 'it was altered: it fits neither the line before it nor the one after it');
    else blamed.set(at - 1, at === lines.length - 1 ? 'it or the line after it was altered' : 'it was altered: the line after it has another hash');
  }
  return [...[...blamed].sort(([a], [b]) => a - b).map(([at, reason]) => ({ line: nameOf(lines[at], at), reason })), ...broken];
}

function nameOf(text: ChainText | undefined, at: number): string {
  const line = text?.line;
  return line === undefined ? `ledger line ${at + 1}` : `ledger line ${at + 1} (${line.kind} ${line.id})`;
}
