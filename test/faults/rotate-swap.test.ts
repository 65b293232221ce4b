// Rotation against what is unkind to it: kills at each step of the swap, programs that replace, rewrite or
// hold the file, another vault, a full disk, an ordinary user. Nothing is lost, and no save is stopped.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pointerLength, pointerLine } from '../../src/actions/rotate-pointer.ts';
import { bytes, fromText } from '../../src/base/bytes.ts';
import { changeFlags, readFlags } from '../../src/os/chattr.ts';
import { findProgram } from '../../src/os/run.ts';
import { execute, isRoot, Sandbox, whyNotNobody } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const LOG = 'AI_WORK_LOG.md';
const CORA = join(import.meta.dirname, '../../bin/cora');
const strace = findProgram('strace');
let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);
const note = () => join(sandbox.vault, 'ledger/rotating.json');
const FRESH = '.cora-restore-rotate-new';
const ASIDE = '.cora-restore-rotate-old';
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `${from + n} xxxxxxxxxxxxxxxxxxxx\n`).join('');
const numbers = (text: string) => [...text.matchAll(/^(\d+) x/gm)].map((match) => Number(match[1]));
const live = () => readFileSync(at(LOG), 'utf8');
const leftovers = () => readdirSync(sandbox.project).filter((name) => name.startsWith('.cora-restore'));

/** The state after the rename: the old file (with `old`) has its second name, the live one holds `fresh`. */
async function afterRename(old: string, fresh: string, more: Record<string, unknown> = {}): Promise<void> {
  writeFileSync(at(LOG), old);
  await sandbox.cora(['save']);
  linkSync(at(LOG), at(ASIDE));
  writeFileSync(at('n'), fresh);
  renameSync(at('n'), at(LOG));
  writeFileSync(note(), JSON.stringify({ path: LOG, drained_to: old.length, ...more }));
}

