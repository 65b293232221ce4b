// `cora drill` on real vaults: what is proven, what damage it names, what it measures, and that nothing is left behind.

import { spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseSample } from '../src/actions/drill-sample.ts';
import { findProgram } from '../src/os/run.ts';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const CORA = join(import.meta.dirname, '..', 'bin', 'cora');
const faketime = findProgram('faketime');
const SLOW = process.env['CORA_TEST_SLOW'] === '1';

type Drilled = Awaited<ReturnType<Sandbox['json']>> & { readonly error: { readonly details: Record<string, unknown> } };

class Box extends Sandbox {
  readonly scratch = join(this.root, 'scratch');

  drill(...args: readonly string[]): Promise<Drilled> {
    return this.json(['drill', '--scratch', this.scratch, ...args]) as Promise<Drilled>;
  }
}

function project(files: number, options: { readonly nobody?: boolean } = {}): Box {
  const box = new Box(options);
  onTestFinished(() => box.remove());
  mkdirSync(box.scratch);
  writeFileSync(join(box.project, 'CLAUDE.md'), 'memory\n');
  writeFileSync(join(box.project, 'big.bin'), Buffer.alloc(1_500_000, 'big'));
  mkdirSync(join(box.project, 'many'));
  for (let n = 0; n < files; n++) writeFileSync(join(box.project, 'many', `${n}.txt`), `file ${n}\n`);
  linkSync(join(box.project, 'CLAUDE.md'), join(box.project, 'hard'));
  symlinkSync('CLAUDE.md', join(box.project, 'soft'));
  writeFileSync(join(box.project, ' odd\n"\t$x\\'), 'odd\n');
  writeFileSync(Buffer.from(`${box.project}/\xff.bin`, 'latin1'), 'bytes\n');
  const database = new Sqlite(join(box.project, 'app.db'));
  database.pragma('journal_mode = wal');
  database.exec("CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('a'), ('b'), ('c')");
  database.close();
  for (const name of ['.', ...readdirSync(box.project), ...readdirSync(join(box.project, 'many')).map((one) => `many/${one}`)]) {
    if (!name.includes('\ufffd')) box.own(join(box.project, name));
  }
  box.own(box.scratch);
  return box;
}

/** Overwrites a byte of a file of the vault, sealed or not. */
async function flip(path: string, at: number): Promise<void> {
  await execute('chattr', ['-f', '-i', path]);
  chmodSync(path, 0o600);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([readFileSync(path)[at]! ^ 0x55]), 0, 1, at);
  closeSync(fd);
}

const ledger = (box: Sandbox) =>
  readFileSync(join(box.vault, 'ledger/chain.log'), 'utf8')
    .split('\n')
    .filter((line) => / drill /.test(line))
    .map((line) => line.split(' ')[6]?.split(','));

test('a backup is restored with Cora and with restore.sh, compared, opened and measured; the ledger and status have it, and nothing is left', async () => {
  const box = project(40);
  const { id } = await box.snapshot(['backup', 'now']);
  const drilled = await box.drill();
  expect(drilled.code, drilled.stderr).toBe(0);
  expect(drilled.result).toMatchObject({
    snapshot_id: id,
    kind: 'backup',
    outcome: 'ok',
    whole: true,
    damaged: [],
    databases: [{ path: 'app.db', ok: true, rows: 3 }],
    rto: { target_seconds: 900, met: true },
    rpo: { target_seconds: 3600, met: true },
  });
  expect((drilled.result['steps'] as { name: string; done: boolean }[]).map(({ name, done }) => [name, done])).toEqual(
    ['restore', 'compare', 'databases', 'restore.sh', 'compare restore.sh', 'verify'].map((name) => [name, true]),
  );
  expect((drilled.result['rto'] as { seconds: number }).seconds).toBeGreaterThan(0);
  expect(readdirSync(box.scratch)).toEqual([]);
  expect(readdirSync(join(box.vault, '.stage')).filter((name) => name.startsWith('run-'))).toEqual([]);
  expect(ledger(box)).toEqual([['backup', 'ok', expect.stringMatching(/^\d+\.\d{3}$/), 'all', '-', 'met']]);
  expect((await box.json(['status'])).result['last_drill']).toMatchObject({ snapshot_id: id, ok: true, whole: true });
  expect((await box.cora(['status'])).stdout).toMatch(/^Drilled {3}.* ago \(.+\) {2}\S+, restored in /m);
  expect((await box.json(['verify', '--chain'])).code).toBe(0);
  // A save alone is drilled by Cora; the table of the ledger follows.
  writeFileSync(join(box.project, 'new.txt'), 'x');
  const save = await box.snapshot(['save']);
  expect((await box.drill('latest')).result).toMatchObject({ snapshot_id: save.id, kind: 'save', outcome: 'ok', files: 47 });
});

