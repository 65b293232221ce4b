// Verifying a backup that another tool made, as far as what it has allows: its checksums, its archive to
// the end, its databases, its JSON. Says what was checked and what could not be. Invariant: nothing beside it is
// written; databases are opened only as copies in the vault's staging directory.

import { accessSync, constants, existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, fromBuffer, fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';
import { parseSums, type Sum } from '../format/checksums.ts';
import { freeBytes } from '../os/files.ts';
import { leadsOut, listTar, type TarMember, tame, unpackTar } from '../os/foreign-tar.ts';
import { onPath } from '../os/long-path.ts';
import { hashCold } from '../store/read-jobs.ts';
import type { AdoptedSnapshot } from '../vault/adopted.ts';
import { NAMES } from '../vault/layout.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import { checkDatabaseFile, isDatabaseName } from './adopted-database.ts';
import { stopIfAborted } from './settle.ts';
import type { Damage } from './verify-files.ts';

export type AdoptedCheck = {
  readonly snapshot: AdoptedSnapshot;
  /** Files that were read, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  readonly cold: boolean;
  readonly seconds: number;
  readonly damaged: readonly Damage[];
  /** What was checked, as sentences without a dot. */
  readonly checked: readonly string[];
  /** What could not be, and why. */
  readonly unchecked: readonly string[];
};

/** @throws CoraError interrupted, io where this user may not read it; damage is a result, not an error */
export async function verifyAdopted(vault: Vault, snapshot: AdoptedSnapshot, ctx: Context): Promise<AdoptedCheck> {
  const begun = performance.now();
  ctx.monitor.phase('verify');
  requireReadable(snapshot);
  const stage = openStage(vault);
  try {
    const checker = new AdoptedChecker(snapshot, fromText(stage.path), ctx);
    if (snapshot.layout === 'atlas') await checker.archive(snapshot.path);
    else if (snapshot.layout === 'cortex') await checker.databaseFile(snapshot.path);
    else if (snapshot.layout === 'cora') await checker.coraBackup();
    else await checker.atocoreSnapshot();
    return { snapshot, ...checker.result(), seconds: (performance.now() - begun) / 1000 };
  } finally {
    stage.release();
  }
}

/** What may not be read is not damaged, and nothing can be said of it. */
function requireReadable({ id, path }: AdoptedSnapshot): void {
  let at = path;
  try {
    accessSync(fsPath(at), constants.R_OK);
    for (const file of filesBelow(path)) {
      at = joinBytes(path, file);
      onPath(at, (reachable) => accessSync(reachable, constants.R_OK));
    }
  } catch (error) {
    throw new CoraError('io', `${toText(at)} cannot be read (${errnoOf(error) ?? messageOf(error)})`, {
      hint: `run it as the owner of ${id}`,
      cause: error,
    });
  }
}

class AdoptedChecker {
  readonly #root: Bytes;
  readonly #stage: Bytes;
  readonly #ctx: Context;
  readonly #damaged: Damage[] = [];
  readonly #checked: string[] = [];
  readonly #unchecked: string[] = [];
  #files = 0;
  #bytes = 0;
  #cold = true;
  #databases = 0;

  constructor(snapshot: AdoptedSnapshot, stage: Bytes, ctx: Context) {
    this.#root = snapshot.path;
    this.#stage = stage;
    this.#ctx = ctx;
  }

  result(): Omit<AdoptedCheck, 'snapshot' | 'seconds'> {
    const databases =
      this.#databases === 0 ? [] : [`${this.#databases} ${this.#databases === 1 ? 'database passes' : 'databases pass'} SQLite's integrity check`];
    return {
      files: this.#files,
      bytes: this.#bytes,
      cold: this.#cold,
      damaged: this.#damaged,
      checked: [...this.#checked, ...databases],
      unchecked: this.#unchecked,
    };
  }

  /** CORA-7's layout: everything that SHA256SUMS.txt names, the archive, the plain copies of databases. */
  async coraBackup(): Promise<void> {
    const files = filesBelow(this.#root);
    const named = this.#sums(files);
    for (const [path, sha256] of named) this.#hash(path, sha256);
    if (named.size > 0) this.#checked.push(`${named.size} ${named.size === 1 ? 'file has' : 'files have'} the sum that SHA256SUMS.txt says`);
    const loose = files.filter((path) => !named.has(path) && path !== NAMES.sums);
    if (named.size > 0 && loose.length > 0) {
      this.#unchecked.push(`${loose.length} of its files are not in SHA256SUMS.txt: ${loose.slice(0, 5).map(toText).join(', ')}`);
    }
    if (files.includes(bytes(NAMES.report))) this.#json(bytes(NAMES.report), 'metadata_invalid_json');
    const archive = files.find((path) => path.endsWith('-full.tar.gz') && !path.includes('/'));
    if (archive === undefined) this.#unchecked.push('there is no archive: it holds only its plain copies');
    else await this.archive(joinBytes(this.#root, archive));
    for (const path of files.filter((file) => file.startsWith(`${NAMES.db}/`))) await this.#database(path, false);
  }

  /** AtoCore's snapshot, with the words of ATO-3 for what is wrong. */
  async atocoreSnapshot(): Promise<void> {
    const files = filesBelow(this.#root);
    const metadata = files.filter((path) => !path.includes('/') && path.endsWith('.json'));
    if (metadata.length === 0) this.#damage(bytes('backup-metadata.json'), 'metadata_missing');
    for (const path of metadata) this.#json(path, 'metadata_invalid_json');
    const databases = files.filter((path) => path.startsWith('db/') && isDatabaseName(path));
    if (databases.length === 0) this.#damage(bytes('db'), 'db_snapshot_missing');
    for (const path of databases) await this.#database(path, true);
    for (const path of files.filter((file) => file.startsWith('config/') && file.endsWith('.json'))) this.#json(path, 'registry_invalid_json');
    const vectors = files.filter((path) => path.startsWith('chroma/'));
    for (const path of vectors.filter(isDatabaseName)) await this.#database(path, true);
    // The names that its metadata promises have to be there.
    if (metadata.some((path) => this.#promisesVectors(path)) && vectors.length === 0) this.#damage(bytes('chroma'), 'chroma_snapshot_missing');
    for (const path of files) if (!isDatabaseName(path)) this.#hash(path, undefined);
    this.#checked.push(`${files.length} files can be read`);
    this.#unchecked.push('no sums were recorded: a changed byte that neither SQLite nor JSON notices cannot be found');
  }

  /** Atlas' archive, or the one in CORA's backup: read to its end, and the databases in it checked. */
  async archive(archive: Bytes): Promise<void> {
    const name = archive === this.#root ? basenameBytes(archive) : bytes(archive.slice(this.#root.length + 1));
    const alone = archive === this.#root;
    let members: readonly TarMember[];
    try {
      if (alone) this.#hash(bytes(''), undefined);
      members = await listTar(archive, this.#ctx.signal);
    } catch (error) {
      if (error instanceof CoraError && error.code !== 'damaged') throw error;
      this.#damage(alone ? bytes('') : name, messageOf(error));
      return;
    }
    this.#checked.push(`the archive reads to its end (${members.length} entries)`);
    const out = members.find(leadsOut);
    if (out !== undefined) this.#damage(alone ? bytes('') : name, `it has an entry that leads out of it: ${toText(out.name)}`);
    if (alone) this.#unchecked.push("no sums were recorded: only gzip's own were checked");
    // CORA's databases have checked plain copies beside the archive.
    if (alone && out === undefined) await this.#databasesIn(archive, members);
  }

  async databaseFile(path: Bytes): Promise<void> {
    this.#hash(bytes(''), undefined);
    await this.#checkFile(path, bytes(''), true);
    this.#unchecked.push('no sums were recorded: a changed byte that SQLite does not notice cannot be found');
  }

  async #databasesIn(archive: Bytes, members: readonly TarMember[]): Promise<void> {
    const wanted = members.filter(({ type, path }) => type === '-' && /\.(?:db|sqlite3?)(?:-wal|-journal)?$/.test(path));
    const size = wanted.reduce((sum, member) => sum + member.size, 0);
    if (wanted.length === 0) return;
    if (size > freeBytes(toText(this.#stage)) * 0.9) {
      this.#unchecked.push(`its databases were not opened: there is no room in the vault for their ${size} bytes`);
      return;
    }
    try {
      await unpackTar(archive, this.#stage, { names: wanted.map(({ name }) => name), below: false }, this.#ctx.signal);
    } catch (error) {
      if (error instanceof CoraError && error.code !== 'damaged') throw error;
      this.#damage(bytes(''), messageOf(error));
      return;
    }
    tame(this.#stage);
    for (const { path } of wanted) {
      if (isDatabaseName(path)) await this.#checkFile(joinBytes(this.#stage, path), path, false);
    }
  }

  async #database(path: Bytes, must: boolean): Promise<void> {
    if (isDatabaseName(path)) await this.#checkFile(joinBytes(this.#root, path), path, must);
  }

  /** @param must a file that is no database is damage */
  async #checkFile(absolute: Bytes, shown: Bytes, must: boolean): Promise<void> {
    stopIfAborted(this.#ctx);
    const { state, reason } = await checkDatabaseFile(absolute, this.#stage);
    if (state === 'ok') this.#databases += 1;
    else if (state === 'damaged' || (state === 'foreign' && must)) this.#damage(shown, reason);
    else this.#unchecked.push(`${toText(shown)}: ${reason}`);
  }

  /** What SHA256SUMS.txt says of which file; relative to the backup, whatever form it has there. */
  #sums(files: readonly Bytes[]): Map<Bytes, string> {
    const named = new Map<Bytes, string>();
    if (!files.includes(bytes(NAMES.sums))) {
      this.#unchecked.push('there is no SHA256SUMS.txt');
      return named;
    }
    let sums: readonly Sum[] = [];
    try {
      sums = parseSums(readFileSync(fsPath(joinBytes(this.#root, NAMES.sums))));
    } catch (error) {
      this.#damage(bytes(NAMES.sums), messageOf(error));
    }
    for (const { path, sha256 } of sums) {
      // Made by `find . -exec sha256sum`, or with the directory's whole name.
      const own = basenameBytes(this.#root);
      const from = path.indexOf(`/${own}/`);
      const relative = bytes((path.startsWith('/') && from >= 0 ? path.slice(from + own.length + 2) : path).replace(/^(?:\.\/)+/, ''));
      if (relative.startsWith('/') || relative.split('/').includes('..'))
        this.#unchecked.push(`SHA256SUMS.txt names ${toText(path)}, which lies elsewhere`);
      else if (relative !== NAMES.sums) named.set(relative, sha256);
    }
    return named;
  }

  /** Reads a file past the cache; compares it where a sum is known. An empty path is the backup itself, where it is one file. */
  #hash(path: Bytes, sha256: string | undefined): void {
    stopIfAborted(this.#ctx);
    try {
      const read = hashCold({ kind: 'hash-cold', path: joinBytes(this.#root, path) });
      this.#files += 1;
      this.#bytes += read.size;
      this.#cold &&= read.cold;
      this.#ctx.monitor.progress({ phase: 'verify', files: this.#files, totalFiles: 0, bytes: this.#bytes, totalBytes: 0 });
      if (sha256 === undefined || read.sha256 === sha256) return;
      this.#damage(path, `its content changed (sha256 ${read.sha256.slice(0, 12)}..., recorded ${sha256.slice(0, 12)}...)`);
    } catch (error) {
      this.#damage(path, errnoOf(error) === 'ENOENT' ? 'it is missing' : messageOf(error));
    }
  }

  #json(path: Bytes, code: string): void {
    try {
      JSON.parse(readFileSync(fsPath(joinBytes(this.#root, path)), 'utf8'));
      this.#checked.push(`${toText(path)} parses`);
    } catch (error) {
      this.#damage(path, `${code}: ${messageOf(error)}`);
    }
  }

  #promisesVectors(metadata: Bytes): boolean {
    try {
      const value: unknown = JSON.parse(readFileSync(fsPath(joinBytes(this.#root, metadata)), 'utf8'));
      return typeof value === 'object' && value !== null && 'chroma_snapshot_included' in value && value.chroma_snapshot_included === true;
    } catch {
      return false;
    }
  }

  #damage(path: Bytes, reason: string): void {
    const file = toText(path === '' ? this.#root : joinBytes(this.#root, path));
    this.#damaged.push({ path: path === '' ? toText(basenameBytes(this.#root)) : toText(path), file, reason });
  }
}

/** Relative paths of all files below a directory, sorted; what is neither a file nor a directory is left out. */
export function filesBelow(root: Bytes): Bytes[] {
  if (!existsSync(fsPath(root))) return [];
  const found: Bytes[] = [];
  const visit = (relative: Bytes | undefined): void => {
    const directory = relative === undefined ? root : joinBytes(root, relative);
    for (const entry of readdirSync(fsPath(directory), { withFileTypes: true, encoding: 'buffer' })) {
      const path = relative === undefined ? fromBuffer(entry.name) : joinBytes(relative, fromBuffer(entry.name));
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile()) found.push(path);
    }
  };
  if (lstatSync(fsPath(root)).isDirectory()) visit(undefined);
  return found.sort();
}
