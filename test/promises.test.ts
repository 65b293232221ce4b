// Promises of cost and of detection: a save of an unchanged tree opens nothing, small changes stay
// small, and any altered, cut, lost or added file of a snapshot is found and named.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesBelow } from '../src/actions/list.ts';
import { verify } from '../src/actions/verify.ts';
import { CORA, cora, coraJson, makeScratch, type Scratch, sh, unseal } from './support/run-cora.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const hasStrace = spawnSync('/usr/bin/strace', ['-V']).status === 0;
let scratch: Scratch;

beforeEach(() => {
  scratch = makeScratch();
  mkdirSync(scratch.project);
});

afterEach(() => scratch.remove());

function makeFiles(count: number): void {
  for (let i = 0; i < count; i++) {
    mkdirSync(join(scratch.project, `d${i % 20}`), { recursive: true });
    writeFileSync(join(scratch.project, `d${i % 20}/f${i}.txt`), `file ${i}\n`.repeat(20));
  }
  sh('find . -exec touch -d "1 hour ago" {} +; sleep 2.1', scratch.project);
}

test.skipIf(!hasStrace)('a save with nothing changed opens no file of the project (needs strace)', () => {
  makeFiles(300);
  coraJson(scratch, ['save']);
  const trace = join(scratch.root, 'trace');
  const run = spawnSync('/usr/bin/strace', ['-f', '-qq', '-e', 'trace=open,openat', '-o', trace, CORA, 'save', '--json'], {
    cwd: scratch.project,
    env: scratch.env,
    encoding: 'utf8',
  });
  expect([run.status, (JSON.parse(run.stdout) as { result: { changed: boolean } }).result.changed]).toEqual([0, false]);
  const opened = readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${scratch.project}/`) && !line.includes('O_DIRECTORY') && !line.includes('ENOENT'));
  expect(opened).toEqual([]);
  expect(readFileSync(join(scratch.vault, 'ledger/chain.log'), 'utf8').trim().split('\n').at(-1)).toContain(' unchanged ');
});

test('saves with one small change each grow the vault by the change, and each restores what was then', () => {
  makeFiles(1000);
  coraJson(scratch, ['save']);
  const start = bytesBelow(scratch.vault);
  const then = new Map<string, string>();
  const rounds = SLOW ? 200 : 10;
  for (let round = 0; round < rounds; round++) {
    writeFileSync(join(scratch.project, `d${round % 20}/f${round}.txt`), `changed in round ${round}\n`);
    const result = coraJson(scratch, ['save']);
    expect(result['files_changed']).toBe(1);
    then.set(String(result['snapshot_id']), `d${round % 20}/f${round}.txt`);
  }
  // A listing alone, written whole, would be some 40 kB.
  expect((bytesBelow(scratch.vault) - start) / rounds).toBeLessThan(12_000);
  let round = 0;
  for (const [id, path] of then) {
    if (round % 5 === 0) {
      const to = join(scratch.root, `at-${round}`);
      expect(cora(scratch, ['restore', id, '--to', to]).code).toBe(0);
      expect(readFileSync(join(to, path), 'utf8')).toBe(`changed in round ${round}\n`);
      const next = join(to, `d${(round + 1) % 20}/f${round + 1}.txt`);
      expect(readFileSync(next, 'utf8')).toBe(`file ${round + 1}\n`.repeat(20));
    }
    round += 1;
  }
});

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(directory, entry.name)) : [join(directory, entry.name)],
  );
}

test('flipped bits, cut, lost and added files of a backup and of a save are found and named to the file', async () => {
  writeFileSync(join(scratch.project, '.env'), 'KEY=value\n');
  writeFileSync(join(scratch.project, 'a.txt'), 'hello\n');
  const backup = coraJson(scratch, ['backup', 'now']);
  const directories = [String(backup['path']), String((backup['save'] as { path: string }).path)];
  const ctx = {
    monitor: { phase() {}, progress() {}, problem() {}, note() {} },
    now: Date.now,
    signal: new AbortController().signal,
    workers: 0,
    lockWait: 1000,
    version: 'test',
  };
  const damagedFiles = async (): Promise<string[]> => {
    const result = await verify(
      { path: scratch.vault, source: 'explicit', expectedId: undefined, memory: undefined },
      { target: 'all', deep: false },
      ctx,
    );
    return result.snapshots.flatMap(({ damaged }) => damaged.map(({ file }) => join(scratch.vault, file)));
  };
  expect(await damagedFiles()).toEqual([]);
  unseal(scratch.vault);
  for (const file of directories.flatMap(filesBelow)) {
    const whole = readFileSync(file);
    const step = SLOW ? 1 : Math.max(1, Math.floor((whole.length * 8) / 7));
    for (let bit = 0; bit < whole.length * 8; bit += step) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(file, flipped);
      expect([file, bit, (await damagedFiles()).includes(file)]).toEqual([file, bit, true]);
    }
    writeFileSync(file, whole);
    const cuts = SLOW ? Array.from({ length: whole.length }, (_, length) => length) : [0, Math.floor(whole.length / 2), whole.length - 1];
    for (const length of cuts) {
      if (length < 0 || length >= whole.length) continue;
      truncateSync(file, length);
      expect([file, length, (await damagedFiles()).includes(file)]).toEqual([file, length, true]);
      writeFileSync(file, whole);
    }
    if (!file.endsWith('/SHA256SUMS.txt')) {
      rmSync(file);
      expect([file, 'lost', (await damagedFiles()).includes(file)]).toEqual([file, 'lost', true]);
      writeFileSync(file, whole);
    }
  }
  for (const directory of directories) {
    writeFileSync(join(directory, 'intruder'), 'x');
    expect(await damagedFiles()).toContain(join(directory, 'intruder'));
    rmSync(join(directory, 'intruder'));
  }
  expect(await damagedFiles()).toEqual([]);
  expect(statSync(scratch.vault).mode & 0o777).toBe(0o700);
});

test('garbage in the cache, or none, never spoils the next save', () => {
  makeFiles(50);
  coraJson(scratch, ['save']);
  const cache = join(scratch.vault, '.cache');
  const spoil = [
    (): void => rmSync(cache, { recursive: true }),
    (): void => writeFileSync(join(cache, 'tree.bin'), 'garbage'),
    (): void => writeFileSync(join(cache, 'objects.idx'), Buffer.alloc(5000, 7)),
    (): void => truncateSync(join(cache, 'tree.bin'), 100),
  ];
  for (const [round, action] of spoil.entries()) {
    action();
    writeFileSync(join(scratch.project, 'd1/f1.txt'), `round ${round}\n`);
    expect(cora(scratch, ['save']).code).toBe(0);
    const to = join(scratch.root, `out-${round}`);
    expect(cora(scratch, ['restore', 'latest', '--to', to]).code).toBe(0);
    expect(sh(`diff -r '${scratch.project}' '${to}' && echo same`, '/')).toBe('same\n');
    expect(cora(scratch, ['verify', '--all', '--deep']).code).toBe(0);
  }
});
