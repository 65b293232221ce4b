// The three data sets of the benchmark, their sizes and their small change. Sizes are those of the
// budgets in the design; the quick ones are an eighth and only show that nothing got much worse.

import { changeDatabase, DATABASE_NAME, makeDatabase } from './data-database.ts';
import { changeSmallFiles, chooseOneFile, makeSmallFiles } from './data-files.ts';
import { growLog, LOG_NAME, makeLog } from './data-log.ts';

/** The name of a data set, as `--only` takes it. */
export type SetName = 'A' | 'B' | 'C';

export type DataSet = {
  readonly name: SetName;
  readonly title: string;
  /** Bytes, about; decides whether the restore fits into memory. */
  readonly bytes: number;
  /** Fills the directory, which does not exist yet. */
  readonly make: (directory: string, checkout: string) => void;
  /** Applies the small change; another seed changes other places. */
  readonly change: (directory: string, seed: number) => void;
  /** The relative path for the restore of one file; undefined where that step says nothing. */
  readonly oneFile: (directory: string) => string | undefined;
  /** A database compared by its rows. */
  readonly database?: string;
};

/** All data sets, in full or quick size. */
export function dataSets(quick: boolean): readonly DataSet[] {
  const files = quick ? 6000 : 49_000;
  const fileBytes = quick ? 65_000_000 : 529_000_000;
  const databaseBytes = quick ? 125_000_000 : 1_000_000_000;
  const logBytes = quick ? 25_000_000 : 200_000_000;
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  return [
    {
      name: 'A',
      title: `about ${files} small files, ${megabytes(fileBytes)}; change: 1 % of the files`,
      bytes: fileBytes,
      make: (directory, checkout) => makeSmallFiles(directory, files, fileBytes, checkout),
      change: (directory, seed) => changeSmallFiles(directory, 0.01, seed),
      oneFile: chooseOneFile,
    },
    {
      name: 'B',
      title: `a SQLite database, ${megabytes(databaseBytes)}; change: 0.1 % of the rows`,
      bytes: databaseBytes,
      make: (directory) => makeDatabase(directory, databaseBytes),
      change: (directory, seed) => changeDatabase(directory, 0.001, seed),
      oneFile: () => undefined,
      database: DATABASE_NAME,
    },
    {
      name: 'C',
      title: `a log of ${megabytes(logBytes)} and ${megabytes(logBytes)} of random bytes; change: the log grows by 1 %`,
      bytes: logBytes * 2,
      make: (directory) => makeLog(directory, logBytes),
      change: (directory, seed) => growLog(directory, 0.01, seed),
      oneFile: () => LOG_NAME,
    },
  ];
}
