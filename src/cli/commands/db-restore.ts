// `cora db restore`.

import { applyDatabaseRestore } from '../../actions/db-restore.ts';
import { planDatabaseRestore, previewDatabaseRestore } from '../../actions/db-restore-plan.ts';
import type { Bytes } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { exitCodeOf } from '../command.ts';
import { dbPreviewDocument, dbPreviewLines, dbRestoreDocument, dbRestoreLines } from '../render-database.ts';

/** As for `db backup`. */
const LOCK_WAIT_MS = 10_000;

type Options = { readonly db?: Bytes; readonly backup?: Bytes; readonly dryRun?: boolean; readonly force?: boolean };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const words = [...args, ...paths];
  const copy = options.backup ?? words.shift();
  const target = options.db ?? words.shift();
  const hint = 'cora db restore COPY --db TARGET';
  if (words.length > 0) throw new CoraError('usage', 'cora db restore takes one copy and one target', { hint });
  if (copy === undefined) throw new CoraError('usage', 'cora db restore needs a copy', { hint });
  if (target === undefined) throw new CoraError('usage', 'cora db restore needs a target: the database that the copy becomes', { hint });
  const asked = {
    copy: session.absolute(copy),
    target: session.absolute(target),
    force: options.force === true,
    timeout: session.globals.lockWait ?? LOCK_WAIT_MS,
  };
  const plan = planDatabaseRestore(asked, session.ctx);
  if (options.dryRun === true) {
    const preview = await previewDatabaseRestore(plan);
    return { result: dbPreviewDocument(plan, preview), lines: dbPreviewLines(plan, preview) };
  }
  const problems: Parameters<typeof exitCodeOf>[0][number][] = [];
  const { monitor } = session.ctx;
  const watching = {
    ...monitor,
    problem: (problem: (typeof problems)[number]) => {
      problems.push(problem);
      monitor.problem(problem);
    },
  };
  const result = await applyDatabaseRestore(plan, { ...session.ctx, monitor: watching });
  return { result: dbRestoreDocument(result), lines: dbRestoreLines(result), exitCode: exitCodeOf(problems) };
}
