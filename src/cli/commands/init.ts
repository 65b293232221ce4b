// `cora init`: find out, show, ask, do, prove. `--undo` takes it back.

import { init } from '../../actions/init.ts';
import { detectProject, type InitFacts, lookAtVault, refusePlaces } from '../../actions/init-detect.ts';
import { defaultAnswers, type InitAnswers, planFiles } from '../../actions/init-plan.ts';
import { applyUndo, planUndo } from '../../actions/init-undo.ts';
import { type Bytes, fromText, toText } from '../../base/bytes.ts';
import { CoraError, EXIT, messageOf } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { agentPlan, initAgents } from '../init-agents.ts';
import { agentDoneLines, agentPlanLines, agentsDocument } from '../render-agents.ts';
import {
  answersDocument,
  doneDocument,
  doneLines,
  factsDocument,
  factsLines,
  planLines,
  undoDocument,
  undoLines,
  undoPlanLines,
} from '../render-init.ts';
import { timersOptions } from '../timers-session.ts';

type Options = {
  readonly dryRun?: boolean;
  readonly undo?: boolean;
  readonly noHook?: boolean;
  readonly noTimers?: boolean;
  readonly noKey?: boolean;
  readonly agents?: boolean;
  readonly noAgents?: boolean;
  readonly user?: boolean;
  readonly unitDir?: Bytes;
};

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  if (options.agents === true) return initAgents(options, session);
  if (options.undo === true) return undo(options, session);
  const { ctx, machine, globals } = session;
  const dryRun = options.dryRun === true;
  const { project, location } = await session.open();
  const asks = session.interactive && globals.yes !== true && globals.json !== true && !dryRun;
  const goesOn = !dryRun && (asks || globals.yes === true);
  const facts = await detectProject(project, location, machine, goesOn, ctx);
  if (globals.quiet !== true) session.show(factsLines(facts));
  const answers = asks ? await askPerson(facts, options, session) : { ...defaultAnswers(facts), ...declined(options) };
  const named = answers.vault !== location.path || isTyped(location.path, location.source, session);
  const files = await planFiles(facts, answers, machine, named);
  const agents = answers.agents ? agentPlan(project, location, session) : undefined;
  const forAgents = agents === undefined ? { assistants: [], agents: null } : agentsDocument(agents, undefined);
  const document = { dry_run: dryRun, ...factsDocument(facts), ...answersDocument(answers, files), ...forAgents };
  const plan = [...planLines(answers, files, facts, options.unitDir !== undefined), ...(agents === undefined ? [] : agentPlanLines(agents))];
  if (dryRun) return { result: document, lines: plan };
  if (!goesOn) {
    session.show(plan);
    throw new CoraError('refused', 'Nothing was changed: nobody can be asked here', {
      hint: 'cora init --yes does what is shown above',
      details: document,
    });
  }
  const chosen = answers.vault === location.path ? facts : { ...facts, vault: lookAtVault(project.root, answers.vault, true) };
  const found = named ? await session.engine.locateVault(project, answers.vault, environmentOf(session)) : location;
  const steps = {
    answers,
    files,
    machine,
    location: found,
    recorded: named,
    timers: timersOptions(options, session),
    agents,
    reopen: () => session.open(),
  };
  const result = await init(chosen, steps, ctx);
  return {
    result: {
      ...document,
      ...factsDocument(chosen),
      ...doneDocument(result),
      ...(agents === undefined ? {} : agentsDocument(agents, result.agents)),
    },
    lines: [...(agents === undefined ? [] : agentDoneLines(agents, result.agents ?? [])), ...doneLines(result, chosen)],
    // A key that only this machine has is said even to who asked for quiet.
    summary: result.problems.length === 0 && result.key === undefined,
    exitCode: exitCodeOf(result.problems, result.proof.report),
    problems: result.problems,
  };
}

const declined = (options: Options): Partial<InitAnswers> => ({
  ...(options.noHook === true ? { hooks: false } : {}),
  ...(options.noTimers === true ? { timers: false } : {}),
  ...(options.noKey === true ? { key: false } : {}),
  ...(options.noAgents === true ? { agents: false } : {}),
});

const environmentOf = ({ machine }: Session) => ({
  explicit: undefined,
  uid: machine.uid,
  home: machine.home,
  xdgStateHome: machine.env('XDG_STATE_HOME'),
});

/** `--vault` that was typed is a choice to remember; CORA_VAULT says it at each run, in hooks and timers too. */
function isTyped(path: string, source: string, { machine }: Session): boolean {
  return source === 'explicit' && machine.env('CORA_VAULT')?.replace(/\/+$/, '') !== path;
}

async function askPerson(facts: InitFacts, options: Options, session: Session): Promise<InitAnswers> {
  const { askQuestions } = await import('../init-questions.ts');
  const { home } = session.machine;
  const absolute = (typed: string) => {
    const path = typed.startsWith('~/') && home !== undefined ? `${home}${typed.slice(1)}` : typed;
    return toText(session.absolute(fromText(path)));
  };
  const whyNot = (typed: string) => {
    try {
      refusePlaces(facts.project.root, absolute(typed));
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  };
  const decided = {
    vault: session.globals.vault !== undefined,
    hooks: options.noHook === true,
    timers: options.noTimers === true,
    key: options.noKey === true,
    agents: options.noAgents === true,
  };
  const answers = await askQuestions(facts, decided, whyNot, session.ctx.signal);
  return { ...answers, vault: absolute(answers.vault) };
}

async function undo(options: Options, session: Session): Promise<Outcome> {
  const { ctx, machine, globals } = session;
  const { project, location } = await session.open();
  const plan = planUndo(project, location, ctx);
  const document = {
    files: plan.files,
    hooks: plan.hooks,
    timers: plan.timers,
    recipient: plan.recipient ?? null,
    agents: plan.agents,
    key: plan.key ?? null,
    append_only: plan.appendOnly.map(toText),
  };
  if (options.dryRun === true) return { result: { dry_run: true, ...document }, lines: undoPlanLines(plan) };
  session.show(undoPlanLines(plan));
  // A flag is lifted by a person only (as `cora unprotect`); all else, --yes may say as well.
  const inPerson = globals.yes !== true && session.interactive && (await session.confirmInPerson('Undo cora init?'));
  if (!inPerson && globals.yes !== true) {
    throw new CoraError('refused', 'Nothing was undone: that needs a yes', { hint: 'cora init --undo --yes', details: document });
  }
  const result = applyUndo(plan, project, location, machine, inPerson, ctx);
  return {
    result: { dry_run: false, ...undoDocument(result) },
    lines: undoLines(result),
    exitCode: result.kept.length === 0 ? EXIT.ok : EXIT.incomplete,
  };
}
