// What a run of `bin/cora` wrote and did not sync, as the kernel saw it: strace around the whole process tree, and a model
// of what a power cut at a moment may take. Unlike a real cut it forgives nothing: a journal that happens to
// carry a name along does not count, only fsync of its directory does.

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { requireProgram } from '../../src/os/run.ts';
import { CORA } from './run-cora.ts';
import { execute, PATH, type Run, type Sandbox } from './sandbox.ts';

/** What may be lost without harm: caches, locks, what is made again from the rest, and logs for people. */
const MAY_BE_LOST =
  /\/\.(?:lock|gc-lock|ship-lock)$|\/vault[^/]*\/(?:\.cache(?:\/|$)|\.stage\/[^/]+\.lock$|\.stage\/(?:run|fetch)-[^/]+$|ledger\/(?:cora\.db|missing)|ledger\/notified)|\/home\/\.local\/state\/cora\/(?!projects)|\/home\/\.cache(?:\/|$)|\/cora\.log(?:\.1)?$|-shm$|-journal$|\/\.git\/(?!hooks\/)|\/(?:prompt)(?:\.new)?$|\/\.cora-restore(?:\/lock|\/\.gitignore)?$/;

const CALLS =
  'open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,truncate,fallocate,copy_file_range,sendfile,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,rmdir,fsync,fdatasync,syncfs,sync,ioctl';

/** `points`: those of the mutation check that this sync is the work of (test/faults/mutants/tree.mjs). */
type Event = {
  readonly at: number;
  readonly task: string;
  readonly call: string;
  readonly text: string;
  readonly result: string;
  points?: readonly string[];
};

export type SyncRun = Run & {
  /** One line each: what was claimed and could be lost, or was given its name before its bytes were safe. */
  readonly unsafe: readonly string[];
  /** Calls of fsync, fdatasync and syncfs below the sandbox. */
  readonly syncs: number;
};

