// What a finished command means for the prompt (docs/shell.md): pure, from its name, options, exit code and result.
// Invariant: nothing is called well that this run did not look at.

import { EXIT } from '../base/errors.ts';
import type { PromptChange } from '../vault/prompt-status.ts';

export type EndedRun = {
  readonly command: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly exit: number;
  /** The JSON document's `result`; undefined after an error. */
  readonly result: unknown;
};

/** Ends that say nothing of the project: a wrong command line, another run at work, skipped on purpose, interrupted. */
const SAYS_NOTHING: ReadonlySet<number> = new Set([EXIT.usage, EXIT.locked, EXIT.interrupted, 75]);

/**
 * @param now in seconds since 1970
 * @returns an empty change for a command that proves nothing of the project
 */
export function promptChange(run: EndedRun, now: number): PromptChange {
  const { command, exit } = run;
  if (SAYS_NOTHING.has(exit)) return {};
  const good = exit === EXIT.ok || exit === EXIT.incomplete;
  switch (command) {
    case 'save':
      return good ? { ...saved(run, now), timer: run.options['trigger'] === 'timer' } : { failed: ['save'] };
    case 'backup auto':
    case 'backup now':
      return backedUp(run, good, now);
    case 'end':
      return ended(run, now);
    case 'verify':
    case 'backup verify':
      if (exit === EXIT.damaged) return { failed: ['verify'] };
      // One good snapshot does not make another one's damage undone.
      return good ? { times: { verified: now }, well: run.options['all'] === true && field(run, 'remaining') === 0 ? ['verify'] : [] } : {};
    case 'ship':
      if (run.options['prune'] === true) return {};
      return good ? { times: { shipped: now }, well: ['ship'] } : { failed: ['ship'] };
    case 'drill':
      return good ? { times: { drilled: now }, well: ['drill'] } : { failed: ['drill'] };
    case 'health':
      return health(run);
    default:
      return {};
  }
}

function backedUp(run: EndedRun, good: boolean, now: number): PromptChange {
  // 12: the copy off-site failed, the backup itself is there.
  if (!good && run.exit !== EXIT.remote) return { failed: ['backup'] };
  const notNeeded = field(run, 'outcome') === 'not_needed';
  const save = saved(notNeeded ? within(run, 'save') : run, now);
  const ship = shipped(run, now);
  return {
    times: { ...save.times, ...(notNeeded ? {} : { backed: now }), ...ship.times },
    well: [...(save.well ?? []), 'backup', ...(ship.well ?? [])],
    failed: [...(save.failed ?? []), ...(ship.failed ?? [])],
  };
}

/** The end of a session: a save or a backup, and what was made is read back. */
function ended(run: EndedRun, now: number): PromptChange {
  if (!isRecord(run.result)) return { failed: ['save'] };
  const part = within(run, field(run, 'backup') === null ? 'save' : 'backup');
  const made = field(run, 'backup') === null ? saved(part, now) : backedUp({ ...part, exit: EXIT.ok }, true, now);
  const ship = shipped(run, now);
  const damaged = field(run, 'verified') === false;
  const verified = field(run, 'verified') === true ? { verified: now } : {};
  return {
    times: { ...made.times, ...verified, ...ship.times },
    well: [...(made.well ?? []), ...(ship.well ?? [])],
    failed: [...(made.failed ?? []), ...(damaged ? ['verify' as const] : []), ...(ship.failed ?? [])],
  };
}

/** What came of the copies off-site that follow a backup. */
function shipped(run: EndedRun, now: number): PromptChange {
  if (run.exit === EXIT.remote) return { failed: ['ship'] };
  return run.exit === EXIT.ok && isRecord(field(run, 'shipped')) ? { times: { shipped: now }, well: ['ship'] } : {};
}

function within(run: EndedRun, name: string): EndedRun {
  return { ...run, result: field(run, name) };
}

function saved(run: EndedRun, now: number): PromptChange {
  const age = field(run, 'age_seconds');
  const recent = field(run, 'outcome') === 'recent' && typeof age === 'number';
  // A save that was not due says nothing of losses either.
  if (recent) return { times: { saved: now - age }, well: ['save'] };
  const losses = field(run, 'losses');
  const lost = field(run, 'status') === 'suspect' || (Array.isArray(losses) && losses.length > 0);
  return { times: { saved: now }, well: lost ? ['save'] : ['save', 'lost'], failed: lost ? ['lost'] : [] };
}

function health({ result, exit }: EndedRun): PromptChange {
  if (!isRecord(result) || !Array.isArray(result['checks'])) return {};
  const checks = result['checks'].filter(isRecord);
  const level = (name: string) => checks.filter((check) => check['name'] === name).map((check) => check['level']);
  const bad = checks.filter((check) => check['level'] === 'warning' || check['level'] === 'critical');
  const warn = [...new Set(bad.flatMap(({ name }) => (typeof name === 'string' && /^[a-z-]+$/.test(name) ? [name] : [])))];
  const critical = result['health'] === 'critical' || exit === EXIT.damaged || exit === EXIT.tooOld;
  const fine = (name: string) => level(name).length > 0 && level(name).every((each) => each === 'ok');
  const well = [
    ...(critical ? [] : ['health' as const]),
    ...(fine('verify') ? ['verify' as const] : []),
    ...(fine('losses') ? ['lost' as const] : []),
  ];
  return { warn, failed: critical ? ['health'] : [], well };
}

function field({ result }: EndedRun, name: string): unknown {
  return isRecord(result) ? result[name] : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