describe('damage', () => {
  test('in the archive ends with 21 and names the file of the project that does not come back, and the file of the vault', async () => {
    const box = project(3);
    const { id, path } = await box.snapshot(['backup', 'now']);
    const archive = readdirSync(path).find((name) => name.endsWith('-full.tar.gz'))!;
    await flip(join(path, archive), Math.floor(statSync(join(path, archive)).size / 2));
    const drilled = await box.drill();
    expect(drilled).toMatchObject({ code: 21, ok: false, error: { code: 'damaged', details: { snapshot_id: id, outcome: 'damaged' } } });
    const damaged = drilled.error.details['damaged'] as { path: string; file: string }[];
    expect(damaged.map(({ file }) => file)).toContain(`${id}/${archive}`);
    expect(damaged.some(({ path: lost }) => /\.(txt|bin|md|db)$/.test(lost))).toBe(true);
    expect(ledger(box)).toEqual([['backup', 'damaged', expect.anything(), 'all', '-', '-']]);
    const people = await box.cora(['drill', '--scratch', box.scratch]);
    expect(people.code).toBe(21);
    // The vault's file comes first, however many of the project's are told after it.
    expect(people.stdout.split('\n')[1]).toContain(archive);
    expect((await box.cora(['status'])).stdout).toContain('The last restore drill');
    expect(readdirSync(box.scratch)).toEqual([]);
  });

  test('beside the archive, or in the pack of a save, is named too', async () => {
    const box = project(3);
    const { id, path } = await box.snapshot(['backup', 'now']);
    await flip(join(path, 'db/app.db'), 4200);
    const backup = await box.drill();
    expect(backup.code).toBe(21);
    expect(JSON.stringify(backup.error.details['damaged'])).toContain(`${id}/db/app.db`);
    // What did not come back whole proves nothing about the time.
    expect(backup.error.details).toMatchObject({ outcome: 'damaged', whole: true, rto: { met: null } });
    writeFileSync(join(box.project, 'noise.bin'), Buffer.from(Array.from({ length: 5000 }, (_, n) => (n * n * 31) >> 3)));
    const save = await box.snapshot(['save'], 0, 3);
    await flip(join(save.path, 'objects.tar.zst'), 200);
    const drilled = await box.drill(save.id);
    expect(drilled.code, drilled.stderr).toBe(21);
    expect(JSON.stringify(drilled.error.details['damaged'])).toContain('noise.bin');
  });
});

test('checks with drill = true run on what was restored, and no others; one that fails, or that nobody trusts, is no proof', async () => {
  const box = project(2);
  await box.snapshot(['backup', 'now']);
  const configuration = join(box.home, '.config/cora');
  mkdirSync(configuration, { recursive: true });
  const check = (name: string, command: string, more = 'drill = true') => `[[checks]]\nname = "${name}"\ncommand = '${command}'\n${more}\n`;
  const right = check('right', 'test "$PWD" = "$CORA_DRILL_DIR" && test -f app.db && test "$CORA_PROJECT" != "$PWD"');
  writeFileSync(join(configuration, 'project.toml'), right + check('live', 'false', ''));
  expect(await box.drill()).toMatchObject({ code: 0, result: { checks: [{ name: 'right', ok: true }] } });
  writeFileSync(join(configuration, 'project.toml'), right + check('wrong', 'echo no users; exit 1'));
  const failed = await box.drill();
  expect(failed).toMatchObject({ code: 3, result: { outcome: 'failed', checks: [{ ok: true }, { name: 'wrong', ok: false }] } });
  expect(failed.stderr).toContain('no users');
  writeFileSync(join(configuration, 'project.toml'), '');
  writeFileSync(join(box.project, 'cora.toml'), right);
  const untrusted = await box.drill();
  expect(untrusted).toMatchObject({ code: 3, result: { outcome: 'failed' } });
  expect(untrusted.stderr).toContain('nobody has allowed');
});

