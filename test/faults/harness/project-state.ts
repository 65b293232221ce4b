// A project as a person sees it: files byte for byte, databases by their rows. A restore that was taken back may have
// written the -wal of a database into its file; that is the same content in other bytes.

import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { recordProject } from '../../../src/actions/judge.ts';
import type { TreeRecord } from '../../../src/actions/judge-tree.ts';

const DATABASE = 'app.db';

/** Everything but the database, and the directory's own line. */
export function files(directory: string): Map<string, string> {
  return new Map([...recordProject(directory)].filter(([path]) => !path.startsWith(DATABASE) && path !== '.'));
}

/** Files, and the database's rows as one more line. */
export function projectState(directory: string): TreeRecord {
  return new Map([...files(directory), [DATABASE, textsOf(join(directory, DATABASE)).join('|')]]);
}

/** How many rows a database holds, those in its -wal included; -1 where it is not there. */
export function rows(path: string): number {
  return textsOf(path)[0] === NOTHING ? -1 : textsOf(path).length;
}

const NOTHING = 'nothing there';

/** Read from a copy: a look must not change what is looked at. */
function textsOf(path: string): string[] {
  if (!existsSync(path)) return [NOTHING];
  const scratch = mkdtempSync(join(tmpdir(), 'cora-faults-rows-'));
  try {
    for (const end of ['', '-wal', '-journal']) if (existsSync(path + end)) copyFileSync(path + end, join(scratch, `copy${end}`));
    const database = new Database(join(scratch, 'copy'));
    try {
      return database.prepare('SELECT text FROM note ORDER BY rowid').pluck().all() as string[];
    } finally {
      database.close();
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
