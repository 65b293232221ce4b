// What `cora init` does for AI assistants, and what went in their last session, as lines and as JSON. Pure.

import type { AgentOutcome, AgentPlan } from '../actions/init-agents.ts';
import type { SessionLosses } from '../actions/session-losses.ts';
import type { AgentsUndone } from '../actions/undo-agents.ts';
import { type Bytes, toText } from '../base/bytes.ts';
import { pathFields } from '../base/path-fields.ts';
import { formatAge } from '../base/units.ts';
import type { Assistant } from '../source/assistants.ts';
import { parseId, timeOfId } from '../vault/layout.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

const titles = (found: readonly Assistant[]) => (found.length === 0 ? 'none found' : found.map(({ title }) => title).join(', '));

export function agentPlanLines({ found, files }: AgentPlan): string[] {
  return [
    `Assistants: ${titles(found)}`,
    ...files.flatMap(({ path, action, reason, shown }) => {
      if (action === 'same') return [`Leave ${visible(path)}: it is as it should be`];
      if (action === 'kept') return [`Keep ${visible(path)}: ${visible(reason ?? '')}`];
      return [`${action === 'create' ? 'Write' : 'Add to'} ${visible(path)}:`, ...shown.split('\n').map((line) => `  + ${visible(line)}`)];
    }),
  ];
}

export function agentDoneLines({ found }: AgentPlan, outcomes: readonly AgentOutcome[]): string[] {
  const what = { written: 'Wrote', same: 'As it should be:', kept: 'Kept', failed: 'Not written:' };
  return [
    ...outcomes.map(({ path, action, reason }) => `${what[action]} ${visible(path)}${reason === undefined ? '' : ` (${visible(reason)})`}`),
    found.length === 0
      ? 'Assistants: none found (.claude, .codex, .gemini or .cursor here or in your home), so no hooks; AGENTS.md tells those that read it'
      : `Assistants: ${titles(found)} save${found.length === 1 ? 's' : ''} at the start of a session, before risky acts, after each turn and at the end`,
    ...found.flatMap(({ note }) => (note === undefined ? [] : [note])),
  ];
}

export function agentsDocument({ found, files }: AgentPlan, outcomes: readonly AgentOutcome[] | undefined): Document {
  return {
    assistants: found.map(({ name }) => name),
    agents:
      outcomes === undefined
        ? files.map(({ path, action, reason }) => ({ path, action, reason: reason ?? null }))
        : outcomes.map(({ path, action, reason }) => ({ path, action, reason: reason ?? null })),
  };
}

export function agentUndoLines({ removed, kept }: Pick<AgentsUndone, 'removed' | 'kept'>): string[] {
  return [
    ...removed.map((path) => `Undone: ${visible(path)}`),
    ...kept.map(({ path, reason }) => `Kept: ${visible(path)} (${visible(reason)})`),
    ...(removed.length + kept.length === 0 ? ['Nothing of it was there any more'] : []),
  ];
}

const MOST_NAMES = 8;

/** What went in the last session of an assistant; the commands are printed as they are typed. */
export function sessionLines(lost: SessionLosses | undefined, now: number): string[] {
  if (lost === undefined) return [];
  const id = parseId(lost.since);
  const names = (what: string, paths: readonly Bytes[]) => {
    const shown = paths.slice(0, MOST_NAMES).map((path) => visible(toText(path)));
    return paths.length === 0 ? [] : [`  ${what} ${shown.join(', ')}${paths.length > MOST_NAMES ? ` and ${paths.length - MOST_NAMES} more` : ''}`];
  };
  const count = lost.gone.length + lost.wentBack.length + lost.overwritten.length;
  return [
    `In the assistant's session since ${lost.since}${id === undefined ? '' : ` (${formatAge(now - timeOfId(id))})`} ${counted(count, 'path')} went besides; what was meant needs no answer:`,
    ...names('gone:   ', lost.gone),
    ...names('older again:', lost.wentBack),
    ...names('overwritten:', lost.overwritten),
    ...lost.restore.map((command) => `  back:    ${visible(command)}`),
  ];
}

export function sessionDocument(lost: SessionLosses | undefined): Document | null {
  if (lost === undefined) return null;
  const list = (paths: readonly Bytes[]) => paths.map(pathFields);
  return { since: lost.since, gone: list(lost.gone), went_back: list(lost.wentBack), overwritten: list(lost.overwritten), restore: lost.restore };
}
