// Damage that nobody announced: one bit of a stored file flipped, or its end cut off. verify must name the file.

import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { bytes, fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import { EXIT } from '../base/errors.ts';
import { filesBelow } from '../os/files-below.ts';
import type { Violation } from './judge.ts';
import type { Bench } from './torture-bench.ts';
import type { Part, PartRequest, Point } from './torture-part.ts';
import { clearFlags } from './torture-place.ts';
import { pick, shuffled } from './torture-random.ts';

/** Tries of each file. */
const TRIES = 12;
/** What a snapshot consists of; caches may be wrong at any time, and scripts and text beside them are made again. */
const STORED = /^(progress\/.+|\d{8}-\d{6}-[^/]+\/.+)/;

type Harm = (fd: number, size: number) => string;

export function damageParts({ bench, random }: PartRequest): Part[] {
  const stored = filesBelow(`${bench.root}/template/vault`).filter((path) => STORED.test(path));
  const flip: Harm = (fd, size) => {
    const [at, bit] = [pick(random, size), pick(random, 8)];
    const one = Buffer.alloc(1);
    readSync(fd, one, 0, 1, at);
    one[0] = (one[0] ?? 0) ^ (1 << bit);
    writeSync(fd, one, 0, 1, at);
    return `bit ${bit} of byte ${at} flipped`;
  };
  const cut: Harm = (fd, size) => {
    const length = pick(random, size);
    ftruncateSync(fd, length);
    return `cut from ${size} to ${length} bytes`;
  };
  const points = (harm: Harm): Point[] =>
    stored.flatMap((path) =>
      Array.from({ length: TRIES }, (): Point => ({ name: `damage of ${toText(path)}`, run: () => damage(bench, path, harm) })),
    );
  return [
    { kind: 'bit-flip', points: shuffled(random, points(flip)) },
    { kind: 'truncation', points: shuffled(random, points(cut)) },
  ];
}

async function damage(bench: Bench, path: string, harm: Harm): Promise<readonly Violation[] | 'missed'> {
  bench.load();
  const { vault } = bench.places;
  // A sealed file cannot be written, not even by us; what a disk does to it asks nobody.
  clearFlags(vault);
  let what: string;
  try {
    const fd = openSync(fsPath(joinBytes(fromText(vault), bytes(path))), 'r+');
    try {
      const { size } = fstatSync(fd);
      if (size === 0) return 'missed';
      what = harm(fd, size);
    } finally {
      closeSync(fd);
    }
  } catch {
    return 'missed';
  }
  const end = await bench.cora(['verify', '--all', '--json']);
  const name = toText(bytes(path));
  if (end.code !== EXIT.damaged) return [{ rule: 'damaged', sentence: `${name}: ${what}, and verify ended with ${end.code}` }];
  if (!end.stdout.includes(basename(name))) return [{ rule: 'damaged', sentence: `${name}: ${what}, and verify does not name it` }];
  return [];
}
