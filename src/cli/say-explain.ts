// How a phrase was understood, as a document, and what to say where it was not. Pure.

import { CoraError } from '../base/errors.ts';
import type { Understood } from '../language/intent.ts';
import type { Intent } from '../language/lexicon.ts';
import { visible } from './render.ts';
import { commandText, stepsOf } from './say-steps.ts';

type NotUnderstood = Extract<Understood, { kind: 'none' }>;

/** `--explain`: what would be run. */
export type Explanation = {
  readonly intent: Intent | 'none';
  readonly command: string | null;
  readonly slots: Readonly<Record<string, unknown>>;
  readonly confidence: number;
  readonly needsConfirmation: boolean;
  /** Why it is none. */
  readonly reason?: string;
};

export function explainDocument(understood: Understood): Explanation {
  if (understood.kind === 'none')
    return { intent: 'none', command: null, slots: {}, confidence: 0, needsConfirmation: false, reason: understood.reason };
  const [{ intent, slots }, ...others] = understood.clauses;
  const also = others.length === 0 ? {} : { also: others.map((clause) => clause.intent) };
  return {
    intent,
    command: commandText(stepsOf(understood)),
    slots: { ...slots, ...also },
    confidence: understood.confidence,
    needsConfirmation: intent === 'restore',
  };
}

export function explainLines({ intent, command, slots, needsConfirmation, reason }: Explanation): string[] {
  if (command === null) return [`Nothing would be done (${(reason ?? 'unknown').replaceAll('_', ' ')})`];
  const said = Object.entries(slots).map(([key, value]) => `${key}=${visible(String(value))}`);
  return [`${intent}: ${visible(command)}${needsConfirmation ? ' (after a yes)' : ''}`, ...(said.length === 0 ? [] : [`  ${said.join(', ')}`])];
}

const COMMANDS: Readonly<Record<Intent, string>> = {
  save: 'cora save',
  backup: 'cora backup now',
  verify: 'cora verify',
  restore: 'cora restore PATH',
  list: 'cora list',
  size: 'cora status',
  last: 'cora status',
  health: 'cora health',
  protect: 'cora protect',
  rotate: 'cora rotate',
  lost: 'cora lost',
  end: 'cora say "end session"',
};

const SENTENCES: Readonly<Record<NotUnderstood['reason'], string>> = {
  unknown: 'Not understood',
  delete: 'Nothing is ever deleted by a phrase',
  unlock: 'Nothing is ever unlocked by a phrase',
  disable: 'Nothing is ever switched off by a phrase',
  negation: 'It says what not to do',
  how: 'It asks how something is done, so nothing was done',
  condition: 'It depends on something, and a phrase is done at once or not at all',
  two_things: 'It asks for a restore and for something else',
};

const INSTEAD: Readonly<Partial<Record<NotUnderstood['reason'], readonly [string, string]>>> = {
  delete: ['cora prune', 'cora prune --help'],
  unlock: ['cora unprotect', 'cora unpin'],
  disable: ['cora timers remove', 'cora hooks remove'],
};

/** Of a phrase so much is said back: longer ones are never understood. */
const SAID_MOST = 400;

/** What no intent stands for, because it is a command of its own. */
const LOOKS: readonly (readonly [RegExp, readonly [string, string]])[] = [
  [/^(?:help|what can (?:you|i|we|cora) (?:do|say|ask)|commands?|usage)\b/, ['cora --help', 'cora say --help']],
  [/\b(?:chang(?:ed?|es)|diff|differences?|differs?|compare)\b/, ['cora diff', 'cora log PATH']],
  [/\bwhy\b.*\b(?:saved?|backed up|missing|left out|included|excluded)\b/, ['cora why PATH', 'cora status']],
  [/^(?:who|what did|where did)\b.*\b(?:delete[ds]?|remove[ds]?|lose|lost)\b|^i (?:lost|deleted)\b/, ['cora lost', 'cora restore PATH']],
  [/\b(?:find|search|where(?:'s| is| are| was| did)|look for)\b/, ['cora find NAME', 'cora log PATH']],
  [/^(?:show|print|open|read|view|display)\b.*\b(?:from|as of|at|as it was)\b/, ['cora cat @WHEN PATH', 'cora log PATH']],
  [/\b(?:upload|ship|off-?site)\b/, ['cora ship', 'cora status']],
  [/\b(?:pin|label|tag|keep)\b.*\b(?:save|backup|snapshot|it|this|that|last)\b/, ['cora pin ID', 'cora backup now --label NAME']],
  [/\b(?:go|roll) back\b.*\b(?:\d+|one|two|three|four|five)\b/, ['cora list', 'cora restore latest~1 --dry-run']],
  [/\bundo\b/, ['cora restore --undo', 'cora restore PATH']],
];

/** Exit 64, with the two commands that come nearest. */
export function notUnderstood(phrase: string, { reason, nearest }: NotUnderstood): CoraError {
  const looks = LOOKS.find(([asks]) => asks.test(phrase.slice(0, SAID_MOST).toLowerCase()))?.[1];
  const isLook = reason === 'unknown' || reason === 'how' || (reason === 'delete' && looks?.[0] === 'cora lost');
  const helpOf = (intent: Intent) => (reason === 'how' ? `${COMMANDS[intent].replace(/ PATH$/, '')} --help` : COMMANDS[intent]);
  const commands = (isLook ? looks : undefined) ?? INSTEAD[reason] ?? nearest.map(helpOf);
  const distinct = [...new Set(commands)];
  if (distinct.length < 2) distinct.push(distinct[0] === 'cora status' ? 'cora list' : 'cora status');
  const [first = 'cora save', second = 'cora status'] = distinct;
  const said = phrase.length > SAID_MOST ? `${phrase.slice(0, SAID_MOST)}...` : phrase;
  return new CoraError('phrase_unknown', `${SENTENCES[reason]}: ${said}`, {
    hint: reason === 'negation' ? 'nothing was done' : `${reason === 'how' ? 'see' : 'nearest:'} ${first} or ${second}`,
    details: { phrase: said, reason, nearest: [first, second] },
  });
}
