// A phrase as tokens: words, quoted texts, paths, ids, moments, numbers. Each token says which classes
// of the lexicon it belongs to; what it says is kept as it was typed. Pure.

import { momentLength, spanLength } from './moment-words.ts';

export type Token = {
  /** As it was typed, without quotation marks and closing punctuation. */
  readonly text: string;
  /** In lower case. */
  readonly word: string;
  /** Names of the classes it can stand for; none: it is not known. */
  readonly classes: readonly string[];
};

/** The words that mean something, as they are read from the data file. */
export type Words = {
  /** Classes by expression, of one or several words joined by blanks. */
  readonly classes: ReadonlyMap<string, readonly string[]>;
  /** Words of the longest expression. */
  readonly longest: number;
};

type Raw = { readonly text: string; readonly word: string; readonly quoted: boolean };

/** A file's extension in lower case: not `e.g.` and not `3.5`. */
const EXTENSION = /^[^\s/]*[^\s/.]\.[a-z][a-z0-9]{0,9}$/i;
const ID = /^\d{8}-\d{6}(?:-[0-9a-z]+)*$/;

/** Whether a word is written as only paths are. */
export function looksLikePath(text: string): boolean {
  if (/^(?:e\.g|i\.e|etc|vs|p\.s)$/i.test(text) || /^v?\d+(?:\.\d+)+$/.test(text)) return false;
  if (/^(?:~|\.{1,2})?\/\S|^\S+\/(?:\S|$)/.test(text)) return !/^\d{1,2}\/\d{1,2}(?:\/\d+)?$/.test(text) && !/^(?:and\/or|n\/a|w\/o?)$/i.test(text);
  // Names of files in capitals (AI_WORK_LOG), dot files and patterns.
  return EXTENSION.test(text) || /^\.[a-z][\w.-]*$/i.test(text) || /^[A-Z0-9]+(?:_[A-Z0-9]+)+$/.test(text) || /^\S*\*\S*\.\S+$/.test(text);
}

/**
 * @param isPath whether a word that is nothing else names something that is there
 */
export function tokenize(phrase: string, words: Words, isPath: (word: string) => boolean): Token[] {
  const raw = split(phrase);
  const plain = raw.map(({ word, quoted }) => (quoted ? '"' : word.replace(/'s$/, '')));
  const tokens: Token[] = [];
  for (let at = 0; at < raw.length; ) {
    const one = raw[at] as Raw;
    const take = (count: number, classes: readonly string[]) => {
      const part = raw.slice(at, at + count);
      const text = part.map((piece) => piece.text).join(' ');
      tokens.push({ text: classes.includes('MOMENT') ? text.replace(/'s$/, '') : text, word: part.map((piece) => piece.word).join(' '), classes });
      at += count;
    };
    if (one.quoted) {
      take(1, looksLikePath(one.text) || (one.text !== '' && isPath(one.text)) ? ['QUOTED', 'PATH'] : ['QUOTED']);
      continue;
    }
    const moment = momentLength(plain, at);
    const known = expressionLength(raw, at, words);
    // "save" may begin no moment, and "the day before yesterday" is no "the".
    const span = spanLength(plain, at);
    if (moment > 0 && moment >= known) take(moment, ['MOMENT', ...(words.classes.get(joined(raw, at, moment)) ?? [])]);
    else if (span > 0) take(span, ['SPAN']);
    else if (known > 0) take(known, words.classes.get(joined(raw, at, known)) ?? words.classes.get(plain[at] ?? '') ?? []);
    else if (ID.test(one.word)) take(1, ['ID']);
    else if (looksLikePath(one.text)) take(1, ['PATH']);
    else if (/^\d{1,4}$/.test(one.word)) take(1, ['NUMBER']);
    else take(1, isPath(one.text) ? ['PATH', 'THERE'] : []);
  }
  return tokens.map(tagged);
}

/** The word after "called" is a label, whatever else it is. */
function tagged(token: Token, index: number, tokens: readonly Token[]): Token {
  const isKey = tokens[index - 1]?.classes.includes('LABELKEY') === true && !token.classes.includes('LABELKEY');
  return isKey && /^[\w][\w.+-]*$/.test(token.text) ? { ...token, classes: [...token.classes, 'TAGWORD'] } : token;
}

const joined = (raw: readonly Raw[], at: number, count: number): string =>
  raw
    .slice(at, at + count)
    .map(({ word }) => word)
    .join(' ');

function expressionLength(raw: readonly Raw[], at: number, words: Words): number {
  for (let count = Math.min(words.longest, raw.length - at); count > 0; count--) {
    if (raw.slice(at, at + count).some(({ quoted }) => quoted)) continue;
    if (words.classes.has(joined(raw, at, count))) return count;
  }
  // "the vault's size"
  const { word, quoted } = raw[at] as Raw;
  return !quoted && word.endsWith("'s") && words.classes.has(word.slice(0, -2)) ? 1 : 0;
}

function split(phrase: string): Raw[] {
  const text = phrase.replace(/[\u2018\u2019\u02bc]/g, "'").replace(/[\u201c\u201d\u201e]/g, '"');
  const found: Raw[] = [];
  for (const match of text.matchAll(/"([^"]*)"|`([^`]*)`|(?<=^|\s)'([^']*)'(?=$|[\s.,!?;:])|([^\s"`]+)/g)) {
    const quoted = match[1] ?? match[2] ?? match[3];
    if (quoted !== undefined) {
      found.push({ text: quoted, word: quoted.toLowerCase(), quoted: true });
      continue;
    }
    // Punctuation is no part of a word; a dot at the beginning is part of a name.
    const bare = (match[4] ?? '').replace(/^[([{,;:!?]+/, '');
    // The two dots of a directory above are no punctuation: without them it would be another directory.
    const word = /(?:^|\/)\.\.$/.test(bare) ? bare : bare.replace(/[)\]},;:!?.\u2026]+$/, '');
    const dashes = /^[-\u2013\u2014&+]*$/.test(word);
    if (word === '&' || word === '+') found.push({ text: 'and', word: 'and', quoted: false });
    else if (word !== '' && !dashes) found.push({ text: word, word: word.toLowerCase(), quoted: false });
  }
  return found;
}