/** Runs `bin/cora ARGS` under strace and looks at everything below the sandbox. Paths must be printable ASCII. `as`: the program that starts it (setpriv). */
export async function syncTrace(
  sandbox: Sandbox,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly as?: readonly string[] } = {},
): Promise<SyncRun> {
  const directory = mkdtempSync(join('/tmp', 'cora-syncs-'));
  try {
    const file = join(directory, 'calls');
    const existing = new Set(pathsBelow(sandbox.root));
    const run = await execute(
      requireProgram('strace', 'strace'),
      [
        '-f',
        '-y',
        '-qq',
        '-s',
        '0',
        '-e',
        `trace=${CALLS}${VERDICTS === undefined ? '' : ',access'}`,
        '-o',
        file,
        ...(options.as ?? []),
        CORA,
        ...args,
      ],
      {
        cwd: sandbox.project,
        env: { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log'), ...options.env },
      },
    );
    const events = eventsOf(readFileSync(file, 'latin1'));
    const model = modelOf(sandbox, existing, events);
    const unsafe = model.end();
    if (VERDICTS !== undefined && unsafe.length === 0) tellVerdicts(VERDICTS, sandbox, existing, events);
    return { ...run, unsafe, syncs: model.syncs };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Where the mutation check wants to know of each sync whether this trace would miss it. */
const VERDICTS = process.env['CORA_TEST_SYNC_VERDICTS'];

function modelOf(sandbox: Sandbox, existing: ReadonlySet<string>, events: readonly Event[]): Model {
  const model = new Model(sandbox.root, sandbox.vault, new Set(existing));
  for (const event of events) model.take(event);
  return model;
}

/** One line a point: the same trace without the syncs that are its work. */
function tellVerdicts(path: string, sandbox: Sandbox, existing: ReadonlySet<string>, events: readonly Event[]): void {
  for (const point of new Set(events.flatMap(({ points }) => points ?? []))) {
    const rest = events.filter(({ points }) => points?.includes(point) !== true);
    const [why] = modelOf(sandbox, existing, rest).end();
    appendFileSync(path, `${JSON.stringify({ point: Number(point), why })}\n`);
  }
}

/** Which marks are open in which task; a child's syncfs belongs to whoever waits for it. */
class Marks {
  readonly #open = new Map<string, string[]>();
  readonly #flags = new Map<string, { point: string; left: number }[]>();

  take(task: string, mark: string): void {
    const [what, point = ''] = mark.split('-');
    if (what === 'begin') this.#open.set(task, [...(this.#open.get(task) ?? []), point]);
    else if (what === 'end') {
      const open = this.#open.get(task) ?? [];
      open.splice(open.lastIndexOf(point), 1);
    } else this.#flags.set(task, [...(this.#flags.get(task) ?? []), { point, left: 2 }]);
  }

  of(task: string, call: string): readonly string[] {
    const flagged = (this.#flags.get(task) ?? []).filter(({ left }) => left > 0);
    for (const flag of flagged) flag.left -= 1;
    const open = call === 'syncfs' ? [...this.#open.values()].flat() : (this.#open.get(task) ?? []);
    return [...open, ...flagged.map(({ point }) => point)];
  }
}

function* pathsBelow(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    yield path;
    if (entry.isDirectory()) yield* pathsBelow(path);
  }
}

/** A sync counts from its beginning, everything else from its end: what ran beside it is not covered by it. */
function eventsOf(trace: string): Event[] {
  const events: Event[] = [];
  const pending = new Map<string, { at: number; text: string; points: readonly string[] }>();
  const marks = new Marks();
  for (const [at, line] of trace.split('\n').entries()) {
    const task = line.slice(0, line.indexOf(' '));
    const rest = line.slice(task.length).trim();
    const mark = /^access\("\/cora-mark\/([a-z]+-\d+)"/.exec(rest)?.[1];
    if (mark !== undefined) {
      marks.take(task, mark);
      continue;
    }
    const isSync = /^(?:fsync|fdatasync|syncfs|sync)\(/.test(rest);
    if (rest.endsWith('<unfinished ...>')) {
      const points = isSync ? marks.of(task, rest.slice(0, rest.indexOf('('))) : [];
      pending.set(task, { at, text: rest.slice(0, -'<unfinished ...>'.length), points });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(rest);
    const before = resumed === null ? undefined : pending.get(task);
    const text = resumed === null ? rest : `${before?.text ?? ''}${rest.slice(resumed[0].length)}`;
    const match = /^(\w+)\((.*)\)\s+= (-?\d+)(.*)$/.exec(text);
    if (match === null || Number(match[3]) < 0) continue;
    const call = match[1] ?? '';
    const points = isSync ? marks.of(task, call) : (before?.points ?? []);
    events.push({ at: call.includes('sync') ? (before?.at ?? at) : at, task, call, text: match[2] ?? '', result: match[4] ?? '', points });
  }
  return events.sort((a, b) => a.at - b.at);
}

class Model {
  readonly #root: string;
  readonly #vault: string;
  readonly #existing: Set<string>;
  /** Files with bytes, and names, that no sync covered yet. */
  readonly #bytes = new Set<string>();
  readonly #names = new Set<string>();
  /** The file that chattr changed the flags of last. Any sync of its file system carries all of them (one journal). */
  #flags: string | undefined;
  #hasMoved = false;
  readonly #unsafe: string[] = [];
  syncs = 0;

  constructor(root: string, vault: string, existing: Set<string>) {
    this.#root = root;
    this.#vault = vault;
    this.#existing = existing;
  }

  take({ call, text, result }: Event): void {
    const paths = pathsIn(text);
    const [first = '', second = ''] = paths;
    if (/^(?:open|openat|creat)$/.test(call)) this.#open(first, text, /<(.*)>$/.exec(result)?.[1]);
    else if (/sync/.test(call)) this.#sync(call, onFd(text));
    else if (call === 'ioctl') {
      if (text.includes('FS_IOC_SETFLAGS') && this.#isOurs(onFd(text))) this.#flags = onFd(text);
    } else if (/^(?:mkdir|mknod)/.test(call)) this.#name(first);
    else if (/^symlink/.test(call)) this.#name(paths.at(-1) ?? '');
    else if (/^link/.test(call)) {
      if (this.#bytes.has(first)) this.#bytes.add(second);
      this.#name(second);
    } else if (/^rename/.test(call)) this.#rename(first, second);
    else if (/^(?:unlink|rmdir)/.test(call)) this.#forget(first);
    else if (call === 'truncate') this.#write(first);
    else this.#write((call === 'copy_file_range' ? [...text.matchAll(/\d+<([^>]*)>/g)][1]?.[1] : onFd(text)) ?? '');
  }

  end(): readonly string[] {
    this.#look('when it ended');
    return [...new Set(this.#unsafe)];
  }

  #open(path: string, text: string, opened: string | undefined): void {
    if (opened !== undefined && /O_TRUNC/.test(text)) this.#write(opened);
    if (/O_CREAT/.test(text) && !this.#existing.has(path)) this.#name(path);
  }

  #name(path: string): void {
    if (!this.#isOurs(path)) return;
    // The marker of a copy that outlived its files in a power cut would lie.
    if (path.endsWith('/COMPLETE.json')) this.#look('when the copy was called complete', path, '/remote/');
    this.#existing.add(path);
    this.#names.add(path);
  }

  #write(path: string): void {
    if (!this.#isOurs(path)) return;
    if (path === `${this.#vault}/ledger/chain.log`) this.#look('when the ledger said so', path);
    this.#bytes.add(path);
  }

  #sync(call: string, path: string): void {
    if (!this.#isOurs(path) && path !== this.#root) return;
    this.syncs += 1;
    this.#flags = undefined;
    if (call === 'syncfs') {
      this.#bytes.clear();
      this.#names.clear();
    }
    this.#bytes.delete(path);
    for (const name of this.#names) if (dirname(name) === path) this.#names.delete(name);
  }

  #rename(from: string, to: string): void {
    if (!this.#isOurs(to)) return;
    // The moment at which a snapshot becomes visible: nothing that it needs may be lost any more.
    if (isSnapshot(to.slice(this.#vault.length + 1))) this.#look('when it became visible', from);
    const [live, kept] = [from, to].map((path) => !path.includes('/.cora-restore/'));
    if (live !== kept && !this.#hasMoved) {
      this.#hasMoved = true;
      this.#look('before the first entry of the project was moved', '', '/.cora-restore/');
    }
    for (const path of this.#bytes) {
      if (!isFinal(to) || MAY_BE_LOST.test(to) || MAY_BE_LOST.test(path)) continue;
      if (path === from || path.startsWith(`${from}/`))
        this.#unsafe.push(`${this.#short(path)}: its bytes were not synced when it was renamed to ${this.#short(to)}`);
    }
    this.#forget(to);
    for (const set of [this.#existing, this.#bytes, this.#names]) {
      for (const path of [...set]) {
        if (path !== from && !path.startsWith(`${from}/`)) continue;
        set.delete(path);
        set.add(to + path.slice(from.length));
      }
    }
    this.#name(to);
  }

  #forget(path: string): void {
    for (const set of [this.#existing, this.#bytes, this.#names]) {
      for (const one of [...set]) if (one === path || one.startsWith(`${path}/`)) set.delete(one);
    }
  }

  /** What a power cut now could take. `except`: what is just being named or written. */
  #look(when: string, except = '', within = '/'): void {
    const told = (path: string): boolean => !MAY_BE_LOST.test(path) && path !== except && path.includes(within);
    for (const path of this.#bytes) if (told(path)) this.#unsafe.push(`${this.#short(path)}: its bytes were not synced ${when}`);
    for (const path of this.#names) if (told(path)) this.#unsafe.push(`${this.#short(path)}: its name was not synced ${when}`);
    if (this.#flags !== undefined && within === '/') this.#unsafe.push(`${this.#short(this.#flags)}: its flags were not synced ${when}`);
  }

  #isOurs(path: string): boolean {
    return path.startsWith(`${this.#root}/`);
  }

  /** Without what differs from run to run. */
  #short(path: string): string {
    return path.slice(this.#root.length + 1).replace(/run-[0-9a-f]{6}/g, 'run-N');
  }
}

/** A name that somebody may open: not one below staging directories, whose whole is synced before it is used. */
function isFinal(path: string): boolean {
  return !/\/\.stage\/run-|\/\.cora-restore\/|\/out/.test(path);
}

function isSnapshot(place: string): boolean {
  return /^(?:\d{8}-\d{6}-|progress\/\d{4}\/\d\d\/\d\d\/)[^/]+$/.test(place);
}

/** The path of the first descriptor of a call. */
function onFd(text: string): string {
  return (/^\d+<([^>]*)>/.exec(text)?.[1] ?? '').replace(/ \(deleted\)$/, '');
}

/** Absolute paths that a call names, `openat`-like ones joined to their directory. */
function pathsIn(text: string): string[] {
  const paths: string[] = [];
  for (const match of text.matchAll(/(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"/g)) {
    const [, directory, name = ''] = match;
    paths.push(name.startsWith('/') ? viaProc(name) : join(directory ?? '/', name));
  }
  return paths;
}

/** `/proc/self/fd/N/name` names what a long path cannot; no such path is in these tests. */
function viaProc(path: string): string {
  return path.replace(/\/+$/, '');
}
