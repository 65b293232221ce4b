// The command line of the benchmark. Unknown flags and names are errors, not silence.

import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';

export type Options = {
  readonly quick: boolean;
  readonly keep: boolean;
  /** Where the directory of this run is made. */
  readonly directory: string;
  readonly only: readonly string[] | undefined;
  readonly tools: readonly string[] | undefined;
  /** Rounds of every step; undefined for the default. */
  readonly repeat: number | undefined;
  readonly json: string | undefined;
  readonly help: boolean;
};

export const HELP = `npm run bench -- [options]
  --quick           data sets of an eighth of the size, about two minutes
  --only A,B        these data sets: A small files, B a database, C a log and random bytes
  --tools cora,restic   these tools: cora, restic, borg-lz4, borg-zstd (borg for both), tar-pigz
  --repeat N        run every step N times and take the median (default: 1, in a full run 3 for the short steps)
  --dir DIR         make the data there instead of in the directory for temporary files
  --keep            leave data sets and repositories behind
  --json FILE       write all samples, figures and ratios
`;

/** @throws TypeError with a sentence for a person */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      dir: { type: 'string' },
      only: { type: 'string' },
      tools: { type: 'string' },
      repeat: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const only = values.only?.toUpperCase().split(',');
  const unknown = only?.find((name) => !['A', 'B', 'C'].includes(name));
  if (unknown !== undefined) throw new TypeError(`There is no data set ${unknown}: A, B or C`);
  const repeat = values.repeat === undefined ? undefined : Number(values.repeat);
  if (repeat !== undefined && !(Number.isInteger(repeat) && repeat > 0)) throw new TypeError('--repeat wants a whole number above 0');
  return {
    quick: values.quick,
    keep: values.keep,
    directory: values.dir ?? tmpdir(),
    only,
    tools: values.tools?.split(','),
    repeat,
    json: values.json,
    help: values.help,
  };
}
