// A key on paper: everything but the identity itself is a comment, so that the text, typed or scanned back into a file, is an
// identity file for age and for Cora as it stands. Pure.

import { encode } from 'uqr';
import { visible } from './render.ts';

/** What the paper says besides the key. */
export type PaperFacts = {
  readonly project: string | undefined;
  /** Where copies are; what the configuration names. */
  readonly remotes: readonly string[];
  /** RFC 3339. */
  readonly date: string;
};

/** Light modules around the code, which readers need. */
const QUIET = 4;

/** A QR code as text for dark ink on light paper; two modules a character in height. */
export function qrLines(text: string): string[] {
  const { data, size } = encode(text, { ecc: 'M', border: QUIET });
  const dark = (x: number, y: number) => data[y]?.[x] === true;
  const lines: string[] = [];
  for (let y = 0; y < size; y += 2) {
    let line = '';
    for (let x = 0; x < size; x++) line += dark(x, y) ? (dark(x, y + 1) ? '\u2588' : '\u2580') : dark(x, y + 1) ? '\u2584' : ' ';
    lines.push(line.trimEnd());
  }
  return lines;
}

/** The paper key of one identity. SECRET. */
export function paperLines(secret: string, recipient: string, { project, remotes, date }: PaperFacts): string[] {
  const groups = secret.slice('AGE-SECRET-KEY-1'.length).match(/.{1,4}/g) ?? [];
  const at = remotes.length === 0 ? '<remote>' : visible(remotes[0] ?? '');
  return [
    `# PAPER KEY of ${project === undefined ? 'Cora' : visible(project)}, printed ${date.slice(0, 10)}. Whoever has it can open the off-site copies;`,
    '# without it nobody can. Keep it away from the machine and from the copies: a safe, another house.',
    ...(remotes.length === 0 ? [] : [`# Copies: ${remotes.map(visible).join(', ')}`]),
    `# Opens what was encrypted for ${recipient}`,
    '#',
    '# To use it: put the line below (or this whole text) into a file, key.txt, then: chmod 600 key.txt',
    '#   cora key show key.txt              says whether it was typed rightly',
    `#   cora recover ${at} --identity key.txt --to DIR`,
    '# By hand: age -d -i key.txt records.tar.age | tar -x   (docs/keys.md)',
    '',
    secret,
    '',
    '# The same in groups, for the eye; it is typed in one line, without blanks. After KEY-1 there is no B, I, O and no digit 1.',
    `#   AGE-SECRET-KEY-1 ${groups.slice(0, 7).join(' ')}`,
    `#                    ${groups.slice(7).join(' ')}`,
    ...qrLines(secret).map((line) => `# ${line}`.trimEnd()),
  ];
}
