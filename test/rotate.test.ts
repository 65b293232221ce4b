// Rotation: no line is lost, whoever writes at the same moment and wherever a crash cuts it; the whole file
// comes back with the command that the pointer line names.

import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../src/base/bytes.ts';
import { readFlags } from '../src/os/chattr.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const LOG = 'AI_WORK_LOG.md';
const CORA = join(import.meta.dirname, '../bin/cora');
let sandbox: Sandbox;
const writers: ChildProcess[] = [];
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(async () => {
  for (const writer of writers.splice(0)) writer.kill('SIGKILL');
  await sandbox.remove();
});

const at = (path: string) => join(sandbox.project, path);
const numbered = (from: number, to: number, pad = 20) => Array.from({ length: to - from }, (_, n) => `${from + n} ${'x'.repeat(pad)}\n`).join('');
const numbers = (text: string) => [...text.matchAll(/^(\d+) x/gm)].map((match) => Number(match[1]));

type Rotated = {
  readonly action: string;
  readonly removed_lines: number;
  readonly removed_bytes: number;
  readonly snapshot_id: string;
  readonly drained: number;
};
async function rotate(...args: string[]): Promise<Rotated> {
  const { code, result, error } = await sandbox.json(['rotate', ...args]);
  if (code !== 0) throw new Error(JSON.stringify(error));
  return (result['files'] as Rotated[])[0] as Rotated;
}

/** The file as the pointer line says it can be had. */
async function restored(file: string, to: string): Promise<Buffer> {
  const line = readFileSync(at(file), 'utf8').split('\n')[0] ?? '';
  const command = /are in the vault: cora (restore .*?)(?: -->)?$/.exec(line)?.[1] ?? 'none';
  const run = await execute('/bin/sh', ['-c', `cd "$1" && "$2" ${command.replace('DIR', to)}`, 'sh', sandbox.project, CORA], {
    env: { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' },
  });
  expect([run.code, run.stderr]).toEqual([0, '']);
  return readFileSync(join(to, file));
}

/** A program that appends numbered lines: opening the file for each, or keeping it open. */
function startWriter(kind: 'each' | 'open', from: number): ChildProcess {
  const script = `
import os, sys, time
n = int(sys.argv[2])
keep = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if sys.argv[3] == 'open' else None
while not os.path.exists(sys.argv[1] + '.stop'):
    fd = keep if keep is not None else os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, b'%d xxx\\n' % n)
    if keep is None: os.close(fd)
    n += 1
    time.sleep(0.001)
print(n)
`;
  const writer = spawn('/usr/bin/env', ['python3', '-c', script, at(LOG), String(from), kind], { stdio: ['ignore', 'pipe', 'inherit'] });
  writers.push(writer);
  return writer;
}

/** Ends the writer and gives the number of its next line. */
function stopWriter(writer: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    let output = '';
    writer.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    writer.on('close', () => resolve(Number(output.trim())));
    writeFileSync(`${at(LOG)}.stop`, '');
  });
}

test('a grown log keeps its newest half; the pointer leads to the whole, again and again', async () => {
  const first = numbered(0, 6000);
  writeFileSync(at(LOG), first, { mode: 0o640 });
  const planned = await rotate('--dry-run');
  expect([planned.action, readFileSync(at(LOG), 'utf8') === first]).toEqual(['would_rotate', true]);
  const done = await rotate();
  expect(done.action).toBe('rotated');
  const live = readFileSync(at(LOG), 'utf8');
  const [pointer = '', ...rest] = live.split('\n');
  expect(pointer).toMatch(
    /^<!-- cora rotate, .*: 3500 older lines \(\d+ bytes\) are in the vault: cora restore \S+ --to DIR -- AI_WORK_LOG\.md -->$/,
  );
  expect(first.slice(done.removed_bytes)).toBe(rest.join('\n'));
  expect(statSync(at(LOG)).mode & 0o777).toBe(0o640);
  expect((await restored(LOG, join(sandbox.root, 'one'))).toString()).toBe(first);
  expect((await rotate()).action).toBe('within');
  appendFileSync(at(LOG), numbered(6000, 11_000));
  const second = readFileSync(at(LOG), 'utf8');
  await rotate();
  const back = await restored(LOG, join(sandbox.root, 'two'));
  // The whole of the second time begins with the pointer to the first.
  expect([back.toString() === second, back.toString().startsWith(pointer)]).toEqual([true, true]);
  // A cut is no loss.
  expect(await sandbox.json(['save'])).toMatchObject({ code: 0, problems: [] });
  expect(readdirSync(sandbox.project)).toEqual([LOG]);
});

