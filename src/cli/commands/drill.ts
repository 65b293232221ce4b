// `cora drill`.

import { drill } from '../../actions/drill.ts';
import { parseSample } from '../../actions/drill-sample.ts';
import { type Bytes, isText, toText } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import type { Outcome, Session } from '../command.ts';
import { counted } from '../render.ts';
import { drillDocument, drillLines } from '../render-drill.ts';

type Options = { readonly sample?: string; readonly maxDuration?: number; readonly scratch?: Bytes };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const [target] = [...args, ...paths];
  const sample = options.sample === undefined ? undefined : parseSample(options.sample);
  const asked = options.scratch === undefined ? undefined : session.absolute(options.scratch);
  if (asked !== undefined && !isText(asked))
    throw new CoraError('usage', 'The name of the scratch directory is not UTF-8', { hint: 'name another one' });
  const { project, location } = await session.open();
  const temporary = session.machine.env('TMPDIR');
  const parents = [...(temporary?.startsWith('/') === true ? [temporary] : []), '/var/tmp', '/tmp'];
  const result = await drill(
    project,
    location,
    {
      target: target === undefined ? undefined : toText(target),
      sample,
      maxDuration: options.maxDuration,
      scratch: { parents, asked: asked === undefined ? undefined : toText(asked) },
    },
    session.machine,
    session.ctx,
  );
  const document = drillDocument(result);
  const lines = drillLines(result);
  if (result.damaged.length > 0) {
    const message = `${counted(new Set(result.damaged.map(({ path }) => path)).size, 'damaged file')} found: ${result.id} does not come back whole`;
    return {
      result: document,
      lines,
      failure: { code: 'damaged', message, hint: 'the lines above name them', details: document },
      problems: result.problems,
    };
  }
  const late = result.rto.met === false || result.rpo.met === false;
  const proven = result.outcome === 'ok' && !late;
  return { result: document, lines, summary: proven, exitCode: proven ? EXIT.ok : EXIT.incomplete, problems: result.problems };
}

type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };
