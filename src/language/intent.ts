// What a phrase asks of Cora: an intent with its slots, or why it is none. Deterministic, without a model
// or a network. Invariants: every word is accounted for or nothing is understood; what deletes,
// unlocks, disables, negates, asks how, or depends on something is never an intent.

import { isAnchored } from './anchor.ts';
import { INTENTS, type Intent, type Lexicon, lexicon } from './lexicon.ts';
import { momentLength } from './moment-words.ts';
import { type Refusal, refusalOf } from './refusal.ts';
import { both, type Core, coresOf, fits, quotedName } from './remark.ts';
import { nearestIntents, type Slots, slotsOf } from './slots.ts';
import { type Token, tokenize, type Words } from './tokens.ts';

export type Clause = { readonly intent: Intent; readonly slots: Slots };

export type Understood =
  | {
      readonly kind: 'asked';
      /** In the order in which they were said; several only where each reads or adds. */
      readonly clauses: readonly [Clause, ...Clause[]];
      /** 1 where each word is known; less where a note or a bare name was taken as it stands. */
      readonly confidence: number;
    }
  | {
      readonly kind: 'none';
      readonly reason: Refusal | 'unknown' | 'two_things';
      /** What it may have meant, the nearest first; two. */
      readonly nearest: readonly [Intent, Intent];
    };

/** Phrases of the user's own, by intent (docs/say.md). */
export type OwnPhrases = Readonly<Partial<Record<Intent, readonly string[]>>>;

/** Longer texts are not said to a backup tool. */
const LONGEST_PHRASE = 400;
const MOST_TOKENS = 40;
const MOST_CLAUSES = 3;
const MOST_BEFORE = 10;
const MOST_REMARKS = 3;
const LEADING = ['NAME', 'GREET', 'POLITE'];

/**
 * @param own phrases that the user added; they are compared as a whole, after greeting and politeness
 * @param isPath whether a word that means nothing else names something that is there
 */
export async function understand(phrase: string, own: OwnPhrases = {}, isPath: (word: string) => boolean = () => false): Promise<Understood> {
  const known = await lexicon();
  const { words } = known;
  const whole = withoutName(phrase.normalize('NFC').trim().replace(/\s+/g, ' '), words);
  const understood = read(whole, own, isPath, known);
  if (understood.kind === 'asked' || whole.length > LONGEST_PHRASE) return understood;
  // The order alone, with what was said beside it left out; refusals are looked for in each again.
  let left: readonly Core[] = [{ said: whole, only: undefined, names: false }];
  for (let round = 0; round < MOST_REMARKS && left.length > 0; round++) {
    for (const core of left) {
      for (const text of [core.said, quotedName(core.said)]) {
        const found = text === undefined ? understood : read(withoutName(text, words), own, isPath, known);
        if (found.kind === 'asked' && fits(core, found.clauses)) return found;
      }
    }
    left = left.flatMap((core) => coresOf(core.said).map((next) => both(core, next)));
  }
  return understood;
}

