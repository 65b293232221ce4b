// Headers that GNU tar, bsdtar, busybox and node-tar all read as what was written.

import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Parser } from 'tar';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bytes, bytes, fromBuffer, fromText, fsPath, joinBytes } from '../src/base/bytes.ts';
import { TAR_END } from '../src/format/object-entry.ts';
import { paxRecord, sparseMap, TAR_TYPES, type TarEntry, tarHeader } from '../src/format/tar-entry.ts';
import { cleanEnvironment, findProgram, runSync } from '../src/os/run.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cora-tar-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const TOOLS = [
  ['GNU tar', 'tar', []],
  ['bsdtar', 'bsdtar', []],
  ['busybox tar', 'busybox', ['tar']],
] as const;

const entry = (changes: Partial<TarEntry>): TarEntry => ({
  type: TAR_TYPES.file,
  name: bytes('./file'),
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 1_600_000_000_123_456_789n,
  size: 0,
  ...changes,
});

function extract(program: string, args: readonly string[], entries: readonly TarEntry[], locale = 'C.UTF-8'): string {
  const archive = join(directory, 'a.tar');
  writeFileSync(archive, Buffer.concat([...entries.map(tarHeader), TAR_END]));
  const result = runSync(findProgram(program) ?? '', [...args, '-xpf', archive, '-C', directory], { env: { ...cleanEnvironment(), LC_ALL: locale } });
  expect(result.exitCode, result.stderr).toBe(0);
  return result.stderr;
}

function names(): string[] {
  const all: string[] = [];
  const visit = (path: Bytes): void => {
    for (const raw of readdirSync(fsPath(joinBytes(bytes(directory), path)), { encoding: 'buffer' })) {
      const name = joinBytes(path, fromBuffer(raw));
      if (lstatSync(fsPath(joinBytes(bytes(directory), name))).isDirectory()) visit(name);
      else if (name !== './a.tar') all.push(name);
    }
  };
  visit(bytes('.'));
  return all.sort();
}

const deep = `${'d'.repeat(60)}/`;
const NAMES: readonly Bytes[] = [
  // 2 bytes of `./` go before each: the limits are 100 and 155 + 1 + 100.
  ...[97, 98, 99].map((size) => bytes(`./${'n'.repeat(size)}`)),
  ...[153, 154, 155].map((size) => bytes(`./${'p'.repeat(size - 2 - 61)}/${deep.slice(0, 60)}/${'q'.repeat(99)}`)),
  ...[99, 100, 101, 253, 255].map((size) => bytes(`./${deep}${'r'.repeat(size)}`)),
  bytes(`./${deep.repeat(10)}${'s'.repeat(200)}`),
  fromText('./\u00e9t\u00e9 \u65e5\u672c'),
  bytes('./raw-\xff\xfe'),
  bytes(`./${'t'.repeat(200)}/\xff${'u'.repeat(200)}`),
  fromText(`./${'\u00e9'.repeat(120)}`),
  bytes('./-rf'),
  bytes('./@x'),
  bytes('./back\\slash\nnewline\ttab'),
];

