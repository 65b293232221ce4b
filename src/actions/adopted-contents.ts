// What of an adopted backup is restored: members of its archive and files beside it. Invariant: what is
// written into the new directory never goes through a link that came out of the archive.

import { chmodSync, constants, copyFileSync, lchownSync, lstatSync, mkdirSync, rmSync, utimesSync } from 'node:fs';
import { type Bytes, basenameBytes, bytes, joinBytes, printable, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import { leadsOut, listTar, type Selection, type TarMember, unpackTar } from '../os/foreign-tar.ts';
import { onPath } from '../os/long-path.ts';
import type { AdoptedSnapshot } from '../vault/adopted.ts';
import { NAMES } from '../vault/layout.ts';
import { filesBelow } from './adopted-verify.ts';
import { stopIfAborted } from './settle.ts';

/** Beside a database that is replaced by its copy: they would be replayed into the copy. */
const SIDECARS = ['-wal', '-shm', '-journal'];

/** What a restore would write, and how. */
type Contents = {
  readonly files: number;
  readonly bytes: number;
  /** Devices and FIFOs of an archive. */
  readonly leftOut: readonly Bytes[];
  readonly fill: (stage: Bytes) => Promise<void>;
};

/**
 * @param paths relative to what is restored; empty for everything
 * @param critical plain copies alone
 * @throws CoraError not_found, damaged
 */
export async function planContents(snapshot: AdoptedSnapshot, paths: readonly Bytes[], critical: boolean, ctx: Context): Promise<Contents> {
  const wanted = paths.map((path) => bytes(path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '') || '.'));
  const { layout, path } = snapshot;
  const contents =
    layout === 'atlas'
      ? await fromArchive(path, [], wanted, ctx)
      : layout === 'cora'
        ? await fromCora(path, critical, wanted, ctx)
        : layout === 'atocore'
          ? fromFiles(
              filesBelow(path)
                .filter((file) => within(file, wanted))
                .map((file) => ({ from: joinBytes(path, file), to: file })),
              ctx,
            )
          : fromFiles(
              [{ from: path, to: basenameBytes(path) }].filter(({ to }) => within(to, wanted)),
              ctx,
            );
  if (contents.files === 0) {
    throw new CoraError('not_found', `${wanted.map(printable).join(', ') || 'Anything'} is not in ${snapshot.id}`, {
      hint: 'leave the paths out to restore all of it',
    });
  }
  return contents;
}

const within = (path: Bytes, wanted: readonly Bytes[]): boolean =>
  wanted.length === 0 || wanted.some((one) => one === '.' || path === one || path.startsWith(`${one}/`));

type Copy = { readonly from: Bytes; readonly to: Bytes };

/** CORA-7: the archive is the project; a database's plain copy wins over what the archive holds, other plain copies fill gaps. */
async function fromCora(root: Bytes, critical: boolean, wanted: readonly Bytes[], ctx: Context): Promise<Contents> {
  const files = filesBelow(root);
  const below = (top: string): Copy[] =>
    files.filter((path) => path.startsWith(`${top}/`)).map((path) => ({ from: joinBytes(root, path), to: bytes(path.slice(top.length + 1)) }));
  const databases = below(NAMES.db).filter(({ to }) => within(to, wanted));
  const copies = [...databases, ...below(NAMES.critical).filter(({ to }) => within(to, wanted) && !databases.some((other) => other.to === to))];
  const archive = files.find((path) => path.endsWith('-full.tar.gz') && !path.includes('/'));
  if (critical || archive === undefined) return fromFiles(copies, ctx);
  return fromArchive(joinBytes(root, archive), copies, wanted, ctx, new Set(databases.map(({ to }) => to)));
}

/**
 * @param copies files beside the archive, put where the archive has none, or over it where they are in `instead`
 */
