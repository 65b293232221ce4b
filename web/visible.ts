// Foreign text in parts that are shown as they are and parts that are written out: what steers the direction of text, hides, or has
// no shape. Pure; the list of what steers is the one of the terminal (src/base/steering.ts).

import { escapeSteering } from '../src/base/steering.ts';

// Beside those that steer: what is invisible though it is no space (soft hyphen, zero width, tags, fillers).
const INVISIBLE =
  /\u00ad|\u034f|\u061c|[\u115f\u1160]|[\u17b4\u17b5]|\u180e|\u200b|[\u2060-\u2065]|[\u206a-\u206f]|\u3164|\ufeff|\uffa0|[\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;
const MARK = '\uE000';
// A private-use character of the name itself is no mark of ours, and has no shape either.
const PRIVATE = /[\ue000-\uf8ff]/g;

const code = (character: string): string => `${MARK}\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}${MARK}`;

/** Blanks at either end of a name are not seen, and a name of blanks alone would be none. */
const EDGE_BLANKS = /(?<=^|\/) +| +(?=\/|$)/g;

/** The text in parts; the odd ones are escapes. */
export function partsOf(text: string, isPath = false): string[] {
  const named = text.replace(PRIVATE, code).replace(INVISIBLE, code);
  const shown = isPath ? named.replace(EDGE_BLANKS, (blanks) => code(' ').repeat(blanks.length)) : named;
  return escapeSteering(
    shown,
    (unit) => `${MARK}${unit < 0x100 ? `\\x${unit.toString(16).padStart(2, '0')}` : `\\u${unit.toString(16)}`}${MARK}`,
  ).split(MARK);
}

/** For attributes, which have no parts. */
export const plain = (text: string): string => partsOf(text).join('');

export const plainPath = (path: string): string => partsOf(path, true).join('');