for (const [tool, program, args] of TOOLS) {
  test.skipIf(findProgram(program) === undefined).each(['C', 'C.UTF-8'])(
    `${tool} takes every name byte by byte in the locale %s, without a word`,
    (locale) => {
      const said = extract(
        program,
        args,
        NAMES.map((name) => entry({ name })),
        locale,
      );
      expect(said).toBe('');
      expect(names()).toEqual([...NAMES].sort());
    },
  );

  test.skipIf(findProgram(program) === undefined)(`${tool} takes long and raw link targets`, () => {
    const targets = [98, 99, 100, 101, 500].map((size) => bytes('x'.repeat(size)));
    targets.push(bytes('\xff'), bytes(`${'y'.repeat(150)}\xfe`), bytes('/absolute/../path'));
    extract(
      program,
      args,
      targets.map((link, index) => entry({ type: TAR_TYPES.symlink, name: bytes(`./link-${index}`), link })),
    );
    targets.forEach((link, index) => {
      expect(fromBuffer(readlinkSync(join(directory, `link-${index}`), { encoding: 'buffer' }))).toBe(link);
    });
  });

  test.skipIf(findProgram(program) === undefined)(`${tool} takes times and owners over the octal limits`, () => {
    const times = [0n, 999_999_999n, 8_589_934_591n * 10n ** 9n, 8_589_934_592n * 10n ** 9n + 5n, -(10n ** 9n), -86_400n * 10n ** 9n];
    extract(
      program,
      args,
      times.map((mtime, index) => entry({ name: bytes(`./time-${index}`), mtime })),
    );
    times.forEach((mtime, index) => {
      const actual = lstatSync(join(directory, `time-${index}`), { bigint: true }).mtimeNs;
      expect(program === 'tar' ? actual : actual / 10n ** 9n).toBe(program === 'tar' ? mtime : mtime / 10n ** 9n);
    });
    if (process.getuid?.() !== 0) return;
    const owners = [0, 2_097_151, 2_097_152, 4_000_000_000];
    extract(
      program,
      args,
      owners.map((uid) => entry({ name: bytes(`./owner-${uid}`), uid, gid: uid + 1 })),
    );
    for (const uid of owners) expect(lstatSync(join(directory, `owner-${uid}`))).toMatchObject({ uid, gid: uid + 1 });
  });
}

test('GNU tar takes a fraction of a second before 1970 exactly', () => {
  const times = [-1n, -1_500_000_000n, -999_999_999n, -1_000_000_001n];
  extract(
    'tar',
    [],
    times.map((mtime, index) => entry({ name: bytes(`./time-${index}`), mtime })),
  );
  times.forEach((mtime, index) => {
    expect(lstatSync(join(directory, `time-${index}`), { bigint: true }).mtimeNs).toBe(mtime);
  });
});

test.each([8_589_934_591, 8_589_934_592, 1_000_000_000_000])('all tools list a file of %i bytes with its size', (size) => {
  const header = tarHeader(entry({ size }));
  for (const [, program, args] of TOOLS) {
    const found = findProgram(program);
    if (found === undefined) continue;
    // The content is not there: the listing is right, the end is not.
    expect(runSync(found, [...args, '-tvf', '-'], { input: header }).stdout.toString()).toContain(` ${size} `);
  }
});

test('a sparse map has its extents in whole blocks, and tells a hole at the end', () => {
  expect(sparseMap([{ offset: 512, size: 512 }], 1024).toString()).toBe(`1\n512\n512\n${'\0'.repeat(502)}`);
  expect(sparseMap([], 7).toString()).toBe(`1\n7\n0\n${'\0'.repeat(506)}`);
  expect(
    sparseMap([{ offset: 0, size: 512 }], 1024)
      .toString()
      .replaceAll('\0', ''),
  ).toBe('2\n0\n512\n1024\n0\n');
  const many = Array.from({ length: 100 }, (_, index) => ({ offset: index * 1000, size: 10 }));
  expect(sparseMap(many, 100_000).length % 512).toBe(0);
});

test('a pax record counts its own length', () => {
  for (let size = 0; size < 1100; size++) {
    const record = paxRecord('path', 'v'.repeat(size));
    expect(Number.parseInt(record, 10)).toBe(record.length);
  }
});

test('node-tar reads names, times and owners', async () => {
  const entries = [
    entry({ name: bytes(`./${deep.repeat(6)}x`), uid: 3_000_000 }),
    entry({ type: TAR_TYPES.directory, name: bytes('./dir/'), mtime: 5n * 10n ** 9n }),
  ];
  const read: { path: string; uid: number | undefined; mtime: number | undefined }[] = [];
  const parser = new Parser({
    onReadEntry: (one) => {
      read.push({ path: one.path, uid: one.uid, mtime: one.mtime?.getTime() });
      one.resume();
    },
  });
  await new Promise<void>((resolve, reject) => {
    parser.on('end', resolve).on('error', reject);
    parser.end(Buffer.concat([...entries.map(tarHeader), TAR_END]));
  });
  expect(read).toEqual([
    { path: `./${deep.repeat(6)}x`, uid: 3_000_000, mtime: 1_600_000_000_123 },
    { path: './dir/', uid: 0, mtime: 5000 },
  ]);
});
