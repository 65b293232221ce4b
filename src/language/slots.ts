// What a phrase says besides its intent: paths, a moment, a label, a note, where to. Taken from tokens of
// which the patterns have already said that they belong there. Pure.

import { INTENTS, type Intent } from './lexicon.ts';
import type { Token } from './tokens.ts';

/** Absent where nothing was said. */
export type Slots = {
  readonly path?: string;
  /** Where there are several, all of them. */
  readonly paths?: readonly string[];
  /** As it was said; src/language/when.ts reads it. */
  readonly moment?: string;
  /** list, last: from the moment until now, not of it. */
  readonly since?: true;
  readonly id?: string;
  readonly label?: string;
  readonly note?: string;
  readonly target?: 'everything' | 'database' | 'critical' | 'vectors' | 'file' | 'vault' | 'logs' | 'offsite';
  readonly into?: string;
  /** The newest, or the one before it. */
  readonly which?: 'latest' | 'previous' | 'oldest';
  readonly kind?: 'save' | 'backup' | 'verify' | 'drill' | 'offsite';
  readonly count?: number;
  readonly offsite?: true;
  /** A copy of what is there already, without a new backup. */
  readonly existing?: true;
  readonly deep?: true;
  readonly drill?: true;
  readonly undo?: true;
  readonly largest?: true;
  readonly left?: true;
  /** end: with a backup first. */
  readonly backup?: true;
};

type Draft = { -readonly [K in keyof Slots]: Slots[K] };

export function slotsOf(intent: Intent, tokens: readonly Token[]): Slots {
  const slots: Draft = {};
  const has = (...names: readonly string[]) => tokens.some(({ classes }) => names.some((name) => classes.includes(name)));
  const first = (name: string) => tokens.find(({ classes }) => classes.includes(name));

  takePaths(intent, tokens, slots);
  const moment = first('MOMENT')?.text;
  if (moment !== undefined) slots.moment = moment;
  const span = first('SPAN')?.text;
  if (span !== undefined) slots.moment = `${span} ago`;
  if (slots.moment !== undefined && (intent === 'list' || intent === 'last') && tokens.some(({ word }) => word === 'since')) slots.since = true;
  const before = first('BEFORE');
  if (before !== undefined) {
    if (intent === 'save' || intent === 'backup' || intent === 'end') slots.note = before.text;
    else slots.moment = before.text.replace(/^before (?:the|our|my|that) /i, 'before ');
  }
  const id = first('ID')?.text;
  if (id !== undefined) slots.id = id;
  else if (intent === 'restore') takeNamed(tokens, slots);
  takeNote(intent, tokens, slots);
  takeTarget(intent, tokens, slots, has);
  const number = first('NUMBER')?.text;
  if (number !== undefined && (intent === 'list' || intent === 'size')) slots.count = COUNTS[number.toLowerCase()] ?? Number(number);
  if (intent === 'backup' && has('OFFSITE')) {
    slots.offsite = true;
    if (tokens.some(({ classes }) => classes.includes('COPYV')) && !tokens.some(({ word }) => word === 'and') && has('BK', 'BKS', 'ID'))
      slots.existing = true;
  }
  if (intent === 'verify' && has('DRILL')) slots.drill = true;
  if (intent === 'verify') {
    if (has('DEEP')) slots.deep = true;
    if (has('RESTOREV') || (has('GOBACK') && has('CAN'))) slots.drill = true;
    if (has('OFFSITE')) slots.offsite = true;
  }
  takeKind(intent, tokens, slots, has);
  if (intent === 'restore' && has('UNDO') && tokens.length <= 5 && has('RESTOREV', 'GOBACK') && slots.path === undefined) slots.undo = true;
  if (intent === 'end' && has('BK')) slots.backup = true;
  if (intent === 'size' && has('BIGGEST')) slots.largest = true;
  if (intent === 'size' && has('LEFT')) slots.left = true;
  return slots;
}

const COUNTS: Readonly<Record<string, number>> = {
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  twelve: 12,
  twenty: 20,
};

type Has = (...names: readonly string[]) => boolean;

function takeKind(intent: Intent, tokens: readonly Token[], slots: Draft, has: Has): void {
  if (!/^(?:list|last|verify|restore|protect|size)$/.test(intent)) return;
  const isPlain = intent === 'list' && tokens.every(({ word, classes }) => !classes.some((name) => /^BKS?$/.test(name)) || /^snapshots?$/.test(word));
  const said = { save: has('SV', 'SVS'), backup: has('BK', 'BKS') && !isPlain };
  if (intent === 'last') {
    if (has('OFFSITE') || has('COPY')) slots.kind = 'offsite';
    else if (has('DRILL', 'RESTOREV')) slots.kind = 'drill';
    else if (has('VERIFYN', 'VERIFY')) slots.kind = 'verify';
    else if (said.backup || has('BACKUP')) slots.kind = 'backup';
    else if (said.save) slots.kind = 'save';
  } else if (said.save !== said.backup) slots.kind = said.save ? 'save' : 'backup';
  if (intent === 'size' && has('RECENT') && (said.save || said.backup) && !has('BKS', 'SVS', 'BIGGEST')) slots.which = 'latest';
  if (intent === 'list' || intent === 'size') return;
  if (has('EARLIER')) slots.which = 'previous';
  else if (has('OLDEST') && intent === 'last') slots.which = 'oldest';
  else if (has('RECENT') && (said.save || said.backup)) slots.which = 'latest';
}

