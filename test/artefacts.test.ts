// Named artefacts: outputs of commands, JSON registries, directories under their application's lock,
// optional ones, databases by name. Machine files in the sandbox's home hold the commands, so nothing asks.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { momentsApart } from '../src/actions/restore-moments.ts';
import { bytes } from '../src/base/bytes.ts';
import { parseConfig } from '../src/base/config.ts';
import { execute, Sandbox } from './support/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);

function configure(toml: string): void {
  mkdirSync(join(sandbox.home, '.config/cora'), { recursive: true });
  writeFileSync(join(sandbox.home, '.config/cora/project.toml'), toml, { mode: 0o600 });
}

type Artefact = Readonly<Record<string, unknown>>;
type Made = {
  readonly code: number | null;
  readonly outcome: unknown;
  readonly artefacts: readonly Artefact[];
  readonly problems: readonly string[];
  readonly id: string;
};

async function made(...args: string[]): Promise<Made> {
  const { code, result, problems } = await sandbox.json(args);
  return {
    code,
    outcome: result['outcome'],
    id: String(result['snapshot_id']),
    artefacts: (result['artefacts'] ?? []) as Artefact[],
    problems: problems.filter(({ severity }) => severity === 'error').map(({ code: word, path }) => `${word} ${path ?? ''}`),
  };
}

/** The content of a path in a snapshot, restored by the vault's own script. */
async function restored(id: string, path: string): Promise<string | undefined> {
  const target = join(sandbox.root, `out-${id}-${Math.random()}`);
  const run = await sandbox.restoreScript([id, target]);
  expect(run.code, run.stderr).toBe(0);
  return existsSync(join(target, path)) ? readFileSync(join(target, path), 'utf8') : undefined;
}

const DUMP = `
[[artefacts]]
name = "app"
kind = "command"
command = "cat $HOME/source; echo noise >&2"
min_size = 5
`;

test("a backup holds a command's output, saves in between keep it, and the listing says when it was taken", async () => {
  configure(DUMP);
  writeFileSync(join(sandbox.home, 'source'), 'INSERT 1;\n');
  writeFileSync(at('file'), 'one');
  const first = await made('backup', 'now');
  expect(first.code).toBe(0);
  expect(first.artefacts).toMatchObject([{ name: 'app', kind: 'command', path: '.cora-artefacts/app', bytes: 10, ok: true, error: null }]);
  expect(await restored(first.id, '.cora-artefacts/app')).toBe('INSERT 1;\n');
  expect(readFileSync(join(sandbox.vault, first.id, 'critical/.cora-artefacts/app'), 'utf8')).toBe('INSERT 1;\n');
  // A save does not run it, and has what the backup took.
  writeFileSync(join(sandbox.home, 'source'), 'INSERT 22;\n');
  writeFileSync(at('file'), 'two');
  const save = await made('save');
  expect([save.code, save.artefacts[0]?.['captured_at']]).toEqual([0, first.artefacts[0]?.['captured_at']]);
  expect(await restored(save.id, '.cora-artefacts/app')).toBe('INSERT 1;\n');
  expect(await made('save')).toMatchObject({ code: 0, outcome: 'unchanged' });
  // One that asks does.
  const asked = await made('save', '--with', 'app');
  expect([asked.code, asked.outcome, asked.artefacts[0]?.['bytes']]).toEqual([0, 'saved', 11]);
  expect(await restored(asked.id, '.cora-artefacts/app')).toBe('INSERT 22;\n');
  // The same output once more is nothing new.
  expect(await made('save', '--with', 'app')).toMatchObject({ code: 0, outcome: 'unchanged' });
  expect((await sandbox.cora(['verify', '--all', '--deep'])).code).toBe(0);
  expect(existsSync(at('.cora-artefacts'))).toBe(false);
  expect(readdirSync(join(sandbox.vault, '.stage')).filter((name) => name.startsWith('run-'))).toEqual([]);
});

