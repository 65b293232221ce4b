// The files of a backup, made in its staging directory from objects: plain copies of critical files
// and databases, git's state, the archive, the listing. Each is hashed while it is written.

import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { isArtefactPath } from '../base/artefact.ts';
import { type Bytes, bytes, dirnameBytes, fromText, fsPath, joinBytes, printable, toBuffer, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { type Entry, escapeField, FILES_HEADER, formatEntry, listingBytes, sortedRows } from '../format/file-list.ts';
import type { DatabaseReport, GitReport, Report, UnitReport } from '../format/report.ts';
import { attributedFiles } from '../os/attribute-names.ts';
import { writeNewFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import type { CopyCheck } from '../os/sqlite.ts';
import { countChromaDocuments, findUnits } from '../source/databases.ts';
import { captureGitState } from '../source/git-state.ts';
import { compilePatterns } from '../source/patterns.ts';
import { writeArchive } from '../store/archive.ts';
import type { WorkerPool } from '../store/pool.ts';
import { NAMES } from '../vault/layout.ts';
import type { StagedFile } from '../vault/snapshot.ts';
import { archiveName } from './backup-names.ts';
import { contentOf } from './contents.ts';
import type { ProjectFacts } from './open-project.ts';
import { settleAll, stopIfAborted } from './settle.ts';

export type ExportRequest = {
  readonly stage: string;
  readonly project: ProjectFacts;
  readonly entries: readonly Entry[];
  readonly databases: readonly DatabaseReport[];
  /** Paths as text, databases included. */
  readonly critical: ReadonlySet<string>;
  readonly pool: WorkerPool;
};

export type Exported = {
  readonly files: readonly StagedFile[];
  readonly databases: readonly DatabaseReport[];
  readonly units: readonly UnitReport[];
  readonly git: GitReport | null;
  readonly capped: Report['capped'];
  readonly attributesLost: Report['attributes_lost'];
  readonly problems: readonly Problem[];
  readonly archiveSeconds: number;
};

/** Under this size a repository is bundled whole. */
const FULL_BUNDLE_BELOW = 200_000_000;
/** The kernel takes 4,096 bytes of path in one call; the vault's own path comes before this one. */
const PLAIN_PATH_LIMIT = 3000;

export class Export {
  readonly #request: ExportRequest;
  readonly #ctx: Context;
  readonly #files: StagedFile[] = [];
  readonly #problems: Problem[] = [];
  /** sha256 of the whole content by path, of files that are cut in saves. */
  readonly #whole = new Map<string, string>();
  readonly #documents = new Map<string, number>();

  constructor(request: ExportRequest, ctx: Context) {
    this.#request = request;
    this.#ctx = ctx;
  }

  /** @throws CoraError db_integrity_check_failed, db_open_failed, damaged, no_space */
  async perform(): Promise<Exported> {
    const databases = await this.#exportPlain();
    const git = await this.#exportGit();
    const archive = await this.#writeArchive();
    this.#writeListing();
    return {
      files: this.#files,
      databases,
      units: this.#units(),
      git,
      capped: archive.capped,
      attributesLost: this.#attributesLost(),
      problems: this.#problems,
      archiveSeconds: archive.seconds,
    };
  }

  /** Named one by one in the report, and together in one warning. */
  #attributesLost(): Report['attributes_lost'] {
    const { project, entries } = this.#request;
    const paths = entries.filter(({ type, path }) => 'fSd'.includes(type) && !isArtefactPath(path)).map(({ path }) => path);
    const lost = attributedFiles(project.root, paths)?.map(({ path, names }) => ({ ...pathFields(path), names }));
    if (lost === undefined || lost.length === 0) return lost;
    const some = lost.slice(0, 3).map(({ path }) => printable(path));
    const more = lost.length > some.length ? ` and ${lost.length - some.length} more` : '';
    const problem: Problem = {
      code: 'attributes_lost',
      message: `Extended attributes, ACLs and capabilities are not kept, and these have some: ${some.join(', ')}${more} (attributes_lost in REPORT.json; getfattr -R -d -m - . > FILE keeps them, setfattr --restore=FILE sets them again)`,
      severity: 'warning',
    };
    this.#problems.push(problem);
    this.#ctx.monitor.problem(problem);
    return lost;
  }

  /** Plain copies, and the hash of every cut file whether it has a copy or not. */
  async #exportPlain(): Promise<DatabaseReport[]> {
    const reports = new Map(this.#request.databases.map((report) => [report.path, report]));
    const checks: { target: string; report: DatabaseReport; keep: boolean }[] = [];
    const made = new Set<string>();
    await settleAll(
      this.#request.entries
        .filter(({ type }) => type === 'f' || type === 'S')
        .map(async (entry) => {
          const shown = toText(entry.path);
          const report = reports.get(shown);
          const plain = report !== undefined ? NAMES.db : this.#request.critical.has(shown) ? NAMES.critical : undefined;
          const tooLong = entry.path.length > PLAIN_PATH_LIMIT;
          if (plain !== undefined && tooLong) this.#noPlainCopy(entry.path);
          if (plain === undefined || tooLong) {
            if (entry.sha256 === undefined) this.#whole.set(entry.path, (await this.#export(entry, undefined)).sha256);
            return;
          }
          const keep = report === undefined || entry.size <= this.#request.project.config.dbPlainMax;
          const relative = joinBytes(bytes(keep ? plain : 'large-database'), entry.path);
          const target = joinBytes(fromText(this.#request.stage), relative);
          makeParents(target, made);
          const { sha256, size } = await this.#export(entry, target);
          if (size !== entry.size || (entry.sha256 !== undefined && entry.sha256 !== sha256)) {
            throw new CoraError('validation_failed', `The stored bytes of ${shown} are not the captured ones`, { hint: 'cora verify --all --deep' });
          }
          this.#whole.set(entry.path, sha256);
          if (keep) this.#files.push({ path: relative, size, sha256 });
          if (report !== undefined) checks.push({ target, report, keep });
        }),
    );
    for (const { target, report, keep } of checks) {
      reports.set(report.path, { ...(await this.#checkDatabase(target, report)), plain: keep });
      if (!keep) onPath(bytes(target), (path) => rmSync(path));
    }
    rmSync(`${this.#request.stage}/large-database`, { recursive: true, force: true });
    return [...reports.values()];
  }

  #noPlainCopy(path: Bytes): void {
    const message = 'Its path is too long for a plain copy that sha256sum and cp can reach; it is in the archive only';
    const problem: Problem = { code: 'no_plain_copy', ...pathFields(path), message, severity: 'warning' };
    this.#problems.push(problem);
    this.#ctx.monitor.problem(problem);
  }

  async #export(entry: Entry, target: string | undefined): Promise<{ sha256: string; size: number }> {
    stopIfAborted(this.#ctx);
    return this.#request.pool.run({ kind: 'export-file', target, content: contentOf(entry), sync: false });
  }

  /** The full check of the copy that is about to be sealed. Raw copies are what they were and are not checked. */
  async #checkDatabase(target: string, report: DatabaseReport): Promise<DatabaseReport> {
    if (report.stored === 'raw') return report;
    const path = toBuffer(bytes(target));
    let checked: CopyCheck;
    try {
      checked = await this.#request.pool.run({ kind: 'check-database', path, check: 'integrity_check' });
    } catch (error) {
      throw new CoraError('db_open_failed', `The copy of ${report.path} cannot be opened`, {
        hint: 'check the database (sqlite3 FILE "PRAGMA integrity_check"), then run the command again',
        cause: error,
      });
    }
    if (checked.result !== 'ok') {
      throw new CoraError('db_integrity_check_failed', `The copy of ${report.path} fails integrity_check: ${checked.result.slice(0, 200)}`, {
        hint: 'check the database (sqlite3 FILE "PRAGMA integrity_check"), then run the command again',
      });
    }
    const documents = target.endsWith('/chroma.sqlite3') ? await countChromaDocuments(path) : undefined;
    if (documents !== undefined) this.#documents.set(report.path, documents);
    return {
      ...report,
      check: 'integrity_check',
      check_result: checked.unchecked === undefined ? checked.result : `${checked.result}, but not checked: ${checked.unchecked}`,
      rows: checked.rows,
      tables: checked.tables,
    };
  }

  #units(): UnitReport[] {
    return findUnits(this.#request.databases.map(({ path }) => fromText(path))).map((unit) => {
      const documents = this.#documents.get(unit.database);
      return documents === undefined ? unit : { ...unit, documents };
    });
  }

  async #exportGit(): Promise<GitReport | null> {
    const target = `${this.#request.stage}/${NAMES.git}`;
    mkdirSync(target, { mode: 0o700 });
    const state = await captureGitState(this.#request.project.root, target, this.#request.project.name, {
      fullBelow: FULL_BUNDLE_BELOW,
      signal: this.#ctx.signal,
    });
    if (state === undefined) {
      rmSync(target, { recursive: true, force: true });
      return null;
    }
    for (const problem of state.problems) {
      this.#problems.push(problem);
      this.#ctx.monitor.problem(problem);
    }
    this.#hashTree(bytes(NAMES.git));
    return state.report;
  }

  /** Adds every file below a staged directory that others have written. */
  #hashTree(relative: Bytes): void {
    const directory = joinBytes(fromText(this.#request.stage), relative);
    for (const entry of readdirSync(fsPath(directory), { withFileTypes: true, encoding: 'buffer' })) {
      const path = joinBytes(relative, Buffer.from(entry.name).toString('latin1'));
      if (entry.isDirectory()) this.#hashTree(path);
      else this.#files.push(hashStaged(this.#request.stage, path));
    }
  }

  async #writeArchive(): Promise<{ seconds: number; capped: Report['capped'] }> {
    this.#ctx.monitor.phase('archive');
    const { stage, project, entries, pool, critical } = this.#request;
    const name = archiveName(project.name);
    const isLog = compilePatterns(project.config.logs);
    const totalBytes = entries.reduce((sum, entry) => sum + (entry.type === 'h' ? 0 : entry.size), 0);
    const begun = performance.now();
    const result = await writeArchive(entries, {
      target: `${stage}/${name}`,
      pool,
      capOf: (entry) =>
        entry.size > project.config.logCap && !critical.has(toText(entry.path)) && isLog(entry.path, false) ? project.config.logCap : undefined,
      onProgress: (count) => this.#ctx.monitor.progress({ phase: 'archive', files: 0, totalFiles: entries.length, bytes: count, totalBytes }),
      signal: this.#ctx.signal,
    });
    this.#files.push({ path: fromText(name), size: result.size, sha256: result.sha256 });
    const capped = result.capped.map(({ path, size, stored }) => {
      const entry = entries.find((one) => one.path === path);
      return { path: toText(path), size, stored, sha256: this.#whole.get(path) ?? entry?.sha256 ?? '' };
    });
    return { seconds: (performance.now() - begun) / 1000, capped };
  }

  #writeListing(): void {
    const rows = new Map<string, string>();
    for (const entry of this.#request.entries) {
      const whole = this.#whole.get(entry.type === 'h' ? (entry.link ?? '') : entry.path) ?? entry.sha256;
      rows.set(escapeField(entry.path), formatEntry({ ...entry, sha256: whole, pieces: undefined }));
    }
    const content = gzipSync(listingBytes(FILES_HEADER, sortedRows(rows)), { level: 6 });
    writeNewFile(`${this.#request.stage}/${NAMES.backupListing}`, content);
    this.#files.push({ path: bytes(NAMES.backupListing), size: content.length, sha256: createHash('sha256').update(content).digest('hex') });
  }
}

function makeParents(path: Bytes, made: Set<string>): void {
  const directory = dirnameBytes(path);
  if (made.has(directory)) return;
  onPath(directory, (reachable) => mkdirSync(reachable, { recursive: true, mode: 0o700 }));
  made.add(directory);
}

function hashStaged(stage: string, path: Bytes): StagedFile {
  const full = fsPath(joinBytes(fromText(stage), path));
  const digest = createHash('sha256');
  const buffer = Buffer.allocUnsafe(1 << 20);
  const fd = openSync(full, 'r');
  try {
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer)) digest.update(buffer.subarray(0, count));
  } finally {
    closeSync(fd);
  }
  return { path, size: statSync(full).size, sha256: digest.digest('hex') };
}