async function fromArchive(
  archive: Bytes,
  copies: readonly Copy[],
  wanted: readonly Bytes[],
  ctx: Context,
  instead: ReadonlySet<Bytes> = new Set(),
): Promise<Contents> {
  const all = await listTar(archive, ctx.signal);
  const out = all.find(leadsOut);
  if (out !== undefined) {
    throw new CoraError('damaged', `${toText(archive)} has an entry that leads out of it: ${printable(out.name)}`, {
      hint: 'nothing was restored; look at it by hand: tar -tzf',
    });
  }
  const stale = [...instead].flatMap((path) => ['', ...SIDECARS].map((suffix) => bytes(path + suffix)));
  const replaced = new Set(stale);
  const chosen = all.filter(({ path }) => within(path, wanted));
  const leftOut = chosen.filter(isSpecial).map(({ path }) => path);
  // A hard link's content may be in an entry that is not asked for.
  const present = new Set(chosen.map(({ path }) => path));
  const links = new Set(chosen.flatMap(({ link }) => (link === undefined || present.has(link) ? [] : [link])));
  const targets = all.filter(({ path }) => links.has(path));
  const kept = chosen.filter((member) => !replaced.has(member.path) && !isSpecial(member));
  const inArchive = new Set([...kept, ...targets].map(({ path }) => path));
  const files = fromFiles(
    copies.filter(({ to }) => !inArchive.has(to) || instead.has(to)),
    ctx,
  );
  return {
    files: kept.filter(({ type }) => type !== 'd').length + targets.length + files.files,
    bytes: [...kept, ...targets].reduce((sum, { size }) => sum + size, 0) + files.bytes,
    leftOut,
    fill: async (stage) => {
      await unpackTar(archive, stage, selectionOf(chosen, targets, wanted), ctx.signal);
      // A log or an older form of a database would be taken for the copy's own.
      for (const path of stale) removeInside(stage, path);
      await files.fill(stage);
    },
  };
}

const isSpecial = ({ type }: TarMember): boolean => 'bcp'.includes(type);

/**
 * What tar is asked for. It goes through the whole list of names for each entry, so the list is as short as it can be: directories
 * stand for what is in them. What may not be made here (a device, by an ordinary user) would end it with an error: then each is named.
 */
function selectionOf(chosen: readonly TarMember[], targets: readonly TarMember[], wanted: readonly Bytes[]): Selection | undefined {
  if (process.geteuid?.() !== 0 && chosen.some(isSpecial)) {
    return { names: [...targets, ...chosen.filter((member) => !isSpecial(member))].map(({ name }) => name), below: false };
  }
  if (wanted.length === 0 || wanted.includes(bytes('.'))) return undefined;
  const tops = chosen.flatMap(({ name, path }) => {
    const top = wanted.find((one) => path === one || path.startsWith(`${one}/`));
    // As it is stored, with what leads it (`./`).
    return top === undefined ? [] : [bytes(name.slice(0, name.lastIndexOf(path) + top.length))];
  });
  return { names: [...new Set([...targets.map(({ name }) => name), ...tops])], below: true };
}

/** Removes a file of a tree that is ours, unless a link leads to it. */
function removeInside(stage: Bytes, path: Bytes): void {
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const parent = onPath(joinBytes(stage, path.slice(0, at)), (place) => lstatSync(place, { throwIfNoEntry: false }));
    if (parent?.isDirectory() !== true) return;
  }
  onPath(joinBytes(stage, path), (place) => rmSync(place, { force: true }));
}

/** Copies of single files; a link in the way is never followed. */
function fromFiles(copies: readonly Copy[], ctx: Context): Contents {
  const size = copies.reduce((sum, { from }) => sum + (onPath(from, (path) => lstatSync(path, { throwIfNoEntry: false }))?.size ?? 0), 0);
  return {
    files: copies.length,
    bytes: size,
    leftOut: [],
    fill: async (stage) => {
      for (const { from, to } of copies) {
        makeParents(stage, to);
        stopIfAborted(ctx);
        copyInto(from, joinBytes(stage, to));
      }
    },
  };
}

/** Directories that lead to a path; one that the archive has as a link or file is an error, not a way out. */
function makeParents(stage: Bytes, path: Bytes): void {
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const directory = joinBytes(stage, path.slice(0, at));
    const stat = onPath(directory, (place) => lstatSync(place, { throwIfNoEntry: false }));
    if (stat === undefined) onPath(directory, (place) => mkdirSync(place, { mode: 0o700 }));
    else if (!stat.isDirectory()) {
      throw new CoraError('damaged', `${printable(path)} lies in both archive and copies, in one below what is no directory`, {
        hint: 'restore single paths',
      });
    }
  }
}

/** With mode (no setuid), times and, as root, owner. */
function copyInto(from: Bytes, to: Bytes): void {
  onPath(from, (source) =>
    onPath(to, (target) => {
      const { mode, uid, gid, atime, mtime } = lstatSync(source);
      copyFileSync(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      if (process.geteuid?.() === 0) lchownSync(target, uid, gid);
      chmodSync(target, mode & 0o1777);
      utimesSync(target, atime, mtime);
    }),
  );
}
