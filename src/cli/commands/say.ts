// `cora say`: understand a phrase, run what it asks for, answer in a sentence. What runs is loaded when it is asked for: --explain
// is typed by shells, while somebody waits.

import type { Bytes } from '../../base/bytes.ts';
import { bytes, fromText, toText } from '../../base/bytes.ts';
import { parseConfig } from '../../base/config.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { type OwnPhrases, type Understood, understand } from '../../language/intent.ts';
import { INTENTS } from '../../language/lexicon.ts';
import { exists, readTextIfThere } from '../../os/files.ts';
import type { Outcome, Session } from '../command.ts';
import { explainDocument, explainLines, notUnderstood } from '../say-explain.ts';
import { type Ran, runSteps } from '../say-run.ts';
import { stepsOf } from '../say-steps.ts';

type Options = { readonly explain?: boolean; readonly apply?: string; readonly confirmServiceStopped?: boolean; readonly live?: boolean };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };
type Asked = Extract<Understood, { kind: 'asked' }>;

export async function run({ options, args, paths }: Input, given: Session): Promise<Outcome> {
  const session = openedOnce(given);
  const phrase = [...args, ...paths].map(toText).join(' ');
  if (phrase === '') {
    if (options.apply === undefined) throw new CoraError('usage', 'cora say needs a phrase', { hint: 'cora say "save our progress"' });
    const { applyPlan } = await import('../say-restore.ts');
    return (await applyPlan(options.apply, undefined, '', options, session)).outcome;
  }
  const understood = await understandHere(phrase, session);
  if (options.explain === true) {
    const document = explainDocument(understood);
    const { command: _command, ...beside } = document;
    return { result: document, lines: explainLines(document), beside, unlogged: true };
  }
  session.runAs('say', phrase);
  if (understood.kind === 'none') throw notUnderstood(phrase, understood);
  const { withPlaces } = await import('../say-places.ts');
  const placed = await withPlaces(understood, phrase, session);
  const ran = await runAll(placed, phrase, options, session);
  return outcomeOf(placed, phrase, ran, session);
}

/** Several steps and the answer look at one project: what its configuration warns of is said once. */
function openedOnce(session: Session): Session {
  let opened: ReturnType<Session['open']> | undefined;
  const open: Session['open'] = () => {
    opened ??= session.open();
    return opened;
  };
  return { ...session, open, locate: session.globals.vault === undefined ? open : session.locate };
}

/** With the user's own phrases, which are asked only where ours say nothing. */
async function understandHere(phrase: string, session: Session): Promise<Understood> {
  const isPath = (word: string) => NAME.test(word) && exists(toText(session.absolute(fromText(word))));
  const understood = await understand(phrase, {}, isPath);
  if (understood.kind === 'asked' || understood.reason !== 'unknown') return understood;
  const own = await ownPhrases(session);
  const withOwn = await understand(phrase, own, isPath);
  if (withOwn.kind === 'asked' || withOwn.nearest[0] !== 'restore') return withOwn;
  // What somebody wants back is mostly gone: a name that only the vault knows. It is asked only where one word alone is not understood.
  const names = new Set<string>();
  const supposed = await understand(phrase, own, (word) => isPath(word) || (NAME.test(word) && names.add(word).size > 0));
  const [name] = names;
  if (name === undefined || names.size > 1 || supposed.kind === 'none' || supposed.clauses[0].intent !== 'restore') return withOwn;
  return (await wasEver(name, session)) ? supposed : withOwn;
}

/** What may be a path without looking like one. */
const NAME = /^[\w@+][\w.@+/-]+$/;

/** Without a vault, or with one that cannot be read now, nothing was. */
async function wasEver(name: string, session: Session): Promise<boolean> {
  try {
    const { everHad } = await import('../../actions/log.ts');
    return await everHad((await session.locate()).location, fromText(name), session.absolute(fromText(name)));
  } catch (error) {
    if (!(error instanceof CoraError)) throw error;
    return false;
  }
}

