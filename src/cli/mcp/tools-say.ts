// What a user said, word for word: the same fixed rules as `cora say`. Invariant: a phrase never restores, not
// even a plan is kept from here; plan_restore and apply_restore are the one way.

import { z } from 'zod';
import { fromText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { run as runSay } from '../commands/say.ts';
import { DONE, doneFields, fieldsOf, flag, HEAD, headOf, listOf, text, textOf } from './fields.ts';
import { type Tool, tool } from './tool.ts';

const doTool = tool({
  name: 'do',
  title: 'Do what a phrase asks',
  description:
    'A phrase of the user in plain words, understood offline by fixed rules: "save our progress", "how big are our backups?", "back up and end the session". Reads and adds only; what it does not understand, and any restore or deletion, it refuses. Prefer the other tools where you know what is wanted.',
  // A backup that is asked for off-site, and the end of a session, reach the remotes that are configured.
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  command: 'say',
  inTurn: true,
  input: z.strictObject({ text: z.string().min(1).max(500).describe('as the user said it') }),
  output: z.object({ ...HEAD, intent: text(), command: text(), ok: flag(), lines: z.array(text()), ...DONE }),
  async run({ text: phrase }, session, call) {
    const args = [fromText(phrase)];
    const meant = fieldsOf((await runSay({ options: { explain: true }, args, paths: [] }, session)).result);
    const intents = [meant['intent'], ...listOf(fieldsOf(meant['slots'])['also'])];
    if (intents.includes('restore'))
      throw new CoraError('refused', 'Nothing was restored: a restore is planned first', { hint: 'plan_restore, then apply_restore' });
    // What means nothing is told by the rules themselves, with the nearest commands.
    const outcome = await runSay({ options: {}, args, paths: [] }, session);
    const result = fieldsOf(outcome.result);
    const last = listOf(result['steps']).length === 0 ? result : fieldsOf(fieldsOf(listOf(result['steps']).at(-1))['result']);
    const [only, ...more] = listOf(last['snapshots']).map(fieldsOf);
    const id = textOf(last['snapshot_id']) ?? (more.length === 0 ? textOf(only?.['snapshot_id']) : null);
    return {
      sentence: outcome.lines[0] ?? 'Done',
      lines: outcome.lines.slice(1),
      data: {
        ...(await headOf(id, session)),
        intent: meant['intent'],
        command: meant['command'],
        ok: outcome.failure === undefined,
        lines: outcome.lines.slice(0, 50),
        ...doneFields(outcome, call),
      },
      outcome,
    };
  },
});

export const SAY_TOOLS: readonly Tool[] = [doTool];
