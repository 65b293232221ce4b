// An intent as command lines: what a person would have typed. Pure.

import type { Clause, Understood } from '../language/intent.ts';
import type { Slots } from '../language/slots.ts';

/** One command of the table with its words. */
export type Step = { readonly command: string; readonly args: readonly string[] };

type Asked = Extract<Understood, { kind: 'asked' }>;

/** The label of a backup that was asked for in words (ATLAS-6); it is kept until a person deletes it. */
const LABEL = 'user-requested';

export function stepsOf({ clauses }: Asked): readonly Step[] {
  return clauses.flatMap(stepsOfClause);
}

/** As it is typed into a shell. */
export function commandText(steps: readonly Step[]): string {
  return steps.map(({ command, args }) => ['cora', command, ...args.map(quoted)].join(' ')).join(' && ');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function stepsOfClause({ intent, slots }: Clause): readonly Step[] {
  switch (intent) {
    case 'save':
      return [{ command: 'save', args: noteArgs(slots) }];
    case 'backup':
      return backupSteps(slots);
    case 'verify':
      return [verifyStep(slots)];
    case 'restore':
      return [restoreStep(slots)];
    case 'list': {
      const kind = slots.kind === undefined ? [] : [slots.kind === 'save' ? '--saves' : '--backups'];
      return [{ command: 'list', args: [...kind, ...(slots.count === undefined ? [] : ['-n', String(slots.count)]), ...pathArgs(slots)] }];
    }
    case 'size':
      return [{ command: 'status', args: [] }];
    // Of one path the whole project's figures would be no answer.
    case 'last':
      if (slots.path === undefined || slots.moment !== undefined) return [{ command: 'status', args: [] }];
      return slots.kind === 'backup' ? [{ command: 'list', args: ['--backups', '-n', '1', ...pathArgs(slots)] }] : whySteps(slots);
    case 'health':
      return slots.path === undefined ? [{ command: 'health', args: [] }] : whySteps(slots);
    case 'protect':
      return [{ command: 'protect', args: protectArgs(slots) }];
    case 'rotate':
      return [{ command: 'rotate', args: pathArgs(slots) }];
    case 'lost':
      return [{ command: 'lost', args: [] }];
    case 'end':
      return [{ command: 'end', args: [...(slots.backup === true ? ['--backup'] : []), ...(slots.note === undefined ? [] : ['-m', slots.note])] }];
  }
}

function backupSteps(slots: Slots): readonly Step[] {
  const ship: Step = { command: 'ship', args: slots.id === undefined ? [] : [slots.id] };
  if (slots.existing === true) return [ship];
  const made: Step = { command: 'backup auto', args: noteArgs({ label: LABEL, ...slots }) };
  return slots.offsite === true ? [made, ship] : [made];
}

function noteArgs({ label, note }: Slots): string[] {
  return [...(label === undefined ? [] : ['--label', label]), ...(note === undefined ? [] : ['-m', note])];
}

function pathArgs({ path, paths }: Slots): string[] {
  const all = paths ?? (path === undefined ? [] : [path]);
  return all.length === 0 ? [] : ['--', ...all];
}

const whySteps = ({ path, paths }: Slots): readonly Step[] => (paths ?? [path ?? '.']).map((one): Step => ({ command: 'why', args: ['--', one] }));

/** The words that name a snapshot; none where nothing names one. */
function nameArgs({ id, moment, which }: Slots): string[] {
  if (id !== undefined) return [id];
  if (moment !== undefined) return [`@${moment}`];
  return which === 'previous' ? ['latest~1'] : which === 'latest' ? ['latest'] : [];
}

function verifyStep(slots: Slots): Step {
  // A drill takes the newest good one by itself.
  if (slots.drill === true) return { command: 'drill', args: slots.id === undefined ? [] : [slots.id] };
  if (slots.offsite === true) return { command: 'ship', args: ['--check'] };
  const deep = slots.deep === true ? ['--deep'] : [];
  if (slots.target === 'everything') return { command: 'verify', args: ['--all', ...deep] };
  if (slots.target === 'vault') return { command: 'verify', args: ['--all', '--chain', ...deep] };
  const named = nameArgs(slots);
  return {
    command: slots.kind === 'backup' && named[0] !== 'latest~1' ? 'backup verify' : 'verify',
    args: [...named.filter((name) => name !== 'latest'), ...deep],
  };
}

function restoreStep(slots: Slots): Step {
  if (slots.undo === true) return { command: 'restore', args: ['--undo'] };
  const paths = pathArgs(slots);
  const named = nameArgs(slots);
  const only =
    slots.target === 'critical' ? ['--critical'] : slots.target === 'database' ? ['--databases'] : slots.target === 'vectors' ? ['--chroma'] : [];
  const to = slots.into === undefined ? [] : ['--to', slots.into];
  // A path alone is of the newest good snapshot that has it.
  return { command: 'restore', args: [...(named.length > 0 ? named : paths.length > 0 ? [] : ['latest']), ...only, ...to, ...paths] };
}

function protectArgs(slots: Slots): string[] {
  if (slots.path !== undefined) return pathArgs(slots);
  return nameArgs(slots);
}