test('a program that appends a thousand lines a second to a 60 MB file loses none', async () => {
  const begun = numbered(0, 600_000, 90);
  writeFileSync(at(LOG), begun);
  const writer = startWriter('each', 600_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (let round = 0; round < (SLOW ? 10 : 2); round++) {
    const done = await rotate('--max-size', round === 0 ? '1MB' : '20kB');
    const live = readFileSync(at(LOG), 'utf8');
    const whole = (await restored(LOG, join(sandbox.root, `out-${round}`))).toString();
    const removed = whole.slice(0, done.removed_bytes);
    const all = new Set([...numbers(removed), ...numbers(live)]);
    const first = round === 0 ? 0 : Math.min(...numbers(whole));
    const last = Math.max(...numbers(live));
    expect([round, all.size]).toEqual([round, last - first + 1]);
    // No line twice either.
    expect(numbers(removed).length + numbers(live).length).toBe(all.size);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const next = await stopWriter(writer);
  const kept = numbers(readFileSync(at(LOG), 'utf8'));
  expect(Math.max(...kept)).toBe(next - 1);
  expect(new Set(kept).size).toBe(kept.length);
});

test('a program that keeps the file open is named, and nothing is changed', async () => {
  writeFileSync(at(LOG), numbered(0, 6000));
  const writer = startWriter('open', 6000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const run = await sandbox.cora(['rotate']);
  expect([run.code, run.stderr]).toEqual([20, expect.stringMatching(/AI_WORK_LOG\.md is kept open for writing by python3 \(process \d+\)/)]);
  const next = await stopWriter(writer);
  expect(numbers(readFileSync(at(LOG), 'utf8'))).toEqual(Array.from({ length: next }, (_, n) => n));
});

test.skipIf(!isRoot)('an append-only file is append-only again (needs root)', async () => {
  writeFileSync(at(LOG), numbered(0, 6000));
  await sandbox.cora(['protect']);
  await rotate();
  expect(readFlags([fromText(at(LOG))])[0]?.append).toBe(true);
  expect(() => writeFileSync(at(LOG), 'x')).toThrow(/EPERM/);
  expect(existsSync(join(sandbox.vault, 'ledger/lifted.json'))).toBe(false);
});

test('odd content and odd names: no last newline, CRLF, bytes, blanks and quotes', async () => {
  for (const [name, content] of [
    ['no-newline.log', `${numbered(0, 3000)}the end`],
    ['crlf.log', numbered(0, 3000).replaceAll('\n', '\r\n')],
    ["it's a $log.md", numbered(0, 3000)],
    ['bytes.log', Buffer.concat(Array.from({ length: 3000 }, (_, n) => Buffer.from([n & 0xff, 0, 0xff, 10])))],
  ] as const) {
    writeFileSync(at(name), content);
    const whole = readFileSync(at(name));
    const done = await rotate('--max-lines', '1000', name);
    expect([name, done.action]).toEqual([name, 'rotated']);
    const live = readFileSync(at(name));
    const tail = live.subarray(live.indexOf(10) + 1);
    expect([name, Buffer.concat([whole.subarray(0, done.removed_bytes), tail]).equals(whole)]).toEqual([name, true]);
    expect([name, (await restored(name, join(sandbox.root, `out-${done.removed_bytes}-${name.replaceAll(/[^a-z]/g, '')}`))).equals(whole)]).toEqual([
      name,
      true,
    ]);
  }
});

test('what is not cut says why, and is untouched', async () => {
  writeFileSync(at('one-line.log'), 'x'.repeat(3_000_000));
  writeFileSync(at('real.log'), numbered(0, 6000));
  symlinkSync('real.log', at('link.log'));
  writeFileSync(at('hard.log'), numbered(0, 6000));
  linkSync(at('hard.log'), at('other-name'));
  mkdirSync(at('directory.log'));
  const db = new Database(at('data.log'));
  db.exec('CREATE TABLE t (n)');
  db.close();
  for (const [name, why] of [
    ['one-line.log', 'one line of 3000000 bytes'],
    ['link.log', 'symbolic link'],
    ['hard.log', 'hard links'],
    ['directory.log', 'no regular file'],
    ['data.log', 'a database'],
    ['../outside', 'outside the project'],
  ]) {
    const run = await sandbox.cora(['rotate', name ?? '', '--max-size', '1kB']);
    expect([name, run.code, run.stderr]).toEqual([name, 20, expect.stringContaining(why ?? '')]);
  }
  expect((await sandbox.cora(['rotate', 'nothing'])).code).toBe(1);
  expect(readFileSync(at('hard.log'), 'utf8')).toBe(numbered(0, 6000));
});

test('kill -9 at any moment: the file is whole or cut, every line is somewhere, and the next run puts it right', async () => {
  const begun = numbered(0, 40_000);
  for (let round = 0; round < (SLOW ? 100 : 4); round++) {
    writeFileSync(at(LOG), begun);
    await sandbox.cora(['save']);
    const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
    const child = spawn(CORA, ['rotate'], { cwd: sandbox.project, env, stdio: 'ignore', detached: true });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, 120 + Math.random() * 500));
    try {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    } catch {
      // It was done already.
    }
    await ended;
    appendFileSync(at(LOG), '40000 x\n');
    expect((await sandbox.cora(['save'])).code).toBe(0);
    const live = readFileSync(at(LOG), 'utf8');
    const kept = numbers(live);
    expect(kept.at(-1)).toBe(40_000);
    if (kept[0] !== 0) {
      const whole = numbers((await restored(LOG, join(sandbox.root, `out-${round}`))).toString());
      expect(new Set([...whole, ...kept]).size).toBe(40_001);
      expect(new Set(kept).size).toBe(kept.length);
    } else expect(kept).toHaveLength(40_001);
    expect(readdirSync(sandbox.project).filter((name) => name.startsWith('.cora-restore'))).toEqual([]);
  }
});

test('a swap that was cut off between its steps is finished or taken back', async () => {
  writeFileSync(at(LOG), numbered(0, 100));
  await sandbox.cora(['save']);
  const note = join(sandbox.vault, 'ledger/rotating.json');
  const fresh = at('.cora-restore-rotate-new');
  const aside = at('.cora-restore-rotate-old');
  const size = statSync(at(LOG)).size;
  // Before the old file got its second name.
  writeFileSync(fresh, numbered(50, 100));
  writeFileSync(note, JSON.stringify({ path: LOG, drained_to: size }));
  await sandbox.cora(['save']);
  expect([existsSync(fresh), existsSync(note), numbers(readFileSync(at(LOG), 'utf8')).length]).toEqual([false, false, 100]);
  // Before the rename: the old file has both names.
  writeFileSync(fresh, numbered(50, 100));
  linkSync(at(LOG), aside);
  writeFileSync(note, JSON.stringify({ path: LOG, drained_to: size }));
  await sandbox.cora(['save']);
  expect([existsSync(aside), numbers(readFileSync(at(LOG), 'utf8')).length]).toEqual([false, 100]);
  // After the rename, with a line that reached the old file late.
  linkSync(at(LOG), aside);
  writeFileSync(fresh, numbered(50, 100));
  await execute('mv', [fresh, at(LOG)]);
  appendFileSync(aside, '100 x\n');
  writeFileSync(note, JSON.stringify({ path: LOG, drained_to: size }));
  appendFileSync(at(LOG), '101 x\n');
  await sandbox.cora(['save']);
  expect([existsSync(aside), numbers(readFileSync(at(LOG), 'utf8')).toSorted((a, b) => a - b)]).toEqual([
    false,
    Array.from({ length: 52 }, (_, n) => 50 + n),
  ]);
});
