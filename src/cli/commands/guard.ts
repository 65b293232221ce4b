// `cora guard`: the command runs in the caller's own place, and its exit code is ours.

import { describeEnding, type Ending, type GuardResult, guard } from '../../actions/guard.ts';
import type { SnapshotChanges } from '../../actions/snapshot-changes.ts';
import { type Bytes, isText, toText } from '../../base/bytes.ts';
import { CoraError, errnoOf, messageOf } from '../../base/errors.ts';
import { isInForeground, runForeground, signalNumber } from '../../os/run.ts';
import { type ArtefactOptions, artefactChoice } from '../artefact-flags.ts';
import type { Outcome, Session } from '../command.ts';
import { visible } from '../render.ts';
import { changeLines, guardDocument, rollBackCommand, rollBackLines } from '../render-guard.ts';

type Options = {
  readonly rollback?: 'ask' | 'auto' | 'never';
  readonly rollbackDelete?: boolean;
  readonly message?: string;
  readonly trigger?: string;
} & ArtefactOptions;
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

/** What a terminal sends to a whole process group by itself. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT']);

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const [label, ...more] = args.map(toText);
  if (label === undefined || label.trim() === '' || more.length > 0 || paths.length === 0) {
    throw new CoraError('usage', more.length > 0 ? `guard takes one label, not ${args.length}` : 'guard needs a label and, after --, a command', {
      hint: 'cora guard LABEL -- COMMAND ARGS...',
    });
  }
  if (!paths.every(isText)) throw new CoraError('usage', 'An argument of the command is not UTF-8', { hint: 'put the command into a script' });
  const argv = paths.map(toText);
  const { project, location } = await session.open();
  const say = (lines: readonly string[]) => {
    if (session.globals.quiet !== true) session.show(lines);
  };
  const result = await guard(
    project,
    location,
    {
      label,
      // Its arguments may hold a password; a note is for ever.
      note: options.message ?? `before ${argv[0]?.split('/').at(-1) ?? ''}`,
      trigger: options.trigger ?? 'guard',
      artefacts: artefactChoice(options, session.machine),
      deleteAdded: options.rollbackDelete === true,
    },
    {
      backedUp: (id, path) => say([`guard: backup ${id} [${visible(label)}] is in ${visible(path)}; now: ${visible(argv.join(' '))}`]),
      runCommand: () => runCommand(argv, session),
      wantsRollBack: async (ending, changes, id) => {
        say(summaryLines(ending, changes));
        return wantsRollBack(id, options, session);
      },
    },
    session.machine,
    session.ctx,
  );
  if (result.rollBack.outcome === 'not_needed') say(summaryLines(result.ending, result.changes));
  // A roll back that is left to the caller, or failed, is said with --quiet too.
  const lines = rollBackLines(result, options.rollbackDelete === true);
  if (result.rollBack.outcome === 'done') say(lines);
  else session.show(lines);
  return outcomeOf(result, argv, options);
}

const summaryLines = (ending: Ending, changes: SnapshotChanges | undefined) => [
  `guard: ${describeEnding(ending)} after ${ending.seconds.toFixed(1)} s`,
  ...changeLines(changes),
];

async function wantsRollBack(id: string, { rollback, rollbackDelete }: Options, session: Session): Promise<boolean> {
  if (rollback === 'auto') return true;
  if (rollback === 'never' || !session.interactive) return false;
  session.show([`Roll back means: ${rollBackCommand(id, rollbackDelete === true)}`]);
  return session.confirmInPerson('Roll back now? What uses the databases must be stopped.');
}

/** Never throws: the backup is made, and whatever happens is how the command ended. */
async function runCommand(argv: readonly string[], session: Session): Promise<Ending> {
  const begun = performance.now();
  const seconds = () => Math.round(performance.now() - begun) / 1000;
  let send: ((signal: NodeJS.Signals) => void) | undefined;
  const release = session.handSignalsTo((signal) => {
    if (!(FROM_TERMINAL.has(signal) && isInForeground())) send?.(signal);
  });
  try {
    const { exitCode, signal } = await runForeground(argv[0] ?? '', argv.slice(1), {
      env: environmentOf(session),
      asCaller: session.machine.asCaller,
      stdout: session.globals.json === true ? 'stderr' : 'inherit',
      started: (sender) => {
        send = sender;
      },
    });
    return { exitCode: exitCode ?? 128 + signalNumber(signal), signal, seconds: seconds() };
  } catch (error) {
    return { exitCode: errnoOf(error) === 'ENOENT' ? 127 : 126, signal: null, seconds: seconds(), error: messageOf(error) };
  } finally {
    release();
  }
}

/** The caller's own, without what bin/cora sets for Cora's own memory. */
function environmentOf({ machine }: Session): Record<string, string> {
  const entries = Object.entries(machine.environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^MALLOC_(ARENA_MAX|MMAP_THRESHOLD_|TRIM_THRESHOLD_)$/.test(entry[0]),
  );
  return Object.fromEntries(entries);
}

function outcomeOf(result: GuardResult, argv: readonly string[], options: Options): Outcome {
  return {
    result: guardDocument(result, argv, options.rollbackDelete === true),
    lines: [],
    exitCode: result.ending.exitCode,
    problems: result.problems,
  };
}
