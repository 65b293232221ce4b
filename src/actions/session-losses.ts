// What went in the last session of an AI assistant besides what the loss watch names: files that are gone, uncommitted work that
// went back to what it was before, `.env` files with another content. Read out of the saves that the hooks made;
// it judges nothing, because an assistant may delete what it was asked to. Invariant: what is there again is not named.

import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { type Bytes, basenameBytes, dirnameBytes, fsPath, joinBytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { unescapeField } from '../format/file-list.ts';
import type { Report } from '../format/report.ts';
import { committedFiles } from '../source/git-blobs.ts';
import { compilePatterns } from '../source/patterns.ts';
import { listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import type { History } from '../vault/history.ts';
import { timeOfId } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import { type Place, restorePathsCommand } from './loss-text.ts';
import type { ProjectFacts } from './open-project.ts';
import { eachRow, historyOf, type KeyedRow } from './path-history.ts';

/** The note of the save that hooks/agent makes when a session starts. */
const SESSION_START = 'session start';
const LONGEST_AGO_MS = 7 * 86_400_000;
/** Paths of one command: terminals and kernels take so many words. */
const MOST_PATHS = 200;

export type SessionLosses = {
  readonly since: string;
  /** A directory stands for all below it that went with it. */
  readonly gone: readonly Bytes[];
  readonly wentBack: readonly Bytes[];
  readonly overwritten: readonly Bytes[];
  /** One line for sh each, to be typed as it is; together they bring all of it back. */
  readonly restore: readonly string[];
};

/** @param known paths that are named already @returns undefined where no session is known, or nothing went */
export async function sessionLosses(
  project: ProjectFacts,
  vault: Vault,
  known: ReadonlySet<Bytes>,
  ctx: Context,
): Promise<SessionLosses | undefined> {
  const start = lastStart(vault, ctx.now());
  if (start === undefined) return undefined;
  const history = await historyOf(vault);
  const from = history.steps.findIndex(({ id }) => id === start.id);
  if (from < 0) return undefined;
  const judge = new Judge(vault, project, history, from, known, await committedFiles(project.root));
  const found = [...rowsSince(history, from)].flatMap(([key, rows]) => {
    const path = unescapeField(key);
    return (known.has(path) ? judge.lookAtNamed(path, rows) : judge.look(path, rows)) ?? [];
  });
  const gone = new Map(found.filter(({ kind }) => kind === 'gone').map(({ path, id }) => [path, id]));
  const wanted = found.filter(({ path, kind, id }) => kind !== 'gone' || gone.get(dirnameBytes(path)) !== id);
  if (wanted.length === 0) return undefined;
  const paths = (kind: Found['kind']) => wanted.filter((one) => one.kind === kind).map(({ path }) => path);
  return {
    since: start.id,
    gone: paths('gone'),
    wentBack: paths('went-back'),
    overwritten: paths('overwritten'),
    restore: commands(wanted, { root: project.root, vault }),
  };
}

function lastStart(vault: Vault, now: number): SnapshotRef | undefined {
  for (const ref of listSnapshots(vault).toReversed()) {
    if (now - timeOfId(ref.id) > LONGEST_AGO_MS) return undefined;
    const report = ref.kind === 'save' ? tryReport(vault, ref) : undefined;
    if (report?.note === SESSION_START && report.trigger === 'assistant') return ref;
  }
  return undefined;
}

/** Of each path that changed in the session all that the history says, oldest first. */
function rowsSince(history: History, from: number): Map<string, KeyedRow[]> {
  const all = new Map<string, KeyedRow[]>();
  for (const { key } of eachRow(history, from + 1)) all.set(key, []);
  for (const row of eachRow(history)) all.get(row.key)?.push(row);
  return all;
}

type Found = {
  readonly path: Bytes;
  readonly kind: 'gone' | 'went-back' | 'overwritten';
  readonly id: string;
  readonly step: number;
  readonly isDirectory: boolean;
};

class Judge {
  readonly #vault: Vault;
  readonly #project: ProjectFacts;
  readonly #history: History;
  readonly #from: number;
  readonly #known: ReadonlySet<Bytes>;
  readonly #isCommitted: (path: Bytes) => boolean;
  readonly #isCritical: (path: Bytes, isDirectory: boolean) => boolean;
  readonly #reports = new Map<number, Report | undefined>();

  constructor(vault: Vault, project: ProjectFacts, history: History, from: number, known: ReadonlySet<Bytes>, isCommitted: (path: Bytes) => boolean) {
    this.#vault = vault;
    this.#project = project;
    this.#history = history;
    this.#from = from;
    this.#known = known;
    this.#isCommitted = isCommitted;
    this.#isCritical = compilePatterns(project.config.critical.patterns);
  }

  look(path: Bytes, rows: readonly KeyedRow[]): Found | undefined {
    const last = rows.at(-1);
    if (path === '.' || last === undefined) return undefined;
    const wentBack = this.#thrownAway(rows);
    const thrownAway = wentBack >= 0 ? wentBack : this.#reset(path, rows);
    if (last.row === undefined) return this.#gone(path, rows, thrownAway);
    const index = thrownAway >= 0 ? thrownAway : /^\.env/.test(basenameBytes(path)) ? this.#changed(rows) : -1;
    const found = this.#found(path, rows, index, thrownAway >= 0 ? 'went-back' : 'overwritten');
    return found !== undefined && this.#isStill(path, contentOf(last.row)) ? found : undefined;
  }

  /** What the loss watch names as gone comes back as it was last; work that a reset took before that is older. */
  lookAtNamed(path: Bytes, rows: readonly KeyedRow[]): Found | undefined {
    if (rows.at(-1)?.row !== undefined) return undefined;
    return this.#found(path, rows, this.#thrownAway(rows), 'went-back');
  }

  #gone(path: Bytes, rows: readonly KeyedRow[], thrownAway: number): Found | undefined {
    const index = thrownAway >= 0 ? thrownAway : rows.findLastIndex(({ row }) => row !== undefined);
    const found = this.#found(path, rows, index, 'gone');
    const isDirectory = typeOf(rows[index]?.row) === 'd';
    // The loss watch names what is critical, and knows what a person accepted.
    if (found === undefined || this.#isCritical(path, isDirectory) || (isDirectory && this.#holdsNamed(path, found.step))) return undefined;
    const isThere = lstatSync(fsPath(joinBytes(this.#project.root, path)), { throwIfNoEntry: false }) !== undefined;
    return isThere ? undefined : { ...found, isDirectory };
  }

  #found(path: Bytes, rows: readonly KeyedRow[], index: number, kind: Found['kind']): Found | undefined {
    const step = index < 0 ? undefined : this.#newestOf(rows, index);
    const id = step === undefined ? undefined : this.#history.steps[step]?.id;
    return step === undefined || id === undefined || this.#isDatabase(path, step) ? undefined : { path, kind, id, step, isDirectory: false };
  }

  /**
   * Work of the session that went back to a content of before it, as `git reset --hard` and `git stash drop` do; -1 where there is none. With
   * another commit checked out git has what it brought, and a restore gives a file its former time as well.
   */
  #thrownAway(rows: readonly KeyedRow[]): number {
    const contents = rows.map(({ row }) => contentOf(row));
    const first = new Map(contents.map((content, index) => [content, index] as const).toReversed());
    const final = new Map(contents.map((content, index) => [content, index]));
    const isThere = rows.at(-1)?.row !== undefined;
    for (let index = rows.length - 2; index > 0; index--) {
      const [work, back] = [rows[index], rows[index + 1]];
      if (work === undefined || back === undefined || back.step <= this.#from) return -1;
      const [content, older] = [contents[index], contents[index + 1]];
      if (content === undefined || older === undefined || content === older) continue;
      // All its time in one piece: what comes and goes is no work that was thrown away.
      const begin = first.get(content) ?? index;
      if (final.get(content) !== index || contents.slice(begin, index).some((one) => one !== content)) continue;
      if ((first.get(older) ?? begin) >= begin) continue;
      if (isThere && contents.at(-1) !== older) continue;
      const wasRestored = rows.slice(0, index).some(({ row }, at) => contents[at] === older && timeOf(row) === timeOf(back.row));
      if (wasRestored) continue;
      if (this.#isSameCommit(rows, index, back.step)) return index;
    }
    return -1;
  }

  /** The same where the former content is in no save: the file is what the commit has that was checked out all the while. */
  #reset(path: Bytes, rows: readonly KeyedRow[]): number {
    const last = rows.at(-1);
    const index = this.#changed(rows);
    const work = rows[index];
    if (work === undefined || last?.row === undefined || !this.#isSameCommit(rows, index, last.step)) return -1;
    return this.#isCommitted(path) ? index : -1;
  }

  /** The newest other content that a file had in the session; -1 where there was none, or it was restored. */
  #changed(rows: readonly KeyedRow[]): number {
    const last = rows.at(-1);
    const content = contentOf(last?.row);
    if (content === undefined || rows.slice(0, -1).some(({ row }) => contentOf(row) === content && timeOf(row) === timeOf(last?.row))) return -1;
    const index = rows.findLastIndex(({ row }) => contentOf(row) !== undefined && contentOf(row) !== content);
    return (rows[index + 1]?.step ?? 0) > this.#from ? index : -1;
  }

  /** The newest snapshot of the vault that has a path as one of its rows says. */
  #newestOf(rows: readonly KeyedRow[], index: number): number | undefined {
    const first = rows[index]?.step ?? 0;
    for (let step = (rows[index + 1]?.step ?? this.#history.steps.length) - 1; step >= first; step--)
      if (this.#history.steps[step]?.isThere === true) return step;
    return undefined;
  }

  #report(step: number): Report | undefined {
    if (!this.#reports.has(step)) {
      const ref = this.#history.steps[step]?.ref;
      this.#reports.set(step, ref === undefined ? undefined : tryReport(this.#vault, ref));
    }
    return this.#reports.get(step);
  }

  /** Whether the commit that was checked out when work was last saved still was in a later step. */
  #isSameCommit(rows: readonly KeyedRow[], index: number, later: number): boolean {
    const step = this.#newestOf(rows, index);
    return step !== undefined && this.#report(step)?.git?.sha === this.#report(later)?.git?.sha;
  }

  /** What has a command of its own below: a database does not come back without words that a directory does not take. */
  #holdsNamed(directory: Bytes, step: number): boolean {
    const databases = (this.#report(step)?.databases ?? []).map(({ path }) => Buffer.from(path).toString('latin1'));
    return [...this.#known, ...databases].some((path) => path.startsWith(`${directory}/`));
  }

  /** The loss watch counts their rows. */
  #isDatabase(path: Bytes, step: number): boolean {
    const text = Buffer.from(path, 'latin1').toString();
    return this.#report(step)?.databases.some((database) => database.path === text) === true;
  }

  /** Whether a file has now what the newest save has of it; of a large one that is not asked. */
  #isStill(path: Bytes, content: string | undefined): boolean {
    if (content === undefined || content.startsWith('~')) return content !== undefined;
    try {
      return (
        createHash('sha256')
          .update(readFileSync(fsPath(joinBytes(this.#project.root, path))))
          .digest('hex') === content
      );
    } catch {
      return false;
    }
  }
}

const timeOf = (row: string | undefined) => row?.split('\t')[5];

const typeOf = (row: string | undefined) => row?.split('\t')[1];

/** The hash of a regular file's content; undefined for everything else. */
function contentOf(row: string | undefined): string | undefined {
  const fields = row?.split('\t') ?? [];
  return fields[1] === 'f' || fields[1] === 'S' ? fields[7] : undefined;
}

/** What comes from one snapshot together. Directories first: a file below may come from an older one. */
function commands(found: readonly Found[], place: Place): string[] {
  const byId = new Map<string, Bytes[]>();
  const order = (one: Found) => (one.isDirectory ? `1 ${one.id}` : `2 ${one.id}`);
  for (const one of found.toSorted((a, b) => (order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0)))
    byId.set(order(one), [...(byId.get(order(one)) ?? []), one.path]);
  return [...byId].flatMap(([key, paths]) => {
    const parts: string[] = [];
    for (let at = 0; at < paths.length; at += MOST_PATHS) parts.push(restorePathsCommand(key.slice(2), paths.slice(at, at + MOST_PATHS), place));
    return parts;
  });
}