test('a command that fails is no success: exit 3, named, no loss, and the one before stays reachable', async () => {
  configure(DUMP);
  writeFileSync(join(sandbox.home, 'source'), 'INSERT 1;\n');
  writeFileSync(at('file'), 'one');
  const good = await made('backup', 'now');
  for (const [command, why] of [
    ['"echo half; echo broken >&2; exit 3"', 'its command ended with 3: broken'],
    ['"true"', 'less than min_size'],
    ['"sleep 20"', 'did not end within 0.3 s'],
    ['["/no/such/program"]', 'could not be started'],
  ] as const) {
    configure(DUMP.replace(/command = ".*"/, `command = ${command}\ntimeout = "300ms"`));
    const bad = await sandbox.json(['save', '--with', 'app', '-m', command]);
    expect([bad.code, bad.result['losses']]).toEqual([3, []]);
    expect(bad.problems).toContainEqual(
      expect.objectContaining({ code: 'artefact_failed', path: '.cora-artefacts/app', message: expect.stringContaining(why) }),
    );
  }
  const bad = await made('backup', 'now');
  expect([bad.code, await restored(bad.id, '.cora-artefacts/app'), await restored(bad.id, 'file')]).toEqual([3, undefined, 'one']);
  const held = await sandbox.json(['list', '.cora-artefacts/app']);
  expect((held.result['snapshots'] as { readonly snapshot_id: string }[]).map(({ snapshot_id: id }) => id)).toEqual([good.id]);
  expect(await restored(good.id, '.cora-artefacts/app')).toBe('INSERT 1;\n');
  // A backup for each push would lack it too.
  expect(await made('backup', 'auto')).toMatchObject({ outcome: 'not_needed' });
  configure(DUMP);
  expect(await made('save', '--with', 'app')).toMatchObject({ code: 0 });
});

test('a command of cora.toml that nobody trusted is named, and the backup is made without it', async () => {
  writeFileSync(at('cora.toml'), DUMP);
  const run = await made('backup', 'now');
  expect([run.code, run.problems]).toEqual([3, ['artefact_failed .cora-artefacts/app']]);
  expect(run.artefacts).toMatchObject([{ ok: false, bytes: 0, sha256: null, error: expect.stringContaining('cora trust') }]);
});

test("a command has the caller's umask, not the one of Cora", async () => {
  configure(DUMP.replace(/command = ".*"/, 'command = "umask; touch made; stat -c %a made"'));
  const { id } = await made('save', '--with', 'app');
  const mask = process.umask();
  expect(await restored(id, '.cora-artefacts/app')).toBe(`${mask.toString(8).padStart(4, '0')}\n${(0o666 & ~mask).toString(8)}\n`);
});

test('a large output is cut like any large file and comes back whole', async () => {
  configure(DUMP.replace(/command = ".*"/, `command = "seq 1 400000"`));
  const { id, artefacts } = await made('backup', 'now');
  expect(artefacts[0]?.['bytes']).toBe(2_688_895);
  expect((await restored(id, '.cora-artefacts/app'))?.length).toBe(2_688_895);
  const out = join(sandbox.root, 'whole');
  expect((await sandbox.cora(['restore', id, '--to', out])).code).toBe(0);
  expect((await execute('/bin/sh', ['-c', `sha256sum < ${out}/.cora-artefacts/app`])).stdout.slice(0, 64)).toBe(artefacts[0]?.['sha256']);
});

test('a registry must parse: an invalid one is stored as it is, exit 3, until it is right again', async () => {
  configure('[[artefacts]]\nname = "registry"\nkind = "json"\npath = "data/registry.json"\n');
  expect(await made('save')).toMatchObject({ code: 3, problems: ['registry_snapshot_missing data/registry.json'] });
  mkdirSync(at('data'));
  writeFileSync(at('data/registry.json'), '{"a": [1,');
  const bad = await made('save');
  expect([bad.code, bad.problems, bad.artefacts[0]?.['ok']]).toEqual([3, ['registry_invalid_json data/registry.json'], false]);
  expect(await restored(bad.id, 'data/registry.json')).toBe('{"a": [1,');
  expect((await made('save')).code).toBe(3);
  writeFileSync(at('data/registry.json'), '{"a": [1]}');
  const good = await made('save');
  expect([good.code, good.problems, good.artefacts[0]?.['ok']]).toEqual([0, [], true]);
  expect(good.artefacts[0]?.['sha256']).toBe((await execute('/bin/sh', ['-c', 'printf %s \'{"a": [1]}\' | sha256sum'])).stdout.slice(0, 64));
});

