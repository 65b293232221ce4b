// `cora init --agents`: the part of init that is for AI assistants, alone, and its `--undo`.

import { removeEmpty } from '../actions/init.ts';
import { type AgentPlan, applyAgents, planAgents } from '../actions/init-agents.ts';
import { openForWriting } from '../actions/open-project.ts';
import { undoAgentsOnRequest } from '../actions/undo-agents.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, EXIT } from '../base/errors.ts';
import { exists } from '../os/files.ts';
import { hasInitRecord, isUndone, readInitRecord, removeInitRecord, type WrittenForAgents, writeInitRecord } from '../vault/init-record.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import type { Outcome, Session } from './command.ts';
import { agentDoneLines, agentPlanLines, agentsDocument, agentUndoLines } from './render-agents.ts';

type Options = { readonly dryRun?: boolean; readonly undo?: boolean };

export async function initAgents(options: Options, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  if (options.undo === true) return undo(options, project, location, session);
  const { ctx } = session;
  const plan = agentPlan(project, location, session);
  const document = { dry_run: options.dryRun === true, ...agentsDocument(plan, undefined) };
  if (options.dryRun === true) return { result: document, lines: agentPlanLines(plan) };
  if (session.globals.quiet !== true) session.show(agentPlanLines(plan));
  if (!(await session.confirm('Do that?'))) {
    throw new CoraError('refused', 'Nothing was changed: that needs a yes', { hint: 'cora init --agents --yes', details: document });
  }
  const { vault, release } = openForWriting(project, location, ctx);
  release();
  const problems: Problem[] = [];
  const outcomes = applyAgents(project.root, vault, plan, ctx, (one) => {
    problems.push(one);
    ctx.monitor.problem(one);
  });
  return {
    result: { dry_run: false, ...agentsDocument(plan, outcomes) },
    lines: agentDoneLines(plan, outcomes),
    summary: problems.length === 0,
    exitCode: problems.length === 0 ? EXIT.ok : EXIT.incomplete,
    problems,
  };
}

/** What would be done for assistants in this project. @throws CoraError where its vault is missing or another's */
export function agentPlan(project: Project, location: VaultLocation, { machine, ctx }: Session): AgentPlan {
  return planAgents(project.root, machine, recordOf(project, location, ctx.now()));
}

function recordOf(project: Project, location: VaultLocation, now: number): readonly WrittenForAgents[] {
  // Where no vault was made yet, nothing was put in; one that is missing is an error below.
  if (location.expectedId === undefined && !exists(`${location.path}/${NAMES.vaultJson}`)) return [];
  const vault = openLocated(location);
  requireOwn(vault, project);
  return readInitRecord(vault, now).agents ?? [];
}

async function undo(options: Options, project: Project, location: VaultLocation, session: Session): Promise<Outcome> {
  const { ctx } = session;
  const vault = openLocated(location);
  requireOwn(vault, project);
  const record = readInitRecord(vault, ctx.now());
  const written = record.agents ?? [];
  if (!hasInitRecord(vault) || written.length === 0) {
    throw new CoraError('not_found', `The vault ${vault.root} has no record of an init for assistants, so there is nothing to undo`, {
      hint: 'what somebody else committed is taken out by hand: the block between the marks, and the entries with "hook agent"',
    });
  }
  const paths = written.map(({ path }) => path);
  if (options.dryRun === true)
    return { result: { dry_run: true, agents: paths }, lines: paths.map((path) => `Take what init put into ${path} out again`) };
  session.show(paths.map((path) => `Take what init put into ${path} out again`));
  if (!(await session.confirm('Undo that?'))) {
    throw new CoraError('refused', 'Nothing was undone: that needs a yes', { hint: 'cora init --agents --undo --yes' });
  }
  const { removed, kept, left } = undoAgentsOnRequest(vault, project.root, written, ctx);
  const rest = { ...record, agents: left, directories: removeEmpty(record.directories) };
  if (isUndone(rest)) removeInitRecord(vault);
  else writeInitRecord(vault, rest);
  return {
    result: { dry_run: false, removed, kept },
    lines: agentUndoLines({ removed, kept }),
    exitCode: kept.length === 0 ? EXIT.ok : EXIT.incomplete,
  };
}
