// Every file that Cora reads back, spoilt in some way, and every command on it: a value, or an error with a sentence. Never an
// internal error, a hang, or memory without bounds. (What is damage and what is not is damage.test.ts.)

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonHere } from '../support/in-process.ts';
import { mutated } from '../support/mutations.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
const RUNS = Number(process.env['CORA_TEST_FUZZ_RUNS'] ?? (slow ? 20_000 : 40));
const MOST_SECONDS = 20;
const MOST_BYTES = 1 << 30;

const COMMANDS = [
  ['list'],
  ['status'],
  ['save'],
  ['save', '-m', 'note'],
  ['verify', '--all'],
  ['verify', 'latest', '--deep'],
  ['verify', '--chain'],
  ['restore', 'latest', '--to', 'OUT'],
  ['restore', 'latest~1', 'src/a.txt', '--to', 'OUT'],
  ['restore', '--undo', '--dry-run'],
  ['show', 'latest'],
  ['health'],
  ['lost'],
  ['prune'],
  ['prune', '--keep-last', '1', '--confirm', '--yes'],
  ['log', 'src/a.txt'],
  ['find', '*.txt'],
  ['diff', 'latest~1', 'latest'],
  ['cat', 'latest', 'src/a.txt'],
  ['why', 'src/a.txt'],
  ['pin', 'latest'],
  ['ledger', 'rebuild'],
  ['backup', 'list'],
] as const;