const STORE = '[[artefacts]]\nname = "store"\nkind = "directory"\npath = "store"\nlock = "store/.lock"\nlock_wait = "300ms"\n';

/** Holds the lock as an application does; `release` ends it. */
async function holdLock(): Promise<{ readonly release: () => Promise<void> }> {
  const child = spawn('flock', ['-x', at('store/.lock'), 'sh', '-c', 'echo held; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return {
    release: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      }),
  };
}

test('a directory is captured under its lock only; a busy one is left out, named, and no loss', async () => {
  configure(STORE);
  mkdirSync(at('store'));
  const db = new Database(at('store/index.db'));
  db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1), (2), (3)');
  db.close();
  writeFileSync(at('store/vectors.bin'), 'first');
  writeFileSync(at('file'), 'x');
  // What was written in the last two seconds is read again by the next save.
  await pause(2100);
  const free = await made('save');
  expect([free.code, free.artefacts[0]?.['ok']]).toEqual([0, true]);
  expect(await restored(free.id, 'store/vectors.bin')).toBe('first');
  const busy = await holdLock();
  try {
    // Nothing in it has changed, so nobody needs the lock.
    writeFileSync(at('file'), 'y');
    expect(await made('save')).toMatchObject({ code: 0, outcome: 'saved' });
    writeFileSync(at('store/vectors.bin'), 'second');
    const left = await sandbox.json(['save']);
    expect(left.code).toBe(3);
    expect(left.problems.map(({ code, path }) => `${code} ${path}`)).toEqual(['artefact_busy store']);
    expect(left.result['losses']).toEqual([]);
    expect(await restored(String(left.result['snapshot_id']), 'store/vectors.bin')).toBeUndefined();
  } finally {
    await busy.release();
  }
  const again = await made('save');
  expect(again.code).toBe(0);
  expect(await restored(again.id, 'store/vectors.bin')).toBe('second');
});

test('lock commands surround the capture, and the unlock command runs also where the lock was all that happened', async () => {
  const log = join(sandbox.root, 'locks');
  const lock = (run: string) => `lock_command = "${run}"\nunlock_command = "echo unlock >> ${log}"`;
  configure(STORE.replace('lock = "store/.lock"', lock(`echo lock >> ${log}`)));
  mkdirSync(at('store'));
  writeFileSync(at('store/a'), 'a');
  expect((await made('backup', 'now')).code).toBe(0);
  expect(readFileSync(log, 'utf8')).toBe('lock\nunlock\n');
  writeFileSync(at('store/a'), 'b');
  configure(STORE.replace('lock = "store/.lock"', lock('exit 9')));
  expect(await made('save')).toMatchObject({ code: 3, problems: ['artefact_busy store'] });
  expect(readFileSync(log, 'utf8')).toBe('lock\nunlock\n');
});

test('an optional artefact is there where it was asked for, and its absence is no loss', async () => {
  configure('[[artefacts]]\nname = "chroma"\nkind = "directory"\npath = "vectors"\noptional = true\n');
  mkdirSync(at('vectors'));
  const db = new Database(at('vectors/chroma.sqlite3'));
  db.exec('CREATE TABLE embeddings (n); INSERT INTO embeddings VALUES (1), (2), (3)');
  db.close();
  writeFileSync(at('file'), 'x');
  const without = await made('save');
  expect([without.code, without.artefacts]).toEqual([0, []]);
  expect(await restored(without.id, 'vectors/chroma.sqlite3')).toBeUndefined();
  for (const option of [['--with', 'chroma'], ['--chroma']]) {
    const taken = await made('save', ...option);
    expect([taken.code, taken.artefacts[0]?.['ok']]).toEqual([0, true]);
    expect(await restored(taken.id, 'vectors/chroma.sqlite3')).toBeDefined();
    const after = await sandbox.json(['save']);
    expect([after.code, after.result['losses']]).toEqual([0, []]);
  }
  configure('[[artefacts]]\nname = "chroma"\nkind = "directory"\npath = "vectors"\n');
  expect((await made('save', '--no-chroma')).artefacts).toEqual([]);
  expect((await sandbox.cora(['save', '--without', 'other'])).code).toBe(2);
  // What was remembered is still watched.
  expect((await made('save')).code).toBe(0);
  rmSync(at('vectors/chroma.sqlite3'));
  expect((await sandbox.json(['save'])).result['losses']).toMatchObject([{ path: 'vectors/chroma.sqlite3', kind: 'gone' }]);
});

