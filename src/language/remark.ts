// What is said beside an order and changes nothing of it: a reason ("..., I'm about to run the migration"), a worry,
// an accident, whom a seal is against. By a closed grammar; what it does not know stays, and is asked about. Pure.

import { INTENTS, type Intent } from './lexicon.ts';
import type { Slots } from './slots.ts';

/** A phrase without some of its remarks. */
export type Core = {
  readonly said: string;
  /** Intents that the remark goes with; undefined: all. */
  readonly only: readonly Intent[] | undefined;
  /** It may be said of the thing that "it" is, so that a restore must name one. */
  readonly names: boolean;
};

const SELF = "(?:i am|i'm|im|we are|we're)";
const VERY = '(?:(?:a bit|a little|really|very|so|quite|kind of|rather|pretty|getting|somewhat) )*';
const IT = '(?:it|this|that|them|things|everything|anything|something|stuff|all of it|all of this)';
/** Words that would make it an order, a condition or an exception, and those that are Cora's own. */
const STOP =
  /(?:^| )(?:and|or|but|not|no|never|without|except|excluding|unless|only|if|whether|after|until|till|once|when|while|before|instead|rather|then|so|because|just|also|plus|\w*n't|cannot|delete|remove|wipe|purge|drop|erase|destroy|clear|prune|empty|overwrite|stop|disable|cancel|unlock|save|saves|back|backup|backups|snapshot|snapshots|restore|recover|revert|undo|verify|check|rotate|protect|seal|lock|exclude|ignore|skip|upload|ship|copy|send|archive|trim|prune|every|each|cora|please)(?= |$)/;
/** What one is about to do to one's own work; any other verb may say what is wanted ("use the one from monday"). */
const OWN_DOING =
  /^(?:refactor|rewrite|rework|redo|restructure|reorganize|reorganise|upgrade|update|change|edit|touch|run|rip|tear|replace|migrate|deploy|release|publish|try|test|merge|rebase|reboot|restart|reinstall|install|rename|split|convert|port|switch|move|start|begin|commit|push|apply|experiment|break|build|train|leave(?=$| for | now$| early$)|travel|fly|go(?= (?:on|to|home|away|for|offline) )|head out|log off)(?= |$)/;
/** Said of what is asked for, even behind such a verb. */
const OF_IT =
  /(?:^| )(?:-\S+|from|alone|one|ones|out of|left|rest|part|half|parts|those|which|what|yesterday|old|older|other|label|note|later|daily|weekly|monthly|nightly|hourly)(?= |$)/;
const EXCEPT_RESTORE = INTENTS.filter((intent) => intent !== 'restore');

const REASONS = [
  String.raw`${SELF} (?:just )?(?:about|going) to (?<free>[\w./+-]+(?: [\w./+'-]+){0,7})`,
  `(?:i|we) (?:really )?(?:don't|do not) (?:fully |quite |really )?trust ${IT}(?: at all| one bit| yet)?`,
  `${SELF} (?:running|getting|going) (?:very )?(?:low|short|out) (?:on|of) (?:disk|space|disk space|room|storage)`,
  `(?:i|we) (?:might|may|could) (?:break|lose|mess up|ruin|wreck) ${IT}`,
  `${SELF} ${VERY}(?:nervous|worried|paranoid|scared|anxious|cautious|careful|curious|tired|being careful|in a hurry)(?: about ${IT})?`,
  `(?:this|that|it|the next part|the next step) (?:is|looks|feels|could be|might be|may be|could get) ${VERY}(?:risky|dangerous|scary|important|delicate|tricky|hairy)`,
  "(?:i|we) (?:can't|cannot|can not) (?:afford to|risk to) lose (?:it|this|that|any of it|any of this|anything)",
  "(?:i|we) (?:don't|do not) want to lose (?:it|this|that|any of it|any of this|anything)",
  '(?:better safe than sorry|you never know|no rush|no hurry|take your time|thank you so much|thanks a lot|much appreciated)',
];

const DOER =
  '(?:(?:i think |it looks like |looks like )?(?:i|we|you|it|something|someone|somebody|(?:the|my|our) (?:agent|assistant|ai|script|migration|build|update|upgrade|merge|refactoring|refactor|last change|changes)))';
const ACCIDENTS = [
  `${DOER} (?:just )?(?:have |has )?(?:broke|broken|messed up|wrecked|ruined|screwed up|trashed) (?:everything|something|things|stuff|it all|it)`,
  `${DOER} (?:just )?(?:have |has )?(?:wiped|deleted|removed|lost|emptied) (?:something|some files|some things|a few files|stuff|things)`,
  '(?:everything|it|the build|the whole thing) (?:is|stopped|got) (?:broken|a mess|working|messed up)',
];
/** What a seal is against. */
const NOBODY = '(?:nobody|no one|no-one|nothing|no agent|no script|no program|neither of us)';
const SEALED = `so (?:that )?${NOBODY} (?:can|could|may|will|is able to) (?:delete|remove|change|overwrite|edit|modify|alter|touch|wipe|erase|tamper with)(?: or (?:delete|remove|change|overwrite|edit|modify|alter|touch|wipe|erase))? (?:it|them)(?: by accident| by mistake| accidentally)?`;
const ELSE =
  '(?:or not|or (?:has|have|did) (?:something|anything|it) (?:stopped|quit|failed|broken|broke|stop|fail)(?: working| running)?|or is (?:something|anything) (?:broken|wrong|stuck))';

const alternatives = (forms: readonly string[]): string => `(?:${forms.join('|')})`;
const BEHIND = new RegExp(
  `^(?<core>.*[^\\s,;.!?])(?:[,;.!?]+ | [-\u2013\u2014]+ | (?=because |cause |cuz |since |as ))(?:because |cause |cuz |since |as |and )?(?:${alternatives(REASONS)} and )?${alternatives(REASONS).replaceAll('(?<free>', '(?<last>')}$`,
);
const BEFOREHAND = new RegExp(`^${alternatives([...REASONS.slice(1), ...ACCIDENTS])}(?:[,;.!] (?:so |and )?| so | [-\u2013\u2014]+ )(?<core>.+)$`);
const BEHIND_ACCIDENT = new RegExp(`^(?<core>.*[^\\s,;.!?])(?:[,;.!] | because | [-\u2013\u2014]+ )(?:because )?${alternatives(ACCIDENTS)}$`);
const SEAL = new RegExp(`^(?<core>.*[^\\s,;.!?]),? ${SEALED}$`);
const OR = new RegExp(`^(?<core>(?:[\\w']+,? ){0,3}(?:is|are|was|were|did|has|have|does|do|can) .*[^\\s,;.!?]),? ${ELSE}$`);

/** What is left of a phrase without what stands beside it, all that the grammar can let go at once; empty: nothing. */
export function coresOf(phrase: string): readonly Core[] {
  const said = phrase.replace(/[\u2018\u2019]/g, "'");
  // Else places in the one are not places in the other.
  if (said.toLowerCase().length !== said.length) return [];
  const low = said.toLowerCase().replace(/[\s.!?]+$/, '');
  // What is kept is kept as it was typed.
  const cut = (core: string | undefined, at: 'start' | 'end', only?: readonly Intent[], names = false): Core[] => {
    if (core === undefined) return [];
    return [{ said: at === 'start' ? said.slice(0, core.length) : said.slice(low.length - core.length), only, names }];
  };
  const behind = BEHIND.exec(low)?.groups;
  const free = [behind?.['free'], behind?.['last']].filter((text) => text !== undefined);
  const harmless = free.every((text) => OWN_DOING.test(text) && !STOP.test(text) && !OF_IT.test(text));
  return [
    ...cut(harmless ? behind?.['core'] : undefined, 'start', free.length > 0 ? EXCEPT_RESTORE : undefined),
    ...cut(BEFOREHAND.exec(low)?.groups?.['core'], 'end', undefined, true),
    ...cut(BEHIND_ACCIDENT.exec(low)?.groups?.['core'], 'start', undefined, true),
    ...cut(SEAL.exec(low)?.groups?.['core'], 'start', ['protect']),
    ...cut(OR.exec(low)?.groups?.['core'], 'start', ['health', 'last', 'verify', 'lost']),
  ];
}

/** Both remarks are beside it. */
export function both(first: Core, second: Core): Core {
  const only = first.only === undefined ? second.only : first.only.filter((intent) => second.only?.includes(intent) !== false);
  return { said: second.said, only, names: first.names || second.names };
}

/** Whether what the rest asks for is the same with the remark. */
export function fits({ only, names, said }: Core, clauses: readonly { readonly intent: Intent; readonly slots: Slots }[]): boolean {
  if (only !== undefined && !clauses.every(({ intent }) => only.includes(intent))) return false;
  // "I broke something, restore it": what is meant was not said.
  const isSaid = ({ path, id, moment, target }: Slots) =>
    (path ?? id ?? moment) !== undefined || (target !== undefined && /^(?:everything|database|critical|vectors)$/.test(target));
  return !names || clauses.every(({ intent, slots }) => intent !== 'restore' || (isSaid(slots) && !/\b(?:it|them|that|those)\b/i.test(said)));
}

const NAMING =
  /^(?<core>.*[^\s,;])(?:, | and |, and |; )(?<key>label|tag|name|title|call) (?:it|this|that)(?: as)? (?<name>[\w.+-]+(?: [\w.+-]+){0,5}?)(?:,? (?:please|pls|thanks|thx))?[.!]?$/i;
const NO_NAME = /^(?:a|an|the|off|done|out|quits|as|it) |(?:^| )(?:in|on|to|for|at|with|from|until|later|tomorrow)(?= |$)/;

/** "..., label it parser works": the name in quotation marks, as it could have been typed. */
export function quotedName(said: string): string | undefined {
  const { core = '', name = '' } = NAMING.exec(said)?.groups ?? {};
  if (core === '' || /["'`]/.test(said) || STOP.test(name.toLowerCase()) || NO_NAME.test(`${name.toLowerCase()} `)) return undefined;
  return `${core} and label it "${name}"`;
}
