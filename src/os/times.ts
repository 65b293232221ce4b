// Setting modification times to the nanosecond. Node's utimes hands seconds to libuv as a double,
// which keeps microseconds; the exact value needs utimensat(2), which perl (Essential on Debian)
// reaches for a whole list of paths in one process.

import { lutimesSync } from 'node:fs';
import { type Bytes, toBuffer } from '../base/bytes.ts';
import { onPath } from './long-path.ts';
import { findProgram, runSync } from './run.ts';

export type PathTime = { readonly path: Bytes; readonly mtime: bigint };

/** System call numbers of utimensat (asm/unistd.h). */
const UTIMENSAT: Readonly<Record<string, number>> = { x64: 280, arm64: 88 };

/** Reads `seconds nanoseconds path` records ended by NUL; never follows a link (AT_SYMLINK_NOFOLLOW); goes down long paths step by step. */
const SCRIPT =
  '$/="\\0";my $bad=0;while(<STDIN>){chomp;my($s,$n,$p)=split(/ /,$_,3);my $t=pack("qqqq",$s,$n,$s,$n);' +
  'while(length($p)>3900){my $i=rindex($p,"/",3800);chdir(substr($p,0,$i)) or last;$p=substr($p,$i+1);}' +
  'syscall($ARGV[0]+0,-100,$p,$t,256)==0 or $!==2 or $bad++;}print $bad;';

/**
 * Sets atime and mtime of many absolute paths of any length, links themselves included, in the order given.
 * A path that is gone is passed over: whoever failed to make it tells.
 * @returns false where some are exact to the microsecond only, or could not be set
 */
export function setExactTimes(times: readonly PathTime[]): boolean {
  const perl = findProgram('perl');
  const call = UTIMENSAT[process.arch];
  if (perl === undefined || call === undefined) {
    for (const time of times) setRoughTime(time);
    return false;
  }
  const set = (some: readonly PathTime[], tries: number): boolean => {
    const result = runSync(perl, ['-e', SCRIPT, String(call)], { input: Buffer.concat(some.map(record)) });
    if (result.exitCode === 0) return result.stdout.toString() === '0';
    // It died on the way (killed, out of memory): those that it did not reach have the time of their writing. Again, in halves.
    const half = Math.ceil(some.length / 2);
    if (tries > 0) return [some.slice(0, half), some.slice(half)].map((part) => set(part, tries - 1)).every((exact) => exact);
    for (const time of some) setRoughTime(time);
    return false;
  };
  let exact = true;
  for (let at = 0; at < times.length; at += 20_000) exact = set(times.slice(at, at + 20_000), 3) && exact;
  return exact;
}

function setRoughTime({ path, mtime }: PathTime): void {
  const seconds = Number(mtime / 1_000_000_000n) + Number(mtime % 1_000_000_000n) / 1e9;
  try {
    onPath(path, (reachable) => lutimesSync(reachable, seconds, seconds));
  } catch {
    // The caller hears of inexact times.
  }
}

function record({ path, mtime }: PathTime): Buffer {
  const nanoseconds = ((mtime % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (mtime - nanoseconds) / 1_000_000_000n;
  return Buffer.concat([Buffer.from(`${seconds} ${nanoseconds} `), toBuffer(path), Buffer.alloc(1)]);
}