test('a database by name is there, is missing, or is none', async () => {
  configure('[[artefacts]]\nname = "main"\nkind = "database"\npath = "app.db"\n');
  expect(await made('save')).toMatchObject({ code: 3, problems: ['db_snapshot_missing app.db'] });
  writeFileSync(at('app.db'), 'not a database');
  expect((await made('save')).problems).toContain('db_open_failed app.db');
  rmSync(at('app.db'));
  const db = new Database(at('app.db'));
  db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)');
  db.close();
  expect(await made('save')).toMatchObject({ code: 0, artefacts: [{ name: 'main', kind: 'database', ok: true }] });
});

test.each([
  ['name = "a"\nkind = "command"', 'must have command'],
  ['name = "a"\nkind = "json"', 'must have a path'],
  ['name = "a"\nkind = "json"\npath = "../x"', 'must be a path inside the project'],
  ['name = "a"\nkind = "json"\npath = "x"\nlock = "y"', 'may have lock'],
  ['name = "a"\nkind = "directory"\npath = "x"\nlock_command = "y"', 'may have lock'],
  ['name = "a/b"\nkind = "json"\npath = "x"', 'must be a name'],
  ['name = "a"\nkind = "jsn"\npath = "x"', 'must be "database"'],
])('the configuration %j is refused', async (toml, why) => {
  await expect(parseConfig(`[[artefacts]]\n${toml}\n`, 'cora.toml')).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(why),
  });
});

test('databases without their vector store, or the store without them, are said to be of different moments', () => {
  const plan = (...paths: string[]) => ({
    id: 'X',
    changes: paths.map((path) => ({ action: 'replace' as const, path: bytes(path), size: 1 })),
    work: { report: { units: [{ kind: 'chroma', path: 'data/chroma', database: 'data/chroma/chroma.sqlite3' }], databases: [{ path: 'app.db' }] } },
  });
  const say = (...paths: string[]) => momentsApart(plan(...paths) as unknown as Parameters<typeof momentsApart>[0], { artefacts: [] });
  expect(say('app.db')).toEqual(['app.db becomes what it was in X, and data/chroma/ stays as it is: they are of different moments']);
  expect(say('data/chroma/x.bin')).toEqual(['data/chroma/ becomes what it was in X, and app.db stays as it is: they are of different moments']);
  expect(say('app.db', 'data/chroma/x.bin', 'other')).toEqual([]);
  expect(say('other')).toEqual([]);
  const whole = {
    ...plan('app.db', 'data/chroma/x.bin'),
    work: { report: { units: [], databases: [], artefacts: [{ name: 'shop', captured_at: 'then' }] }, whole: true },
  };
  const shop = { name: 'shop', restore: { from: '', key: '', run: 'psql' } };
  const artefacts = [shop, { ...shop, name: 'other' }] as unknown as Parameters<typeof momentsApart>[1]['artefacts'];
  expect(momentsApart(whole as unknown as Parameters<typeof momentsApart>[0], { artefacts })).toEqual([
    'The artefact shop stays as it is; to bring it back too: cora artefact restore shop X',
  ]);
});

test('a restore in place leaves outputs of commands out of the project, and --delete leaves what a snapshot had left out', async () => {
  configure(`${DUMP}[[artefacts]]\nname = "vectors"\nkind = "directory"\npath = "vectors"\noptional = true\n`);
  writeFileSync(join(sandbox.home, 'source'), 'INSERT 1;\n');
  mkdirSync(at('vectors'));
  writeFileSync(at('vectors/a'), 'live');
  writeFileSync(at('file'), 'old');
  const { id } = await made('save', '--with', 'app');
  writeFileSync(at('file'), 'new');
  writeFileSync(at('extra'), 'x');
  expect((await sandbox.json(['restore', id, '--yes', '--delete'])).code).toBe(0);
  expect(['file', 'vectors/a', 'extra', '.cora-artefacts'].map((path) => existsSync(at(path)))).toEqual([true, true, false, false]);
  expect(readFileSync(at('file'), 'utf8')).toBe('old');
  expect((await sandbox.cora(['artefact', 'restore', 'app', '--yes'])).stderr).toContain('has no restore command');
});
