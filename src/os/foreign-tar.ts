// Archives that Cora did not make, read by GNU tar: what is in them, and unpacking into a new private
// directory. Invariants: nothing is written outside of that directory; no device, FIFO or setuid file is left in it.

import { chmodSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { type Bytes, bytes, fromBuffer, isText, joinBytes, toBuffer, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { onPath } from './long-path.ts';
import { type RunResult, requireProgram, run } from './run.ts';

/** One member of an archive. */
export type TarMember = {
  /** As `ls -l` shows it: `-`, `d`, `l`, `h` (hard link), `b`, `c`, `p`, or a letter of GNU tar's own. */
  readonly type: string;
  readonly size: number;
  /** As it is stored. */
  readonly name: Bytes;
  /** Relative to where it is unpacked: no leading `./` or `/`, no trailing slash; `.` for the top itself. */
  readonly path: Bytes;
  /** Of a hard link: the member that holds the content. */
  readonly link: Bytes | undefined;
};

/** Names as they are stored; `below`: a directory's name stands for all that is in it. */
export type Selection = { readonly names: readonly Bytes[]; readonly below: boolean };

const TIMEOUT = 12 * 3_600_000;
/** Of the listing's text: some millions of members. */
const LISTING_BYTES = 400 << 20;
const LINE = /^(.)[-rwxsStTl.+]{9,11}\s+\S+\s+(\d+)(?:,\d+)?\s+\S+\s+\S+\s+"((?:[^"\\]|\\.)*)"(?: link to "((?:[^"\\]|\\.)*)")?/;

/**
 * Reads the whole archive, so that what gzip's own sums find is found.
 * @param archive absolute
 * @throws CoraError damaged where it cannot be read to its end; tool_missing, interrupted
 */
export async function listTar(archive: Bytes, signal: AbortSignal): Promise<readonly TarMember[]> {
  const result = await tar(['--quoting-style=c', '--numeric-owner', '-tvzf'], archive, '/', undefined, signal);
  if (result.exitCode !== 0) throw new CoraError('damaged', `${toText(archive)} cannot be read to its end: ${firstLine(result.stderr)}`);
  const lines = result.stdout.toString('latin1').split('\n');
  lines.pop();
  return lines.map((line) => {
    const match = LINE.exec(line);
    if (match === null) throw new CoraError('damaged', `${toText(archive)} has a member that tar shows as ${JSON.stringify(line.slice(0, 80))}`);
    const name = unquoted(match[3] ?? '');
    return {
      type: match[1] ?? '',
      size: match[1] === '-' ? Number(match[2]) : 0,
      name,
      path: plain(name),
      link: match[4] === undefined ? undefined : plain(unquoted(match[4])),
    };
  });
}

/** True where a name leads out of the place that it is unpacked into. */
export function leadsOut({ name }: TarMember): boolean {
  return name.split('/').includes('..');
}

/**
 * Unpacks an archive.
 * @param directory absolute; new, empty and ours alone
 * @param wanted undefined for everything
 * @throws CoraError no_space, damaged, io
 */
export async function unpackTar(archive: Bytes, directory: Bytes, wanted: Selection | undefined, signal: AbortSignal): Promise<void> {
  const selected = wanted === undefined ? [] : [...(wanted.below ? [] : ['--no-recursion']), '--null', '--verbatim-files-from', '-T', '-'];
  const names = wanted === undefined ? undefined : Buffer.concat(wanted.names.flatMap((name) => [toBuffer(name), Buffer.alloc(1)]));
  const result = await tar([...selected, '-xpzf'], archive, toText(directory), names, signal);
  if (result.exitCode === 0) return;
  if (/No space left|Disk quota/.test(result.stderr)) {
    throw new CoraError('no_space', `No space left while unpacking into ${toText(directory)}`, {
      hint: 'free space there, or name another directory',
    });
  }
  throw new CoraError('damaged', `${toText(archive)} was not unpacked whole: ${firstLine(result.stderr)}`, {
    hint: 'nothing was restored; tar -xzpf unpacks by hand what it can',
  });
}

/** @param args end in `-f` without its value */
async function tar(args: readonly string[], archive: Bytes, cwd: string, names: Buffer | undefined, signal: AbortSignal): Promise<RunResult> {
  // Arguments are text.
  if (!isText(archive)) throw new CoraError('io', `${toText(archive)} has a name that is not UTF-8`, { hint: 'rename it' });
  const result = await run(requireProgram('tar', 'tar'), ['--force-local', ...args, toText(archive)], {
    cwd,
    env: { LC_ALL: 'C' },
    timeout: TIMEOUT,
    maxBuffer: LISTING_BYTES,
    signal,
    ...(names === undefined ? {} : { input: names }),
  });
  if (signal.aborted) throw new CoraError('interrupted', 'Interrupted');
  return result;
}

function firstLine(stderr: string): string {
  return stderr.split('\n').find((line) => line !== '' && !line.includes('Removing leading')) ?? 'tar failed';
}

function plain(name: Bytes): Bytes {
  return bytes(name.replace(/^(?:\.?\/+)+/, '').replace(/\/+$/, '') || '.');
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\x07' };

/** What GNU tar's C quoting made of a name, as its bytes again. */
function unquoted(text: string): Bytes {
  return bytes(
    text.replace(/\\(?:([0-7]{3})|(.))/g, (_, octal: string | undefined, letter: string | undefined) =>
      octal === undefined ? (ESCAPES[letter ?? ''] ?? letter ?? '') : String.fromCharCode(Number.parseInt(octal, 8)),
    ),
  );
}

/** What a tree holds after `tame`; `removed` and `stripped` are paths relative to it. */
export type TamedTree = { readonly files: number; readonly bytes: number; readonly removed: readonly Bytes[]; readonly stripped: readonly Bytes[] };

/** Takes devices, FIFOs and sockets out of a tree that is ours, and setuid and setgid bits off its files. Follows no link. */
export function tame(root: Bytes): TamedTree {
  const [removed, stripped]: [Bytes[], Bytes[]] = [[], []];
  let [files, total] = [0, 0];
  const visit = (relative: Bytes): void => {
    for (const entry of onPath(joinBytes(root, relative), (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
      const name = fromBuffer(entry.name);
      const child = relative === '.' ? name : joinBytes(relative, name);
      if (entry.isDirectory()) visit(child);
      else if (entry.isSymbolicLink()) files += 1;
      else if (!entry.isFile()) {
        onPath(joinBytes(root, child), (place) => rmSync(place));
        removed.push(child);
      } else {
        const stat = onPath(joinBytes(root, child), (place) => lstatSync(place));
        files += 1;
        total += stat.size;
        if ((stat.mode & 0o6000) === 0) continue;
        onPath(joinBytes(root, child), (place) => chmodSync(place, stat.mode & 0o1777));
        stripped.push(child);
      }
    }
  };
  visit(bytes('.'));
  return { files, bytes: total, removed, stripped };
}