function read(said: string, own: OwnPhrases, isPath: (word: string) => boolean, known: Lexicon): Understood {
  const { words } = known;
  // What stands in quotation marks as a whole is told, not asked for.
  if (said === '' || said.length > LONGEST_PHRASE || /^["'“‘`].*["'”’`][.!?]?$/.test(said)) return none('unknown', []);
  const tokens = tokenize(said, words, isPath);
  if (tokens.length === 0 || tokens.length > MOST_TOKENS) return none('unknown', tokens);
  const starts = leadingOf(tokens);
  const asked = tokens.slice(starts.greeting);
  const before = mergeBefore(asked);
  const refusal = refusalOf(before, wordsOf(asked)) ?? (before.length < asked.length ? undefined : refusalOf(asked, wordsOf(asked)));
  if (refusal !== undefined) return none(refusal, tokens);
  // Politeness may be the whole of it ("we're done"), so that as much as possible is kept at first.
  for (let start = 0; start <= starts.all; start++) {
    const rest = tokens.slice(start);
    if (rest.length === 0) break;
    for (const part of [rest, withoutTail(rest)]) {
      const found = clausesOf(mergeBefore(part), MOST_CLAUSES, known) ?? ownClause(part, own, words);
      if (found !== undefined) return judged(found, part);
    }
  }
  return none('unknown', tokens);
}

function judged(clauses: readonly Clause[], tokens: readonly Token[]): Understood {
  const [first, ...others] = ending(clauses);
  if (first === undefined) return none('unknown', tokens);
  if (others.length > 0 && [first, ...others].some(({ intent }) => intent === 'restore')) return none('two_things', tokens);
  const bare = tokens.some(({ classes, word }) => classes.includes('THERE') || classes.length === 0 || word === 'before');
  return { kind: 'asked', clauses: [first, ...others], confidence: bare ? 0.9 : 1 };
}

/** "backup and end session" is an end with a backup; "back up and copy it off-site" one backup that is shipped. */
function ending(clauses: readonly Clause[]): readonly Clause[] {
  const [first, second] = clauses;
  if (first === undefined || second === undefined || clauses.length !== 2) return clauses;
  if (second.intent === 'end') {
    if (first.intent === 'save') return [{ intent: 'end', slots: first.slots }];
    if (first.intent === 'backup') return [{ intent: 'end', slots: { ...first.slots, backup: true } }];
  }
  if (first.intent === 'backup' && second.intent === 'backup' && second.slots.offsite === true)
    return [{ intent: 'backup', slots: { ...first.slots, offsite: true } }];
  return clauses;
}

function none(reason: Exclude<Understood, { kind: 'asked' }>['reason'], tokens: readonly Token[]): Understood {
  return { kind: 'none', reason, nearest: nearestIntents(tokens) };
}

const wordsOf = (tokens: readonly Token[]): string => tokens.map(({ word }) => word).join(' ');

/** `Jarvis, back up now`: one unknown name before a comma. */
function withoutName(said: string, { classes }: Words): string {
  const match =
    /^(?:(?:hey|hi|hello|ok|okay|yo),? )?([A-Z][A-Za-z]+), (.+)$/.exec(said) ?? /^(?:Hey|Hi|Hello|Ok|Okay|Yo),? ([A-Z][A-Za-z]+), (.+)$/.exec(said);
  const [, name = '', rest = ''] = match ?? [];
  const word = name.toLowerCase();
  // "No, save it", "Tomorrow, back up": these are no names.
  const isName =
    rest !== '' && !classes.has(word) && momentLength([word], 0) === 0 && refusalOf([{ text: name, word, classes: [] }], word) === undefined;
  return isName ? rest : said;
}

function withoutTail(tokens: readonly Token[]): Token[] {
  let end = tokens.length;
  const isTail = ({ classes }: Token) => classes.includes('TAILWORD') || classes.includes('NAME');
  while (end > 1 && isTail(tokens[end - 1] as Token)) end--;
  return tokens.slice(0, end);
}

/** How many tokens at the beginning may be left out, and how many of them are names and greetings. */
function leadingOf(tokens: readonly Token[]): { readonly greeting: number; readonly all: number } {
  let greeting = 0;
  let all = 0;
  for (const { classes } of tokens) {
    if (!classes.some((name) => LEADING.includes(name))) break;
    if (greeting === all && !classes.includes('POLITE')) greeting++;
    all++;
  }
  return { greeting, all };
}

/** "before I refactor the store": what comes after it is one token, whatever it says. */
function mergeBefore(tokens: readonly Token[]): Token[] {
  // The snapshot labelled "before the migration" is that one, and not what was before it.
  const isName = (token: Token, lead: Token | undefined) => token.classes.includes('QUOTED') && lead?.classes.includes('LABELKEY') === true;
  const at = tokens.findIndex(
    (token, index) => index > 0 && /^(?:before|prior to|ahead of|prior|ahead)(?: |$)/.test(token.word) && !isName(token, tokens[index - 1]),
  );
  const first = tokens[at]?.text.replace(/^(?:before|prior to|ahead of|prior|ahead) ?/i, '') ?? '';
  const rest = tokens.slice(at + 1);
  // What "and" adds is said for itself, and has to be understood.
  const end = rest.findIndex(({ word }) => /^(?:and|then|plus)$/.test(word));
  const later = end < 0 ? [] : rest.slice(end);
  const tail = (end < 0 ? rest : rest.slice(0, end)).filter(({ word }, index) => index > 0 || !/^(?:to|of)$/.test(word));
  const words = [...(first === '' ? [] : [first]), ...tail.map((token) => token.text)];
  if (at < 0 || words.length === 0 || words.length > MOST_BEFORE) return [...tokens];
  const text = `before ${words.join(' ')}`;
  const by = /^(?:i|we|you|he|she|they|it|i'm|we're|you're)$/.test(words[0]?.split(' ')[0]?.toLowerCase() ?? '');
  return [...tokens.slice(0, at), { text, word: text.toLowerCase(), classes: by ? ['BEFORE'] : ['BEFORE', 'EVENT'] }, ...later];
}

/** All of it as one clause, or as some that "and" joins, each understood by itself. */
function clausesOf(tokens: readonly Token[], most: number, known: Lexicon): readonly Clause[] | undefined {
  // One word that no pattern has a place for, and nothing can match.
  if (tokens.some(({ classes, word }) => classes.length === 0 && !known.literals.has(word))) return undefined;
  const one = clauseOf(tokens, known);
  if (one !== undefined) return [one];
  if (most <= 1) return undefined;
  for (const [at, { word }] of tokens.entries()) {
    if (at === 0 || !/^(?:and|then|plus|also|afterwards)$/.test(word)) continue;
    const first = clauseOf(tokens.slice(0, at), known);
    if (first === undefined) continue;
    let rest = tokens.slice(at + 1);
    while (rest.length > 1 && rest[0]?.classes.some((name) => LEADING.includes(name)) === true && clauseOf(rest, known) === undefined)
      rest = rest.slice(1);
    const others = clausesOf(rest, most - 1, known);
    if (others !== undefined) return [first, ...others];
  }
  return undefined;
}

function clauseOf(tokens: readonly Token[], { rules }: Lexicon): Clause | undefined {
  const rule = tokens.length === 0 ? undefined : rules.find(({ matches }) => matches(tokens));
  if (rule?.intent === 'restore' && countsSnapshots(tokens)) return undefined;
  if (/^(?:restore|verify|protect)$/.test(rule?.intent ?? '') && tokens.some(isSpan)) return undefined;
  if (rule === undefined || !isAnchored(rule.intent, tokens)) return undefined;
  const slots = slotsOf(rule.intent, tokens);
  // A name that cannot be looked up is not left out: the newest would be restored instead.
  if (rule.intent === 'restore' && slots.id === undefined && tokens.some(({ classes }) => classes.includes('LABELKEY'))) return undefined;
  return { intent: rule.intent, slots };
}

/** "restore notes.db from this week": many are of it, and none was named. */
const isSpan = ({ classes, text }: Token): boolean => classes.includes('MOMENT') && /^this (?:week|month|year)$/i.test(text);

/** "go back two saves": which one that is was not said, and the newest is not meant. */
function countsSnapshots(tokens: readonly Token[]): boolean {
  const isSnapshot = (token: Token | undefined) => token?.classes.some((name) => /^(?:BKS?|SVS?)$/.test(name)) === true;
  return tokens.some(({ word, classes }, index) => (classes.includes('NUMBER') || word === 'one') && isSnapshot(tokens[index + 1]));
}

function ownClause(tokens: readonly Token[], own: OwnPhrases, words: Words): readonly Clause[] | undefined {
  const said = wordsOf(tokens);
  const intent = INTENTS.find((name) => own[name]?.some((phrase) => wordsOf(withoutTail(tokenize(phrase, words, () => false))) === said));
  return intent === undefined ? undefined : [{ intent, slots: {} }];
}
