// What a phrase asks that no phrase may do: delete, unlock, switch off; what it says not to do, asks
// about, or makes depend on something. Such a phrase runs nothing, however well the rest is understood. Pure.

import type { Token } from './tokens.ts';

export type Refusal =
  /** Takes something away that is in the vault. */
  | 'delete'
  | 'unlock'
  | 'disable'
  /** "do not save" */
  | 'negation'
  /** "how do I save?" */
  | 'how'
  /** "if the tests fail, restore", "every night" */
  | 'condition';

const DELETE =
  /^(?:delete|deleting|remove|removing|wipe|purge|prune|pruning|drop|dropping|erase|destroy|trash|discard|forget|expire|empty|truncate|shred|overwrite|clear|nuke|kill|uninstall|rm|scrub|throw|obliterate|cleanup|clean|ditch)$/;
const UNLOCK = /^(?:unlock|unprotect|unseal|unpin|unfreeze|decrypt|chattr|unlocked|writable|writeable|lift|loosen)$/;
const DISABLE =
  /^(?:disable|disabling|deactivate|stop|stopping|pause|suspend|cancel|abort|halt|quit|skip|off|interrupt|mute|silence|terminate|unschedule|exclude|ignore)$/;
const NEGATION =
  /^(?:no|nope|nah|not|never|don't|dont|doesn't|didn't|won't|can't|cannot|shouldn't|wouldn't|couldn't|isn't|aren't|without|nothing|neither|nor|avoid|refrain|instead|except|but|rather|hold|wait|undone|unless|nobody|none)$|n't$/;
const CONDITION =
  /^(?:if|unless|whether|once|until|till|whenever|while|after|afterwards|every|each|hourly|automatically|regularly|tomorrow|later|soon|next|otherwise|else|should|would|might|could|suppose|imagine|assuming|provided|because|when|in)$/;
/** These words are told apart by where they stand. */
const HOW =
  /^(?:how (?:do|can|could|should|would|does|did|might|must|shall|will) (?:i|we|you|one|it|cora|atlas|somebody|people|the)\b|how to\b|do you (?:always |ever |also |really |automatically )?(?:save|back|backup|store|archive|protect|make|take|create|verify|check|restore|rotate|seal|lock|send|copy)\b|what happens\b|what (?:does|would|should|if|do you|kind|sort)\b|what(?:'s| is) (?:a|an|the (?:best|right|difference|way|command|point|meaning))\b|why\b|explain\b|describe\b|teach\b|should (?:i|we|you)\b|may i\b|can i (?!trust)|could i\b|am i able\b|is (?:it|there) (?:possible|safe|ok|okay|a way|any way|wise|necessary)\b|do (?:i|we) (?:need|have) to\b|does cora\b|can cora\b|does it\b|which command\b|where\b|who\b|remind me\b|show me how\b|tell me (?:why|how(?! (?:big|large|heavy|full|much|many|old|recent|fresh|long ago)\b))\b|what command\b)/;

/** Words of these classes were said on purpose in one expression, and are not taken apart. */
const WHOLE: ReadonlySet<string> = new Set(['POLITE', 'TAILWORD', 'RISK', 'QUOTED', 'PATH', 'MOMENT', 'BEFORE', 'BYE', 'ENDV', 'LOSSES', 'DELETED']);

/** Why a phrase may not do anything; undefined where nothing is against it. Expects tokens without the greeting. */
export function refusalOf(tokens: readonly Token[], said: string): Refusal | undefined {
  if (HOW.test(said.toLowerCase().replace(/[\u2018\u2019]/g, "'"))) return 'how';
  const isWhole = ({ word, classes }: Token) => classes.some((name) => WHOLE.has(name)) || (classes.length > 0 && word.includes(' '));
  const words = tokens.filter((token) => !isWhole(token)).map(({ word }) => word);
  const has = (pattern: RegExp) => words.some((word) => pattern.test(word));
  if (has(NEGATION)) return 'negation';
  if (has(DELETE) || /\bget rid\b/i.test(said)) return 'delete';
  if (has(UNLOCK)) return 'unlock';
  if (has(DISABLE)) return 'disable';
  return isConditional(words) ? 'condition' : undefined;
}

function isConditional(words: readonly string[]): boolean {
  return words.some((word, index) => {
    if (!CONDITION.test(word)) return false;
    // "check if the backups are good"
    if (/^(?:if|whether)$/.test(word) && /^(?:check|verify|test|see|confirm|tell|know|checking|validate|prove)$/.test(words[index - 1] ?? ''))
      return false;
    // "when was the last backup", "would you save": at the beginning they ask.
    if (index === 0) return !/^(?:when|could|would|should|in|next|once|each|every)$/.test(word);
    return !/^(?:when|in|would|could|once|each|every|next|while|might|should)$/.test(word) || isLate(words, index);
  });
}

/** "in 5 minutes", "every night", "when the tests pass". */
function isLate(words: readonly string[], index: number): boolean {
  const [word, next = ''] = words.slice(index);
  if (word === 'in')
    return /^(?:\d+|an?|two|five|ten|half)$/.test(next) && /^(?:minutes?|hours?|days?|mins?|secs?|seconds?|weeks?)$/.test(words[index + 2] ?? '');
  if (word === 'every' || word === 'each') return /^(?:\d+|minute|hour|day|night|morning|evening|week|month|time|commit|push|other|few)/.test(next);
  if (word === 'once') return next !== 'more';
  return word === 'when' || word === 'while' || word === 'next';
}
