// What the bare disk says of a vault's snapshots, without Cora's catalog, ledger or caches: every directory at a snapshot's
// place is whole by its own SHA256SUMS.txt, and nothing else lies there. The judge's first look.

import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { type Bytes, bytes, fromText, fsPath, joinBytes, printable } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { parseSums } from '../format/checksums.ts';
import { namesIn } from '../os/files.ts';
import { hashOfFile } from './judge-tree.ts';

export type FoundSnapshot = {
  readonly kind: 'save' | 'backup';
  readonly id: string;
  /** Absolute. */
  readonly directory: string;
  /** sha256 of its SHA256SUMS.txt, empty where that is missing. */
  readonly sums: string;
};

type Say = (rule: 'half' | 'damaged', sentence: string) => void;

const ID = /^\d{8}-\d{6}-/;

/** What each form consists of at least (docs/format.md): sums that fit, of a snapshot that was never finished, must not pass. */
const PARTS: Readonly<Record<FoundSnapshot['kind'], readonly (readonly [what: string, name: RegExp])[]>> = {
  save: [
    ['REPORT.json', /^REPORT\.json$/],
    ['MANIFEST.txt', /^MANIFEST\.txt$/],
    ['a listing', /^(?:FILES\.tsv\.zst|DELTA\.tsv\.zst|checkpoint\.tar\.gz)$/],
  ],
  backup: [
    ['REPORT.json', /^REPORT\.json$/],
    ['MANIFEST.txt', /^MANIFEST\.txt$/],
    ['LARGE_FILES.txt', /^LARGE_FILES\.txt$/],
    ['a listing', /^FILES\.tsv\.gz$/],
    ['its archive', /^[^/]+-full\.tar\.gz$/],
  ],
};

/** Every directory at a snapshot's place, whole or not; what is not whole is said. Never throws for what a fault left. */
export function lookAtDisk(vault: string, say: Say): FoundSnapshot[] {
  const found: FoundSnapshot[] = [];
  const add = (kind: FoundSnapshot['kind'], id: string, directory: string): void => {
    found.push({ kind, id, directory, sums: checkDirectory(kind, `${kind} ${id}`, directory, say) });
  };
  for (const name of namesIn(vault)) if (ID.test(name)) add('backup', name, `${vault}/${name}`);
  for (const day of daysOf(`${vault}/progress`)) {
    const [year, month, date] = day.split('/').slice(-3);
    for (const name of namesIn(day)) add('save', `${year}${month}${date}-${name}`, `${day}/${name}`);
  }
  checkPacks(`${vault}/progress/packs`, say);
  return found;
}

function daysOf(progress: string): string[] {
  const below = (path: string, name: RegExp): string[] =>
    namesIn(path)
      .filter((part) => name.test(part))
      .map((part) => `${path}/${part}`);
  return below(progress, /^\d{4}$/)
    .flatMap((year) => below(year, /^\d{2}$/))
    .flatMap((month) => below(month, /^\d{2}$/));
}

/** Its files are those that its sums name, with those sums, and all that a snapshot of its kind consists of. Gives the sum of the sums, empty where there are none. */
function checkDirectory(kind: FoundSnapshot['kind'], name: string, directory: string, say: Say): string {
  try {
    const text = readFileSync(`${directory}/SHA256SUMS.txt`);
    const wanted = new Map<string, string>(parseSums(text).map(({ path, sha256 }) => [path, sha256]));
    const named = [...wanted.keys()];
    for (const [what, pattern] of PARTS[kind]) if (!named.some((path) => pattern.test(path))) say('half', `the sums of ${name} do not name ${what}`);
    for (const path of filesBelow(fromText(directory))) {
      if (path === 'SHA256SUMS.txt') continue;
      const sum = wanted.get(path);
      if (sum === undefined) say('half', `${name} holds ${printable(path)}, which its sums do not name`);
      else if (sum !== hashOfFile(joinBytes(fromText(directory), path))) say('half', `${name}: ${printable(path)} is not what its sums say`);
      wanted.delete(path);
    }
    for (const path of wanted.keys()) say('half', `${name} lacks ${printable(path)}`);
    return createHash('sha256').update(text).digest('hex');
  } catch (error) {
    say('half', `${name} is visible and not whole: ${messageOf(error)}`);
    return '';
  }
}

/** Relative paths of all that is no directory. */
function filesBelow(top: Bytes, path = bytes('')): Bytes[] {
  return readdirSync(fsPath(joinBytes(top, path)), { encoding: 'latin1' }).flatMap((name) => {
    const below = bytes(path === '' ? name : `${path}/${name}`);
    return lstatSync(fsPath(joinBytes(top, below))).isDirectory() ? filesBelow(top, below) : [below];
  });
}

/** What the packs' sums name is there; more may be (docs/format.md: left by a crash, holds nothing that is nowhere else). */
function checkPacks(packs: string, say: Say): void {
  if (!namesIn(packs).includes('SHA256SUMS.txt')) return;
  try {
    for (const { path, sha256 } of parseSums(readFileSync(`${packs}/SHA256SUMS.txt`))) {
      if (hashOfFile(joinBytes(fromText(packs), path)) !== sha256) say('damaged', `the pack ${printable(path)} is not what its sums say`);
    }
  } catch (error) {
    say('damaged', `the packs are not whole: ${messageOf(error)}`);
  }
}