test('a target that is missed ends with 3; the age is that of the newest good snapshot, the gap the worst of a week', async () => {
  const box = project(1);
  if (faketime !== undefined) {
    const env = { PATH: process.env['PATH'], HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: join(box.root, 'log'), TZ: 'UTC' };
    const at = new Date(Date.now() - 5 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
    expect((await execute(faketime, ['-f', `@${at}`, CORA, 'save'], { cwd: box.project, env })).code).toBe(0);
  }
  await box.snapshot(['backup', 'now']);
  writeFileSync(join(box.project, 'cora.toml'), '[drill]\nrto = "1ms"\nrpo = "30d"\n');
  const slow = await box.drill();
  expect(slow).toMatchObject({ code: 3, result: { outcome: 'ok', rto: { met: false, target_seconds: 0.001 }, rpo: { met: true } } });
  expect(ledger(box).at(-1)).toEqual(['backup', 'ok', expect.anything(), 'all', '-', 'missed']);
  if (faketime === undefined) return;
  const { age_seconds: age, worst_gap_seconds: gap } = slow.result['rpo'] as { age_seconds: number; worst_gap_seconds: number };
  expect(age).toBeLessThan(300);
  expect(gap).toBeGreaterThan(4.9 * 3600);
  expect(gap).toBeLessThan(5.1 * 3600);
});

describe('a part', () => {
  test('takes every database, and other files each time until all had their turn', async () => {
    const box = project(20);
    await box.snapshot(['save']);
    const names = new Set<string>();
    // 20 files, CLAUDE.md, big.bin, two odd names; the hard link has its content elsewhere.
    for (let turn = 0; turn < 3; turn++) {
      const drilled = await box.drill('latest', '--sample', '8');
      expect(drilled, drilled.stderr).toMatchObject({
        code: 0,
        result: { outcome: 'ok', whole: false, files: 9, databases: [{ path: 'app.db', ok: true }], rto: { met: null } },
      });
      names.add(ledger(box).at(-1)?.[4] ?? '');
    }
    expect(names.size).toBe(3);
    expect((await box.drill('latest', '--sample', '100%')).result).toMatchObject({ whole: true });
  });

  test.skipIf(!SLOW)(`of a backup goes through restore.sh too${SLOW ? '' : ' (skipped: CORA_TEST_SLOW is not 1)'}`, async () => {
    const box = project(20);
    await box.snapshot(['backup', 'now']);
    const drilled = await box.drill('--sample', '25%');
    expect(drilled.code, drilled.stderr).toBe(0);
    expect((drilled.result['steps'] as { name: string; done: boolean }[]).every(({ done }) => done)).toBe(true);
  });

  test('a size that is none is refused', () => {
    for (const text of ['0', '0%', '101%', 'x', '1.5', '-3', '']) expect(() => parseSample(text), text).toThrow(/--sample/);
    expect(parseSample('2.5%')).toEqual({ share: 0.025 });
    expect(parseSample('200')).toEqual({ count: 200 });
  });
});

test('a time limit stops it, says how far it came, proves nothing and leaves nothing', async () => {
  const box = project(60);
  await box.snapshot(['backup', 'now']);
  const drilled = await box.drill('--max-duration', '1ms');
  expect(drilled).toMatchObject({ code: 3, result: { outcome: 'stopped' } });
  expect((drilled.result['steps'] as { done: boolean }[]).every(({ done }) => !done)).toBe(true);
  expect(ledger(box)).toEqual([['backup', 'stopped', '-', 'all', '-', '-']]);
  expect(readdirSync(box.scratch)).toEqual([]);
});

test('what a killed drill left is removed by the next one; a directory inside the project is not taken', async () => {
  const box = project(300);
  await box.snapshot(['backup', 'now']);
  const env = { PATH: process.env['PATH'], HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: join(box.root, 'log') };
  const child = spawn(CORA, ['drill', '--scratch', box.scratch], { cwd: box.project, env, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await expect
    .poll(() => readdirSync(box.scratch).some((name) => existsSync(join(box.scratch, name, 'cora'))), { timeout: 20_000, interval: 5 })
    .toBe(true);
  child.kill('SIGKILL');
  await ended;
  expect(readdirSync(box.scratch)).toHaveLength(2);
  mkdirSync(join(box.scratch, 'cora-drill-of-somebody'));
  expect((await box.drill()).code).toBe(0);
  expect(readdirSync(box.scratch)).toEqual(['cora-drill-of-somebody']);
  mkdirSync(join(box.project, 'inside'));
  expect(await box.json(['drill', '--scratch', 'inside'])).toMatchObject({ code: 20, error: { code: 'refused' } });
});

const whyNot = whyNotNobody() ?? (SLOW ? undefined : 'CORA_TEST_SLOW is not 1');
test.skipIf(!isRoot || whyNot !== undefined)(
  `an ordinary user drills what it owns${whyNot === undefined ? '' : ` (skipped: ${whyNot})`}`,
  async () => {
    const box = project(3, { nobody: true });
    await execute('chown', ['-R', '65534:65534', box.project]);
    await box.snapshot(['backup', 'now']);
    const drilled = await box.drill();
    expect(drilled, drilled.stderr).toMatchObject({ code: 0, result: { outcome: 'ok' } });
  },
);