/** Of the project, and of `~/.config/cora/phrases.toml`; where there is no project (HOME itself), the latter alone. */
async function ownPhrases(session: Session): Promise<OwnPhrases> {
  const { home } = session.machine;
  const homeBytes = home === undefined ? undefined : fromText(home);
  const project = await session.engine.findProject(session.absolute(bytes('.')), homeBytes).catch((error: unknown) => {
    if (error instanceof CoraError && error.code === 'project_refused') return undefined;
    throw error;
  });
  const file = home === undefined ? undefined : `${home}/.config/cora/phrases.toml`;
  const text = file === undefined ? undefined : readTextIfThere(file);
  const more = text === undefined ? {} : ((await parseConfig(text, file ?? '')).phrases ?? {});
  const ours: OwnPhrases = project?.config.phrases ?? {};
  return Object.fromEntries(INTENTS.map((intent) => [intent, [...(ours[intent] ?? []), ...((more as OwnPhrases)[intent] ?? [])]]));
}

async function runAll(understood: Asked, phrase: string, options: Options, session: Session): Promise<readonly Ran[]> {
  const [{ intent, slots }] = understood.clauses;
  if (intent !== 'restore') {
    if (options.apply !== undefined) throw new CoraError('usage', '--apply carries out the plan of a restore', { hint: 'leave it out' });
    if (intent === 'list' && slots.moment !== undefined && understood.clauses.length === 1) {
      const { listRange } = await import('../say-range.ts');
      return [await listRange(slots, phrase, session)];
    }
    return runSteps(stepsOf(understood), phrase, session);
  }
  const [step] = stepsOf(understood);
  if (step === undefined || (slots.target === 'file' && slots.path === undefined)) {
    throw new CoraError('phrase_unknown', 'Which file is to come back is not said', {
      hint: 'cora lost lists what is gone; then cora restore PATH',
      details: { phrase, reason: 'which', nearest: ['cora lost', 'cora restore PATH'] },
    });
  }
  const { applyPlan, sayRestore } = await import('../say-restore.ts');
  if (options.apply !== undefined) return [await applyPlan(options.apply, step, phrase, options, session)];
  return [await sayRestore(step, phrase, options, session)];
}

async function outcomeOf(understood: Asked, phrase: string, ran: readonly Ran[], session: Session): Promise<Outcome> {
  const last = ran.at(-1);
  if (last === undefined) throw new CoraError('internal', 'The phrase ran nothing');
  const { answerOf } = await import('../render-say.ts');
  const { leftOut } = await import('../say-places.ts');
  const answer = await answerOf(understood, ran, session);
  const sentence = [answer.sentence, ...(await leftOut(understood, session))].join(' ');
  const lines = [sentence, ...answer.lines];
  const problems = ran.flatMap(({ outcome }) => outcome.problems ?? []);
  const [exitCode] = ran.map((one) => one.exitCode).toSorted((a, b) => gravity(b) - gravity(a));
  const facts = { answer: { sentence, ...answer.facts } };
  if (ran.length === 1) {
    const { failure, result } = last.outcome;
    const told = failure === undefined ? last.outcome : { ...last.outcome, failure: { ...failure, details: { ...failure.details, ...facts } } };
    return { ...told, result: { ...(result as object), ...facts }, lines, problems };
  }
  const steps = ran.map(({ step, outcome, exitCode: code }) => ({ command: step.command, exit_code: code, result: outcome.result }));
  session.runAs('say', phrase, ran[0]?.step.command);
  const { failure } = last.outcome;
  return { result: { steps, ...facts }, lines, problems, ...(failure === undefined ? { exitCode: exitCode ?? EXIT.ok } : { failure }) };
}

/** What has to be told first: any failure, then what is incomplete. */
function gravity(code: number): number {
  return code === EXIT.ok ? 0 : code === EXIT.skipped ? 1 : code === EXIT.incomplete ? 2 : 3;
}
