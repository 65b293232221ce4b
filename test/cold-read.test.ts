// What is read to be compared comes from the disk: the kernel is asked to leave its cache out.

import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readCold } from '../src/os/cold-read.ts';

const O_DIRECT = 0o40000;

/** Whether this process has `path` open now so that the cache is left out. */
function isDirect(path: string): boolean {
  const open = readdirSync('/proc/self/fd').filter((fd) => linkOf(`/proc/self/fd/${fd}`) === path);
  const flags = open.map((fd) => Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0', 8));
  return flags.length === 1 && flags.every((one) => (one & O_DIRECT) !== 0);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // It was the descriptor of the listing itself.
    return '';
  }
}

function readAll(path: string) {
  const parts: Buffer[] = [];
  const direct: boolean[] = [];
  const { bytes, cold } = readCold(path, (part) => {
    parts.push(Buffer.from(part));
    direct.push(isDirect(path));
  });
  return { bytes, cold, content: Buffer.concat(parts), direct };
}

test('a file on a disk is read whole, past the cache', () => {
  const directory = mkdtempSync(join(import.meta.dirname, '../.cold-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'file');
  const content = Buffer.alloc((1 << 20) + 12_345, 'every byte ');
  writeFileSync(path, content);
  const read = readAll(path);
  expect([read.bytes, read.direct]).toEqual([content.length, [read.cold, read.cold]]);
  expect(read.content.equals(content)).toBe(true);
});

test('where a file system cannot leave its cache out, it is read through it, and that is said', () => {
  const path = '/proc/sys/kernel/ostype';
  expect(readAll(path)).toMatchObject({ cold: false, direct: [false], content: readFileSync(path) });
});
