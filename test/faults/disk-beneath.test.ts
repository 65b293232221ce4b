// What lies on the disk, and what a run left in the ledger when it died: a disk that changed below the page cache, which goes on
// giving the good bytes, and a ledger whose last line was cut off in the middle of its write.

import { randomBytes } from 'node:crypto';
import { appendFileSync, closeSync, openSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CORA } from '../support/run-cora.ts';
import { execute, PATH, Sandbox } from '../support/sandbox.ts';
import { canTrace } from '../support/trace-opens.ts';
import { Bench, Disk, KINDS, whyNoDisks } from './power/disk.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

/** A file's bytes on the disk are others from here on; who reads it through the cache does not see that. */
function alterBeneath(image: string, path: string): void {
  const content = readFileSync(path);
  const at = readFileSync(image).indexOf(content.subarray(0, 512));
  expect(at).toBeGreaterThan(0);
  const fd = openSync(image, 'r+');
  writeSync(fd, Buffer.of((content[100] ?? 0) ^ 1), 0, 1, at + 100);
  closeSync(fd);
  expect(readFileSync(path).equals(content)).toBe(true);
}

const why = whyNoDisks();
test.skipIf(why !== undefined)(
  `verify reads the disk and not the page cache${why === undefined ? '' : ` (${why})`}`,
  { timeout: 60_000 },
  async () => {
    const bench = new Bench();
    try {
      const disk = await Disk.make(bench, KINDS.ext4, 'beneath');
      await disk.mount();
      const vault = join(disk.mountPoint, 'vault');
      const env = { CORA_VAULT: vault };
      writeFileSync(join(sandbox.project, 'noise.bin'), randomBytes(100_000));
      expect((await sandbox.cora(['save'], { env })).code).toBe(0);
      expect((await sandbox.cora(['verify', '--all'], { env })).code).toBe(0);
      const pack = readdirSync(vault, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('objects.tar.zst')) ?? '';
      alterBeneath(disk.image, join(vault, pack));
      const verified = await sandbox.cora(['verify', '--all'], { env });
      expect([verified.code, verified.stdout + verified.stderr]).toEqual([21, expect.stringContaining('objects.tar.zst')]);
    } finally {
      bench.releaseSync();
    }
  },
);

test.skipIf(!canTrace)(
  `a helper that is killed while it sets the times of what is restored does not leave the time of the restore${canTrace ? '' : ' (needs strace, and to be allowed to trace)'}`,
  async () => {
    const names = Array.from({ length: 30 }, (_, number) => `${number}.txt`);
    for (const name of names) {
      writeFileSync(join(sandbox.project, name), name);
      utimesSync(join(sandbox.project, name), 1e9, 1e9);
    }
    expect((await sandbox.cora(['save'])).code).toBe(0);
    const to = join(sandbox.root, 'out');
    const strace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=utimensat', '-e', 'inject=utimensat:signal=KILL:when=9'];
    const env = { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
    const run = await execute('/usr/bin/env', ['strace', ...strace, CORA, 'restore', 'latest', '--to', to], { cwd: sandbox.project, env });
    expect(run.code).toBe(0);
    for (const name of names) expect(statSync(join(to, name)).mtimeMs).toBe(1e12);
  },
);

test('a line of the ledger that a crash cut off is taken away by the next run, and not continued', async () => {
  const change = (content: string) => writeFileSync(join(sandbox.project, 'a.txt'), content);
  change('one');
  expect((await sandbox.cora(['save'])).code).toBe(0);
  const chain = join(sandbox.vault, 'ledger/chain.log');
  const line = readFileSync(chain, 'latin1');
  for (const length of [1, 20, line.length - 1]) {
    appendFileSync(chain, line.slice(0, length), 'latin1');
    change(`after ${length}`);
    expect((await sandbox.cora(['save'])).code).toBe(0);
    expect((await sandbox.cora(['verify', '--all', '--chain'])).code).toBe(0);
  }
  expect((await sandbox.cora(['list', '--saves'])).stdout.match(/nogit/g)?.length).toBeGreaterThanOrEqual(4);
  for (const text of readFileSync(chain, 'latin1').trimEnd().split('\n')) expect(text.split(' ')).toHaveLength(7);
});
