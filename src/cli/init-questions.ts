// The questions of `cora init`, at a terminal only: at most four, each with a default that Enter takes.
// The only user of @clack/prompts. They are drawn on stderr, because stdout belongs to the result.

import { confirm, isCancel, multiselect, text } from '@clack/prompts';
import type { InitFacts } from '../actions/init-detect.ts';
import { type CriticalChoice, criticalChoices, criticalList, defaultAnswers, type InitAnswers, whyNoHook } from '../actions/init-plan.ts';
import type { KeyOffer } from '../actions/key-offer.ts';
import { CoraError } from '../base/errors.ts';
import { visible } from './render.ts';

/** What was decided on the command line and is not asked. */
export type Decided = { readonly vault: boolean; readonly hooks: boolean; readonly timers: boolean; readonly key: boolean; readonly agents: boolean };

/**
 * @param whyNot why a vault must not be at a place that was typed; undefined where it may
 * @throws CoraError interrupted where the person ends it (Ctrl-C, Escape)
 */
export async function askQuestions(
  facts: InitFacts,
  decided: Decided,
  whyNot: (vault: string) => string | undefined,
  signal: AbortSignal,
): Promise<InitAnswers> {
  const common = { input: process.stdin, output: process.stderr, signal };
  const given = defaultAnswers(facts);
  if (facts.huge) {
    const go = await confirm({ ...common, message: 'This is a large project (see above). Protect all of it?', initialValue: true });
    if (answered(go) === false) throw givenUp();
  }
  const vault = decided.vault
    ? given.vault
    : answered(
        await text({
          ...common,
          message: 'Where should the vault be? (a directory outside the project, best on another disk)',
          initialValue: given.vault,
          validate: (value) => (/^(\/|~\/)./.test(value ?? '') ? whyNot(value ?? '') : 'An absolute path, or one that begins with ~/'),
        }),
      );
  const choices = criticalChoices(facts);
  const critical =
    choices.length === 0 || facts.configured
      ? given.critical
      : criticalList(
          facts,
          answered(
            await multiselect({
              ...common,
              message: 'Which of these are critical? (watched for losses, and kept plain in each backup; databases always are)',
              options: choices.map((choice) => ({ value: choice.pattern, label: visible(choice.pattern), hint: visible(hintOf(choice)) })),
              initialValues: choices.map(({ pattern }) => pattern),
              required: false,
            }),
          ),
        );
  const wirable = [
    ...(given.hooks && !decided.hooks ? [{ value: 'hooks', label: 'a git hook: save before each push' }] : []),
    ...(given.timers && !decided.timers ? [{ value: 'timers', label: 'timers: a save every 15 minutes, a backup each night' }] : []),
    ...(given.agents && !decided.agents ? [{ value: 'agents', label: agentsLabel(facts) }] : []),
    ...(facts.key !== undefined && !decided.key ? [{ value: 'key', label: keyLabel(facts.key) }] : []),
  ];
  const wired =
    wirable.length === 0
      ? []
      : answered(
          await multiselect({
            ...common,
            message: 'What should happen by itself?',
            options: wirable,
            initialValues: wirable.map(({ value }) => value),
            required: false,
          }),
        );
  return {
    vault,
    critical,
    hooks: !decided.hooks && whyNoHook(facts) === undefined && wired.includes('hooks'),
    timers: !decided.timers && wired.includes('timers'),
    key: !decided.key && wired.includes('key'),
    agents: !decided.agents && wired.includes('agents'),
  };
}

/** Copies without a key are refused where they hold secrets, and readable by whoever runs the remote. */
const keyLabel = ({ isThere, remotes }: KeyOffer) =>
  `copies at ${visible(remotes[0] ?? '')} encrypted: ${isThere ? 'the key that is there' : 'a key is made'}, which you print and keep elsewhere`;

const agentsLabel = ({ assistants }: InitFacts) =>
  `${assistants.map(({ title }) => title).join(', ')}: saves before risky acts (hooks), and what to do (AGENTS.md)`;

const hintOf = ({ found, byDefault }: CriticalChoice) => (byDefault ? `${found}, by default` : found);

function answered<T>(value: T): Exclude<T, symbol> {
  if (isCancel(value)) throw givenUp();
  return value as Exclude<T, symbol>;
}

function givenUp(): CoraError {
  return new CoraError('interrupted', 'Nothing was changed', { hint: 'cora init --dry-run shows what it would do' });
}