function takePaths(intent: Intent, tokens: readonly Token[], slots: Draft): void {
  const paths: string[] = [];
  // "undo the last change to config.json"
  const undoes = tokens.some(({ classes }) => classes.includes('UNDO'));
  for (const [index, { text, classes }] of tokens.entries()) {
    if (!classes.includes('PATH')) continue;
    const lead = tokens[index - 1]?.word ?? '';
    const others = tokens.some(
      (other, place) =>
        place < index && /^(?:PATH|DBS|CRIT|WORK|ALLW|ID|MOMENT|BK|SV|VECTOR)$/.test(other.classes.find((name) => name !== 'F') ?? ''),
    );
    const isInto =
      intent === 'restore' && (lead === 'into' || lead === 'under' || (/^(?:to|in|onto)$/.test(lead) && !undoes && (others || text.startsWith('/'))));
    if (isInto) slots.into = text;
    else paths.push(text);
  }
  const [path] = paths;
  if (path !== undefined) slots.path = path;
  if (paths.length > 1) slots.paths = paths;
}

/** "the snapshot labelled X": its name is looked up by the command. Not of what is a word of its own or a path here, which would be restored. */
function takeNamed(tokens: readonly Token[], slots: Draft): void {
  const at = tokens.findIndex(({ classes }) => classes.includes('LABELKEY'));
  const name = tokens[at + 1];
  const isName = name !== undefined && name.classes.length > 0 && name.classes.every((one) => one === 'QUOTED' || one === 'TAGWORD');
  if (at >= 0 && isName && /^\w/.test(name.text)) slots.id = name.text;
}

/** A quoted text, or the word after "called" and "with label". */
function takeNote(intent: Intent, tokens: readonly Token[], slots: Draft): void {
  if (intent !== 'save' && intent !== 'backup' && intent !== 'end') return;
  const at = tokens.findIndex(({ classes }) => classes.includes('QUOTED') || classes.includes('TAGWORD'));
  const token = tokens[at];
  if (token === undefined) return;
  const labelled = tokens.slice(0, at).some(({ classes }) => classes.includes('LABELKEY') && !classes.includes('MARK'));
  if (labelled && /^[\w][\w.+-]*$/.test(token.text)) slots.label = token.text;
  else slots.note = slots.note === undefined ? token.text : `${token.text}, ${slots.note}`;
}

function takeTarget(intent: Intent, tokens: readonly Token[], slots: Draft, has: Has): void {
  if (has('VECTOR')) slots.target = 'vectors';
  else if (has('CRIT') && slots.path === undefined) slots.target = 'critical';
  else if (has('DBS') && slots.path === undefined) slots.target = 'database';
  else if (intent === 'rotate' && has('LOGS') && slots.path === undefined) slots.target = 'logs';
  else if (slots.path !== undefined || slots.id !== undefined) return;
  else if (intent === 'verify' && has('BK', 'SV') && tokens.some(({ word }) => /^(?:every|each)$/.test(word))) slots.target = 'everything';
  else if (has('VAULT') && /^(?:verify|size|protect|list)$/.test(intent)) slots.target = 'vault';
  else if (intent === 'restore' && has('FILE') && !has('ALLW')) slots.target = 'file';
  else if (tokens.some(({ word }) => /^(?:everything|all|all of it|the lot|whole|entire|project|system|all of them|anything)$/.test(word))) {
    if (intent !== 'health' && intent !== 'lost' && intent !== 'last') slots.target = 'everything';
  }
}

const SIGNS: Readonly<Record<Intent, readonly string[]>> = {
  save: ['SAVE', 'SV', 'KEEP', 'SNAPV', 'MARK'],
  backup: ['BACKUP', 'BK', 'ARCHIVE', 'BACK', 'SECURE', 'OFFSITE'],
  verify: ['VERIFY', 'INTEGRITY', 'DRILL', 'BROKEN', 'VERIFYN'],
  restore: ['RESTOREV', 'GOBACK', 'UNDO', 'DELETED'],
  list: ['BKS', 'SVS', 'SHOW', 'VERSIONS', 'HOWMANY'],
  size: ['HOWBIG', 'USAGE', 'HOWMUCH', 'BIGGEST'],
  last: ['HOWOLD', 'WHEN'],
  health: ['STATUS', 'TROUBLE', 'RISK'],
  protect: ['LOCK', 'APPEND'],
  rotate: ['ROTATE', 'LOGS'],
  lost: ['LOSTW', 'LOSSES'],
  end: ['BYE', 'ENDV', 'SESSIONW'],
};

/** What is named beside an intent where the words say no more. */
const BESIDE: Readonly<Record<Intent, Intent>> = {
  save: 'backup',
  backup: 'save',
  verify: 'health',
  restore: 'lost',
  list: 'restore',
  size: 'list',
  last: 'list',
  health: 'last',
  protect: 'save',
  rotate: 'save',
  lost: 'restore',
  end: 'save',
};

/** The two intents that the words of a phrase come nearest to. */
export function nearestIntents(tokens: readonly Token[]): readonly [Intent, Intent] {
  const bringsBack = tokens.some(({ classes }) => classes.includes('BACK')) && tokens.some(({ classes }) => classes.includes('BRING'));
  const score = (intent: Intent) => {
    if (bringsBack && (intent === 'restore' || intent === 'backup')) return intent === 'restore' ? 2 : 0;
    return tokens.filter(({ classes }) => classes.some((name) => SIGNS[intent].includes(name))).length;
  };
  const [first = 'save', second = 'backup'] = INTENTS.toSorted((a, b) => score(b) - score(a));
  return [first, score(second) > 0 ? second : BESIDE[first]];
}