/** `cora rotate` under strace with one injected fault in the calls that touch the swap's own names. */
function injected(fault: string): Promise<unknown> {
  const watched = [at(LOG), at(FRESH), at(ASIDE), note(), `${note()}.new`].flatMap((path) => ['-P', path]);
  const calls = 'trace=link,linkat,rename,renameat,unlink,unlinkat,fsync';
  const args = ['-f', '-qq', '-o', join(sandbox.root, 'trace'), '-e', calls, '-e', `inject=${fault}`, ...watched, CORA, 'rotate'];
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
  const child = spawn(strace ?? 'strace', args, { cwd: sandbox.project, env, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => child.on('close', (code) => resolve([code, stderr])));
}

test('a late line is kept though the same line is there already', async () => {
  await afterRename(numbered(0, 100), 'pointer\nheartbeat\n');
  appendFileSync(at(ASIDE), 'heartbeat\n');
  await sandbox.cora(['save']);
  expect([live(), leftovers(), existsSync(note())]).toEqual(['pointer\nheartbeat\nheartbeat\n', [], false]);
});

test.skipIf(strace === undefined)('late lines are on the disk before the old file goes (needs strace)', async () => {
  await afterRename(numbered(0, 100), numbered(10, 100));
  appendFileSync(at(ASIDE), 'a late line\n');
  const trace = join(sandbox.root, 'trace');
  const args = ['-f', '-qq', '-y', '-o', trace, '-e', 'trace=write,fsync,unlink,unlinkat', '-P', at(LOG), '-P', at(ASIDE), CORA, 'save'];
  const env = { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' };
  const child = spawn(strace ?? 'strace', args, { cwd: sandbox.project, env, stdio: 'ignore' });
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
  expect(live()).toBe(`${numbered(10, 100)}a late line\n`);
  const calls = readFileSync(trace, 'utf8').split('\n');
  const written = calls.findIndex((call) => call.includes('a late line'));
  const synced = calls.findIndex((call, index) => index > written && /fsync\(/.test(call) && call.includes(LOG) && !call.includes(ASIDE));
  const gone = calls.findIndex((call) => /unlink/.test(call) && call.includes(ASIDE));
  expect({ written: written >= 0, synced: synced > written, gone: gone > synced }, calls.join('\n')).toEqual({
    written: true,
    synced: true,
    gone: true,
  });
});

test('a program that holds the old file stops no save; its whole lines are moved over, and the rest when it ends', async () => {
  // Shrunk by less than half, so that only the holder is told of.
  await afterRename(numbered(0, 100), numbered(10, 100));
  const holder = spawn('/bin/sh', ['-c', 'printf "100 x\\n101" >&3; read _; printf " x\\n" >&3', 'sh'], {
    stdio: ['pipe', 'ignore', 'inherit', openSync(at(ASIDE), 'a')],
  });
  const ended = new Promise((resolve) => holder.on('close', resolve));
  const fds = readdirSync('/proc/self/fd').map(Number);
  for (const fd of fds) if (isOpenOn(fd, at(ASIDE))) closeSync(fd);
  await expect.poll(() => readFileSync(at(ASIDE), 'utf8').endsWith('101')).toBe(true);
  const held = await sandbox.json(['save']);
  expect([held.code, held.problems]).toEqual([
    0,
    [expect.objectContaining({ code: 'rotating', path: LOG, severity: 'warning', message: expect.stringMatching(/^sh \(process \d+\)/) })],
  ]);
  expect([numbers(live()).at(-1), live().endsWith('100 x\n'), leftovers()]).toEqual([100, true, [ASIDE]]);
  // Nothing else is rotated over it.
  expect((await sandbox.cora(['rotate', LOG, '--max-lines', '10'])).code).toBe(20);
  holder.stdin?.end('\n');
  await ended;
  expect(await sandbox.json(['save'])).toMatchObject({ code: 0, problems: [] });
  expect([numbers(live()), leftovers(), existsSync(note())]).toEqual([Array.from({ length: 92 }, (_, n) => 10 + n), [], false]);
});

function isOpenOn(fd: number, path: string): boolean {
  try {
    return statSync(`/proc/self/fd/${fd}`).ino === statSync(path).ino;
  } catch {
    return false;
  }
}

test.each([
  ['shorter', 'my own text\n'],
  ['of the same length', numbered(0, 100).replace('5 x', '9 y')],
])('a program that rewrote the old file (%s) keeps what it wrote, under a name that saves take in', async (_how, text) => {
  const sha256 = createHash('sha256').update(numbered(0, 100)).digest('hex');
  await afterRename(numbered(0, 100), numbered(10, 100), { proven: numbered(0, 100).length, sha256 });
  writeFileSync(at(ASIDE), text);
  const run = await sandbox.json(['save']);
  expect(run.problems).toContainEqual(expect.objectContaining({ code: 'rotating', message: expect.stringContaining(`${LOG}.rewritten-1`) }));
  expect([readFileSync(at(`${LOG}.rewritten-1`), 'utf8'), live(), leftovers()]).toEqual([text, numbered(10, 100), []]);
});

test('what a rotation with another vault left is not touched', async () => {
  writeFileSync(at(LOG), numbered(0, 6000));
  writeFileSync(at(ASIDE), 'the only copy\n');
  const run = await sandbox.cora(['rotate', LOG]);
  expect([run.code, run.stderr]).toEqual([20, expect.stringContaining('with another vault left')]);
  expect([readFileSync(at(ASIDE), 'utf8'), live() === numbered(0, 6000), existsSync(note())]).toEqual(['the only copy\n', true, false]);
});

test.skipIf(strace === undefined)('killed at each step of the swap: nothing is lost, and the next save puts it right (needs strace)', async () => {
  const steps = SLOW
    ? ['fsync:1', 'rename:1', 'fsync:2', 'fsync:3', 'rename:2', 'link:1', 'rename:3', 'unlink:1', 'unlink:2']
    : ['link:1', 'rename:3', 'unlink:1'];
  for (const step of steps) {
    writeFileSync(at(LOG), `${numbered(0, 6000)}6000 x`);
    await sandbox.cora(['save']);
    const [call, when] = step.split(':');
    await injected(`${call}:signal=KILL:when=${when}`);
    expect([step, existsSync(note()) || step === 'fsync:1' || step === 'rename:1']).toEqual([step, true]);
    appendFileSync(at(LOG), '\n6001 x\n');
    expect([step, (await sandbox.cora(['save'])).code]).toEqual([step, 0]);
    const kept = numbers(live());
    const isCut = kept[0] !== 0;
    expect([step, isCut, kept.toSorted((a, b) => a - b)]).toEqual([
      step,
      step.startsWith('unlink'),
      Array.from({ length: isCut ? 2502 : 6002 }, (_, n) => (isCut ? 3500 : 0) + n),
    ]);
    expect([step, leftovers(), existsSync(note())]).toEqual([step, [], false]);
  }
});

test.skipIf(strace === undefined)(
  'killed in the middle, and the file deleted since: what was kept beside it has its name again (needs strace)',
  async () => {
    writeFileSync(at(LOG), numbered(0, 6000));
    await injected('rename:signal=KILL:when=3');
    rmSync(at(LOG));
    expect((await sandbox.cora(['save'])).code).toBe(0);
    expect([numbers(live()).length, leftovers(), existsSync(note())]).toEqual([6000, [], false]);
  },
);

test.skipIf(strace === undefined || !isRoot)(
  'an append-only file is so again after a kill on either side of the swap (needs root, strace)',
  async () => {
    for (const step of ['rename:signal=KILL:when=3', 'unlink:signal=KILL:when=1']) {
      writeFileSync(at(LOG), numbered(0, 6000));
      changeFlags('+a', [fromText(at(LOG))]);
      await injected(step);
      expect([step, existsSync(note()), readFlags([fromText(at(LOG))])[0]?.append]).toEqual([step, true, false]);
      expect((await sandbox.cora(['save'])).code).toBe(0);
      expect([step, readFlags([fromText(at(LOG))])[0]?.append, leftovers()]).toEqual([step, true, []]);
      changeFlags('-a', [fromText(at(LOG))]);
    }
  },
);

test.skipIf(strace === undefined)('a program that puts another file in its place in the middle is not overwritten (needs strace)', async () => {
  writeFileSync(at(LOG), numbered(0, 6000));
  const ended = injected('link:delay_exit=1500000:when=1');
  await expect.poll(() => existsSync(at(ASIDE)), { timeout: 20_000, interval: 10 }).toBe(true);
  writeFileSync(at('edited'), 'edited by hand\n');
  renameSync(at('edited'), at(LOG));
  expect(await ended).toEqual([20, expect.stringContaining('was replaced by another file just now')]);
  expect([live(), leftovers(), existsSync(note())]).toEqual(['edited by hand\n', [], false]);
});

test.skipIf(!isRoot || findProgram('setfattr') === undefined || findProgram('setfacl') === undefined)(
  'owner, mode, ACLs and extended attributes stay (needs root, setfattr, setfacl)',
  async () => {
    writeFileSync(at(LOG), numbered(0, 6000));
    chownSync(at(LOG), 65_534, 1234);
    chmodSync(at(LOG), 0o2640);
    await execute('setfattr', ['-n', 'user.kind', '-v', 'memory', at(LOG)]);
    await execute('setfacl', ['-m', 'u:1235:rw', at(LOG)]);
    const look = async () => [
      (await execute('getfattr', ['-d', '--absolute-names', at(LOG)])).stdout,
      (await execute('getfacl', ['-p', at(LOG)])).stdout,
      statSync(at(LOG)).mode,
    ];
    const before = await look();
    expect(before[0]).toContain('memory');
    expect((await sandbox.cora(['rotate'])).code).toBe(0);
    expect([await look(), numbers(live()).length]).toEqual([before, 2500]);
  },
);

test.skipIf(!isRoot)('a disk without room for the shorter file: exit 1, the file is as it was (needs root)', async () => {
  expect((await execute('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'none', sandbox.project])).code).toBe(0);
  try {
    const text = numbered(0, 180_000);
    writeFileSync(at('app.log'), text);
    const run = await sandbox.cora(['rotate', 'app.log', '--max-size', '4MB', '--max-lines', '1000000']);
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/no space/i)]);
    expect([readFileSync(at('app.log'), 'utf8') === text, readdirSync(sandbox.project), existsSync(note())]).toEqual([true, ['app.log'], false]);
  } finally {
    await execute('umount', [sandbox.project]);
  }
});

test.skipIf(!isRoot)('a vault without room: nothing is cut (needs root)', async () => {
  mkdirSync(sandbox.vault);
  expect((await execute('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', sandbox.vault])).code).toBe(0);
  try {
    const inner = join(sandbox.vault, 'v');
    const text = Array.from({ length: 60_000 }, (_, n) => `${n} ${Math.random()}${Math.random()}${Math.random()}\n`).join('');
    writeFileSync(at(LOG), text);
    const run = await sandbox.cora(['rotate'], { env: { CORA_VAULT: inner } });
    expect([run.code, live() === text, leftovers()]).toEqual([1, true, []]);
  } finally {
    await execute('umount', [sandbox.vault]);
  }
});

test('one file that cannot be cut does not keep the others', async () => {
  writeFileSync(at('AI_DISCUSSION_SPACE.md'), numbered(0, 6000));
  linkSync(at('AI_DISCUSSION_SPACE.md'), at('other-name'));
  writeFileSync(at(LOG), numbered(0, 6000));
  const { code, result, problems } = await sandbox.json(['rotate']);
  expect([code, (result['files'] as { action: string }[]).map(({ action }) => action)]).toEqual([3, ['refused', 'rotated']]);
  expect(problems).toContainEqual(expect.objectContaining({ code: 'rotating', path: 'AI_DISCUSSION_SPACE.md', severity: 'error' }));
});

test('a limit smaller than the pointer is met at once; a dry run makes no vault', async () => {
  writeFileSync(at(LOG), numbered(0, 100));
  expect((await sandbox.cora(['rotate', '--dry-run', '--max-lines', '1'])).stdout).toContain('would move 99 older lines');
  expect(existsSync(sandbox.vault)).toBe(false);
  const actions = [];
  for (let run = 0; run < 2; run++) {
    const { result } = await sandbox.json(['rotate', '--max-lines', '1']);
    actions.push((result['files'] as { action: string }[])[0]?.action);
  }
  expect([actions, numbers(live())]).toEqual([['rotated', 'within'], [99]]);
});

test('a rotation does not excuse that the file is gone', async () => {
  writeFileSync(at('other'), 'text\n');
  writeFileSync(at(LOG), numbered(0, 6000));
  expect((await sandbox.cora(['rotate'])).code).toBe(0);
  await execute('rm', ['--', at(LOG)]);
  const { code, problems } = await sandbox.json(['save']);
  expect([code, problems.map((problem) => problem.code)]).toEqual([3, ['lost']]);
});

test('the pointer is a line of its kind of file, and names any file so that a shell finds it', async () => {
  const cut = { time: '2026-11-21T03:15:00.000Z', lines: 1, size: 2, id: 'ID' };
  for (const name of ['a.md', 'a.jsonl', 'a.log', "it's", 'a\nb', '50% off.md', '\xff\xfe', 'a -->.md', '-dash'].map(bytes)) {
    const line = pointerLine({ ...cut, path: name });
    expect([name, line.indexOf('\n'), pointerLength(Buffer.from(`${line}more\n`))]).toEqual([name, line.length - 1, Buffer.byteLength(line)]);
    const text = name.endsWith('.jsonl') ? (JSON.parse(line) as { cora_rotate: string }).cora_rotate : line.replace(/ -->\n$/, '').trimEnd();
    const word = text.slice(text.indexOf(' -- ') + 4);
    const echoed = await execute('/bin/sh', ['-c', `printf %s ${word} | od -An -v -tx1 | tr -d ' \\n'`]);
    expect([name, echoed.stdout]).toEqual([name, Buffer.from(name, 'latin1').toString('hex')]);
  }
});

const noNobody = whyNotNobody();
test.skipIf(!isRoot || noNobody !== undefined)(
  `an ordinary user: what he cannot keep as it is, he does not cut (needs root; ${noNobody ?? 'ok'})`,
  async () => {
    await sandbox.remove();
    sandbox = new Sandbox({ nobody: true });
    for (const name of [LOG, 'foreign.log', 'append.log', 'sub/fixed.log']) {
      mkdirSync(join(at(name), '..'), { recursive: true });
      writeFileSync(at(name), numbered(0, 6000));
      sandbox.own(at(name));
    }
    chownSync(at('foreign.log'), 1234, 65_534);
    chmodSync(at('foreign.log'), 0o666);
    changeFlags('+a', [fromText(at('append.log'))]);
    const done = await sandbox.json(['rotate']);
    expect([done.code, done.problems.map(({ code, severity }) => [code, severity])]).toEqual([0, [['unseen_writers', 'warning']]]);
    for (const [name, why] of [
      ['foreign.log', 'belongs to another user'],
      ['append.log', 'append-only'],
      ['sub/fixed.log', 'directory cannot be written'],
    ] as const) {
      const run = await sandbox.cora(['rotate', name]);
      expect([name, run.code, run.stderr]).toEqual([name, 20, expect.stringContaining(why)]);
      expect([name, readFileSync(at(name), 'utf8') === numbered(0, 6000)]).toEqual([name, true]);
    }
    // A flag that root's crashed run lifted waits for a run that may set it.
    const lifted = join(sandbox.vault, 'ledger/lifted.json');
    writeFileSync(lifted, JSON.stringify([{ path: LOG }]));
    chmodSync(lifted, 0o644);
    appendFileSync(at(LOG), 'more\n');
    expect((await sandbox.cora(['save'])).code).toBe(0);
    expect(existsSync(lifted)).toBe(true);
    await execute(CORA, ['save'], {
      cwd: sandbox.project,
      env: { PATH: '/usr/bin:/bin', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: '' },
    });
    expect([existsSync(lifted), readFlags([fromText(at(LOG))])[0]?.append]).toEqual([false, true]);
  },
);
