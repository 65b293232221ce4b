// What git alone would lose, as files beside a backup: a bundle, the lists of untracked and ignored files,
// configuration without secrets, hooks, info/exclude, and the same for each submodule.
// Invariants: nothing is written below `.git`, nothing of the repository is run, and a repository that
// cannot be read is a problem of the backup, never its failure.

import { chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { type Bytes, base64Of, bytes, fromBuffer, fromText, fsPath, isText, joinBytes, printable, toBuffer, toText } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { CoraError, errnoOf, messageOf, writeFailure } from '../base/errors.ts';
import { escapeField } from '../format/file-list.ts';
import type { GitReport } from '../format/report.ts';
import { syncTreeDirectories, writeNewFile } from '../os/files.ts';
import { findRepository, type GitCall, type GitPlace, gitDirectoryOf, gitIn, gitOwn, readHead } from '../os/git.ts';
import { type Bundle, writeBundle } from './git-bundle.ts';
import { type ConfigEntry, isPartialClone, parseConfigList, redactedConfig, remotesOf } from './git-config.ts';
import { GitFailure, scratchBeside, succeeded } from './git-scratch.ts';
import { bundleText, statusText } from './git-text.ts';

export type GitStateOptions = {
  /** Bytes of object store below which the bundle holds everything, pushed or not. */
  readonly fullBelow: number;
  readonly signal: AbortSignal;
};

export type GitState = { readonly report: GitReport; readonly problems: readonly Problem[] };

const MINUTE = 60_000;
const LARGE_OUTPUT = 512 << 20;
const MAX_SUBMODULE_DEPTH = 5;
const MAX_SUBMODULES = 1000;
const MAX_LOCAL_FILE = 16 << 20;
const MAX_HOOK_DEPTH = 3;

/**
 * Writes the git state of the repository around a project into a directory: `<name>.bundle`, `bundle.txt`,
 * `status.txt`, `untracked.txt`, `ignored.txt`, `config`, `hooks/`, `info-exclude`, `submodules/`.
 * @param root the project, an absolute path; the lists are relative to it, the bundle is of the whole repository
 * @param target absolute path of an empty directory of ours; scratch lies beside it and is removed
 * @param name name of the bundle without its ending
 * @returns undefined outside a work tree; a repository without commits has the empty `sha`
 * @throws CoraError interrupted, and the vault's write errors (no_space, io)
 */
export async function captureGitState(root: Bytes, target: string, name: string, options: GitStateOptions): Promise<GitState | undefined> {
  const place = findRepository(root);
  if (place === undefined) return undefined;
  const capture = new Capture(target, options);
  try {
    const report = await capture.everything(place, root, name);
    syncTreeDirectories(target);
    return { report, problems: capture.problems };
  } catch (error) {
    if (options.signal.aborted) throw new CoraError('interrupted', 'Interrupted', { cause: error });
    throw writeFailure(error, target);
  }
}

class Capture {
  readonly problems: Problem[] = [];
  readonly #target: string;
  readonly #options: GitStateOptions;
  readonly #seen = new Set<Bytes>();
  readonly #names = new Set<string>();
  #scratches = 0;

  constructor(target: string, options: GitStateOptions) {
    this.#target = target;
    this.#options = options;
  }

  async everything(place: GitPlace, root: Bytes, name: string): Promise<GitReport> {
    this.#seen.add(place.gitDir);
    const where = bytes('.git');
    const config = await this.#local(place, this.#target, where);
    const untracked = await this.#list(place, root, 'untracked.txt', ['ls-files', '-z', '-o', '--exclude-standard']);
    const ignored = await this.#list(place, root, 'ignored.txt', ['ls-files', '-z', '-o', '-i', '--exclude-standard', '--directory']);
    const bundle = await this.#bundle(place, `${this.#target}/${name}`, where, config);
    const status = await this.#attempt('git status', where, async () => statusText(place, config, (args) => this.#ask(place, args)));
    if (status !== undefined) this.#write('status.txt', status);
    if (bundle !== undefined) this.#write('bundle.txt', bundleText(bundle, name, readHead(place).ref));
    // A repository inside the project that is no submodule: the walk leaves its .git out too.
    const embedded = (untracked ?? []).filter((path) => path.endsWith('/')).map((path) => ({ path: bytes(path.slice(0, -1)), sha: '' }));
    await this.#submodules(place.workTree, bytes(''), bundle?.submodules ?? [], 1);
    await this.#submodules(root, bytes(''), embedded, 1);

    const head = readHead(place);
    return {
      sha: head.sha ?? '',
      branch: head.ref?.startsWith('refs/heads/') === true ? toText(bytes(head.ref.slice('refs/heads/'.length))) : null,
      detached: head.ref === undefined && head.sha !== undefined,
      remotes: remotesOf(config).map((remote) => printable(remote)),
      bundle: bundle === undefined || bundle.kind === 'none' ? null : `${name}.bundle`,
      ...(untracked === undefined ? {} : { untracked: untracked.length }),
      ...(ignored === undefined ? {} : { ignored: ignored.length }),
    };
  }

  get #call(): GitCall {
    return { signal: this.#options.signal, timeout: 5 * MINUTE, maxBuffer: LARGE_OUTPUT };
  }

  /** What a reading command prints; undefined where it fails, and that is no problem. */
  async #ask(place: GitPlace, args: readonly string[]): Promise<Bytes | undefined> {
    const result = await gitIn(place, place.workTree, args, { ...this.#call, timeout: MINUTE / 3 });
    return result.exitCode === 0 ? fromBuffer(result.stdout) : undefined;
  }

  /** Runs one part; what git or the repository's files refuse becomes a problem, the vault's errors go on. */
  async #attempt<T>(what: string, path: Bytes, part: () => Promise<T>): Promise<T | undefined> {
    if (this.#options.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
    try {
      return await part();
    } catch (error) {
      if (this.#options.signal.aborted) throw error;
      const errno = errnoOf(error);
      if (errno === 'ENOSPC' || errno === 'EDQUOT' || errno === 'EROFS' || errno === 'EFBIG') throw error;
      if (error instanceof GitFailure && error.outOfSpace)
        throw new CoraError('no_space', `No space left while writing ${this.#target}`, { cause: error });
      this.#problem(path, error instanceof GitFailure ? error.message : `${what}: ${messageOf(error)}`);
      return undefined;
    }
  }

  #problem(path: Bytes, message: string): void {
    const place = isText(path) ? { path: toText(path) } : { path: toText(path), path_base64: base64Of(path) };
    this.problems.push({
      code: 'git_failed',
      ...place,
      message: `Git's state is not complete: ${printable(fromText(message))}`,
      severity: 'warning',
    });
  }

  #write(file: string, text: string): void {
    writeNewFile(`${this.#target}/${file}`, toBuffer(bytes(text)));
  }

  async #list(place: GitPlace, root: Bytes, file: string, args: readonly string[]): Promise<Bytes[] | undefined> {
    return this.#attempt(file, bytes('.git'), async () => {
      const result = succeeded(`Listing for ${file}`, await gitIn(place, root, args, this.#call));
      const paths = fromBuffer(result.stdout)
        .split('\0')
        .filter((path) => path !== '') as Bytes[];
      this.#write(file, paths.map((path) => `${escapeField(path)}\n`).join(''));
      return paths;
    });
  }

  async #bundle(place: GitPlace, base: string, where: Bytes, config: readonly ConfigEntry[]): Promise<Bundle | undefined> {
    const scratch = scratchBeside(this.#target, String(this.#scratches++));
    try {
      return await this.#attempt('Writing the bundle', where, async () => {
        const bundle = await writeBundle(place, base, scratch, { ...this.#options, partialClone: isPartialClone(config) });
        for (const note of bundle.notes) this.#problem(where, note);
        return bundle;
      });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  async #submodules(workTree: Bytes, prefix: Bytes, submodules: Bundle['submodules'], depth: number): Promise<void> {
    for (const { path, sha } of submodules) {
      const gitDir = await this.#attempt('Reading the submodule', joinBytes(prefix, path), async () => gitDirectoryOf(joinBytes(workTree, path)));
      if (gitDir === undefined || this.#seen.has(gitDir)) continue; // not initialised, or met before
      const shown = bytes(prefix === '' ? path : `${prefix}/${path}`);
      const place = findRepository(joinBytes(workTree, path));
      if (place === undefined || depth > MAX_SUBMODULE_DEPTH || this.#seen.size > MAX_SUBMODULES) {
        this.#problem(shown, 'Submodules are nested too deeply, or too many; this one is not bundled');
        continue;
      }
      this.#seen.add(gitDir);
      const name = this.#flatName(shown);
      const directory = `${this.#target}/submodules`;
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const local = `${directory}/${name}`;
      mkdirSync(local, { mode: 0o700 });
      const config = await this.#local(place, local, shown);
      const bundle = await this.#bundle(place, `${directory}/${name}`, shown, config);
      if (bundle === undefined) continue;
      const recorded = sha === '' ? 'a repository of its own, not a submodule' : `recorded commit ${sha}`;
      const status = (await this.#attempt('git status', shown, async () => statusText(place, config, (args) => this.#ask(place, args)))) ?? '';
      this.#write(`submodules/${name}.txt`, `# ${escapeField(shown)}: ${recorded}\n${status}\n${bundleText(bundle, name, readHead(place).ref)}`);
      await this.#submodules(place.workTree, shown, bundle.submodules, depth + 1);
    }
  }

  /** `a/b` as `a__b`; what cannot be a portable name, and a second one of the same name, get a number. */
  #flatName(path: Bytes): string {
    const flat = path
      .replaceAll('/', '__')
      .replace(/[^A-Za-z0-9._+@ -]/g, '_')
      .replace(/^[.-]/, '_')
      .slice(0, 200);
    let name = flat;
    for (let number = 2; this.#names.has(name); number++) name = `${flat}-${number}`;
    this.#names.add(name);
    return name;
  }

  /** Copies what a clone does not bring: configuration, hooks, info/exclude. Returns the configuration's settings. */
  async #local(place: GitPlace, directory: string, where: Bytes): Promise<ConfigEntry[]> {
    const entries: ConfigEntry[] = [];
    for (const [from, to] of [
      [joinBytes(place.commonDir, 'config'), 'config'],
      [joinBytes(place.gitDir, 'config.worktree'), 'config.worktree'],
    ] as const) {
      await this.#attempt('Reading the configuration', where, async () => {
        const text = readRegular(from);
        if (text === undefined) return;
        const listed = await gitOwn(directory, ['config', '--file', '-', '--list', '-z'], { ...this.#call, input: text });
        const found = parseConfigList(succeeded('Reading the configuration', listed).stdout);
        entries.push(...found);
        writeNewFile(`${directory}/${to}`, toBuffer(redactedConfig(found)));
      });
    }
    await this.#attempt('Reading info/exclude', where, async () => {
      const text = readRegular(joinBytes(place.commonDir, 'info/exclude'));
      if (text !== undefined) writeNewFile(`${directory}/info-exclude`, text);
    });
    await this.#attempt('Reading the hooks', where, async () => this.#hooks(joinBytes(place.commonDir, 'hooks'), `${directory}/hooks`, where, 1));
    return entries;
  }

  #hooks(from: Bytes, to: string, where: Bytes, depth: number): void {
    if (lstatSync(fsPath(from), { throwIfNoEntry: false })?.isDirectory() !== true) return;
    for (const name of readdirSync(fsPath(from), 'latin1').sort()) {
      const path = joinBytes(from, name);
      const stat = lstatSync(fsPath(path), { throwIfNoEntry: false });
      if (stat === undefined || name.endsWith('.sample')) continue;
      if (!isText(bytes(name)) || (stat.isDirectory() && depth >= MAX_HOOK_DEPTH)) {
        this.#problem(where, `The hook ${printable(name)} is not copied`);
        continue;
      }
      const copy = `${to}/${toText(bytes(name))}`;
      if (stat.isDirectory()) {
        this.#hooks(path, copy, where, depth + 1);
        continue;
      }
      const text = stat.isSymbolicLink() ? toBuffer(bytes(`# a symbolic link to ${readlinkSync(fsPath(path), 'latin1')}\n`)) : readRegular(path);
      if (text === undefined) continue;
      mkdirSync(to, { recursive: true, mode: 0o700 });
      writeNewFile(stat.isSymbolicLink() ? `${copy}.link` : copy, text);
      if (stat.isFile() && (stat.mode & 0o100) !== 0) chmodSync(copy, 0o700); // git runs no other hooks
    }
  }
}

/**
 * A small regular file's bytes; undefined where there is none. A symbolic link is not followed: it could
 * name a file that only we may read.
 */
function readRegular(path: Bytes): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return undefined;
    if (stat.size > MAX_LOCAL_FILE) throw new Error(`${printable(path.slice(path.lastIndexOf('/') + 1))} is larger than 16 MiB and is not copied`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