describe('spoilt files', () => {
  let sandbox: Sandbox;
  let sound: string;
  let files: string[];

  beforeAll(async () => {
    sandbox = new Sandbox({ fast: true });
    const { project, vault, home } = sandbox;
    mkdirSync(join(project, 'src'));
    writeFileSync(join(project, 'src/a.txt'), 'first\n');
    writeFileSync(join(project, 'big.bin'), Buffer.alloc(1_200_000, 'pieces'));
    writeFileSync(join(project, '.env'), 'TOKEN=1\n');
    const database = new DatabaseSync(join(project, 'app.db'));
    database.exec("PRAGMA page_size = 1024; CREATE TABLE t (a); INSERT INTO t VALUES ('one')");
    database.close();
    writeFileSync(join(project, 'cora.toml'), '[critical]\npatterns = [".env"]\n[rotate]\nmax_size = "1MiB"\n[retention]\nsaves = "atlas"\n');
    await sandbox.snapshot(['save']);
    for (const text of ['second\n', 'third\n', 'fourth\n']) {
      writeFileSync(join(project, 'src/a.txt'), text);
      await sandbox.snapshot(['save']);
    }
    const made = await sandbox.snapshot(['backup', 'now']);
    await sandbox.cora(['verify', '--all']);
    // In place, so that there is a record of a restore; then one more save, and a clean-up that gathers.
    await sandbox.cora(['restore', 'latest~1', 'src/a.txt', '--yes']);
    await sandbox.cora(['prune', '--keep-last', '2', '--confirm', '--yes']);
    await sandbox.cora(['find', 'a.txt']);
    if (isRoot) await execute('chattr', ['-R', '-f', '-ia', sandbox.root]);
    // What is there only for a moment (docs/format.md), so that its readers are asked too.
    const ledger = (name: string, value: unknown) => writeFileSync(join(vault, 'ledger', name), JSON.stringify(value));
    ledger('protected.json', [{ path: '.env' }]);
    ledger('lifted.json', [{ path: '.env' }]);
    ledger('rotating.json', { path: 'app.log', path_base64: 'YXBwLmxvZw==', drained_to: 10, proven: 5, sha256: 'a'.repeat(64) });
    ledger('pruning.json', [{ kind: 'save', id: '20200101-000000-nogit' }]);
    ledger('missing-lines.json', { schema: 1, sequence: 1, hash: 'b'.repeat(64), lost: [] });
    ledger('adopted.json', { schema: 1, adopted: [{ path: join(sandbox.root, 'old'), kind: ['atlas'], adopted_at: '2026-01-01T00:00:00Z' }] });
    ledger('offsite.json', {
      schema: 1,
      remotes: {
        '/srv/remote': {
          env: 'app',
          copies: {
            [`backup ${made.id}`]: {
              id: made.id,
              kind: 'backup',
              shipped_at: '2026-01-01T00:00:00Z',
              bytes: 1,
              files: 1,
              encryption: 'none',
              marker_sha256: 'c'.repeat(64),
            },
          },
          last_try: null,
          error: null,
          hint: null,
        },
      },
    });
    ledger('init.json', { schema: 1, made_at: '2026-01-01T00:00:00Z', files: [], directories: [], hooks: [], timers: [], agents: [] });
    writeFileSync(join(vault, '.stage/intent'), `backup ${made.id}\n`);
    mkdirSync(join(project, '.cora'), { recursive: true });
    sound = join(sandbox.root, 'sound');
    for (const [name, path] of Object.entries({ project, vault, home }))
      cpSync(path, join(sound, name), { recursive: true, preserveTimestamps: true });
    files = readdirSync(sound, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(sound, join(entry.parentPath, entry.name)))
      .filter((path) => /^vault\/(?!README|restore\.sh|\.\w*-?lock)|^home\/|^project\/(?:cora\.toml|\.cora-restore\/.*\.(?:json|tsv))/.test(path));
  });
  afterAll(() => sandbox.remove());

  /** As it was, at the same places: the vault knows its project by its path. */
  async function reset(): Promise<void> {
    for (const name of ['project', 'vault', 'home']) {
      const path = join(sandbox.root, name);
      if (isRoot) await execute('chattr', ['-R', '-f', '-ia', path]);
      rmSync(path, { recursive: true, force: true });
      cpSync(join(sound, name), path, { recursive: true, preserveTimestamps: true });
    }
  }

  it.each(slow ? ['REPORT.json', 'SHA256SUMS.txt', 'MANIFEST.txt'] : ['REPORT.json', 'MANIFEST.txt'])(
    'what a crash left without its line in the ledger, with a damaged %s, stops no run',
    async (name) => {
      await reset();
      writeFileSync(join(sandbox.project, 'src/a.txt'), `before the crash ${name}`);
      const left = await sandbox.snapshot(['save']);
      const chain = join(sandbox.vault, 'ledger/chain.log');
      const lines = readFileSync(chain, 'utf8').split('\n');
      writeFileSync(chain, `${lines.slice(0, -2).join('\n')}\n`);
      writeFileSync(join(left.path, name), 'what a bad disk made of it');
      writeFileSync(join(sandbox.project, 'src/a.txt'), `after the crash ${name}`);
      const next = await sandbox.json(['save']);
      expect([next.code, next.stderr]).toEqual([0, expect.stringContaining('A crash left')]);
      const verified = await sandbox.cora(['verify', String(next.result['snapshot_id'])]);
      expect([verified.code, verified.stdout + verified.stderr]).toEqual([0, expect.anything()]);
      const checked = await sandbox.cora(['verify', '--chain']);
      expect([checked.code, checked.stdout + checked.stderr]).toEqual([21, expect.stringContaining(left.id)]);
    },
  );

  it(`${RUNS} spoilt files and a command on each: no internal error, no hang, no memory without bounds`, { timeout: 4 * 3_600_000 }, async () => {
    // Every kind of file comes, however many snapshots there are.
    const kinds = [...Map.groupBy(files, (path) => path.replace(/\d{4,}[^/]*|[0-9a-f]{16,}/g, 'N')).values()];
    const file = fc.constantFrom(...kinds).chain((same) => fc.constantFrom(...same));
    const spoilt = file.chain((path) => mutated(readFileSync(join(sound, path))).map((content) => ({ path, content })));
    const seed = Number(process.env['CORA_TEST_FUZZ_SEED'] ?? (slow ? Date.now() % 1e9 : 1));
    const failures = new Map<string, unknown>();
    for (const [{ path, content }, command] of fc.sample(fc.tuple(spoilt, fc.constantFrom(...COMMANDS)), { numRuns: RUNS, seed })) {
      await reset();
      mkdirSync(dirname(join(sandbox.root, path)), { recursive: true });
      writeFileSync(join(sandbox.root, path), content);
      const out = join(sandbox.root, 'out');
      rmSync(out, { recursive: true, force: true });
      const begun = performance.now();
      const args = command.map((word) => (word === 'OUT' ? out : word));
      const run = await jsonHere(sandbox, args, '', { CORA_DEBUG: '1' });
      const seconds = (performance.now() - begun) / 1000;
      const bytes = process.memoryUsage().arrayBuffers;
      // The sentence and where it came from: one line a bug, however often it was met.
      const frame = run.stderr.split('\n').find((line) => /at .*\/src\//.test(line) && !line.includes('thrown.ts'));
      const internal = `${run.error?.code} ${run.stderr.split('\n')[0]?.slice(0, 160)} ${frame?.replace(/.*\/src\//, 'src/')}`;
      const wrong = run.code === 70 ? internal : seconds > MOST_SECONDS ? 'a hang' : bytes > MOST_BYTES ? 'too much memory' : undefined;
      if (wrong === undefined || failures.has(wrong)) continue;
      failures.set(wrong, { seed, path, command: command.join(' '), seconds, bytes, content: content.toString('base64').slice(0, 3000) });
    }
    expect(Object.fromEntries(failures)).toEqual({});
  });
});
