// `cora init` in ten kinds of projects, twice, and undone: the same result, and then the tree as it was.
// Unit files go into a directory of the test's own; systemd is never asked.

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, isRoot, type Run, Sandbox, whyNotNobody } from './support/sandbox.ts';

const modules = join(import.meta.dirname, '..', 'node_modules');
const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const MANY = SLOW ? 100_000 : 20_000;
const CHROMA = [
  'create table collections(id text primary key, name text)',
  'create table segments(id text primary key, type text, scope text, collection text)',
  'create table embeddings(id integer primary key, segment_id text, embedding_id text, seq_id blob)',
  'create table embedding_metadata(id integer, key text, string_value text)',
  "insert into collections values('c1', 'notes')",
  "insert into embeddings values(1, 's1', 'e1', x'01'), (2, 's1', 'e2', x'02'), (3, 's1', 'e3', x'03')",
].join('; ');

let sandbox: Sandbox;
let units: string;
let env: NodeJS.ProcessEnv;
const use = (options: ConstructorParameters<typeof Sandbox>[0] = {}): void => {
  sandbox = new Sandbox(options);
  units = join(sandbox.root, 'units');
  env = {
    PATH: `${join(modules, '.bin')}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
    HOME: sandbox.home,
    GIT_CONFIG_NOSYSTEM: '1',
    LC_ALL: 'C.UTF-8',
  };
};
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);

async function shell(command: string, cwd = sandbox.project): Promise<string> {
  const run = await execute('/bin/sh', ['-c', command], { cwd, env });
  if (run.code !== 0) throw new Error(`${command}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

/** Everything below a directory but times of directories: types, modes, owners, contents, links, times of files. */
async function fingerprint(directory = sandbox.root, withTimes = true): Promise<string[]> {
  const skip = '-path ./vault -prune -o -path ./units -prune -o -path ./cora.log -prune -o';
  const entries = await shell(
    `find . ${skip} \\( -type f -printf '%y %m %U:%G %s ${withTimes ? '%T@ ' : ''}%p\\n' -o -printf '%y %m %U:%G %p %l\\n' \\)`,
    directory,
  );
  const sums = await shell(`find . ${skip} -type f -print0 | xargs -0 -r sha256sum`, directory);
  return [...entries.split('\n'), ...sums.split('\n')].toSorted();
}

const init = (args: readonly string[] = [], cwd = sandbox.project) => sandbox.json(['init', '--yes', '--unit-dir', units, ...args], { cwd });
const text = (value: unknown) => JSON.stringify(value);

type Kind = { readonly name: string; readonly make: string; readonly cwd?: string; readonly found?: object; readonly why?: string | undefined };

const GIT =
  'git init -q -b main . && git config user.email t@example.org && git config user.name t && echo a > a.txt && git add . && git commit -qm first';
const KINDS: readonly Kind[] = [
  { name: 'an empty directory', make: ':', found: { git: null, files: 0 } },
  { name: 'no git', make: 'mkdir src && echo code > src/a.ts && echo S=1 > .env', found: { git: null, files: 2, secrets: ['.env'] } },
  { name: 'plain git', make: GIT, found: { git: { kind: 'plain', manager: 'plain' } } },
  {
    name: 'husky',
    make: `${GIT} && echo '{"name":"x"}' > package.json && husky >/dev/null && printf 'echo own\\n' > .husky/pre-push && mkdir -p node_modules/x && echo 1 > node_modules/x/a.js`,
    found: { git: { manager: 'husky' }, rebuildable: [{ path: 'node_modules', excluded: true }] },
  },
  {
    name: 'lefthook',
    make: `${GIT} && printf 'pre-push:\\n  jobs:\\n    - run: true\\n' > lefthook.yml && lefthook install >/dev/null 2>&1`,
    found: { git: { manager: 'lefthook' } },
  },
  {
    name: 'a linked work tree',
    make: `mkdir main && cd main && ${GIT} && git worktree add -q ../linked`,
    cwd: 'linked',
    found: { git: { kind: 'worktree' } },
  },
  {
    name: 'a submodule',
    make: `mkdir lib && cd lib && ${GIT} && cd .. && mkdir main && cd main && ${GIT} && git -c protocol.file.allow=always submodule --quiet add ../lib sub && git commit -qm sub`,
    cwd: 'main/sub',
    found: { git: { kind: 'submodule' } },
  },
  {
    name: 'python with environments',
    make: 'mkdir -p .venv/lib env/lib .cache-x data && touch .venv/lib/a.py env/pyvenv.cfg env/lib/b.py && printf "Signature: 8a477f597d28d172789f06886806bc55\\n" > .cache-x/CACHEDIR.TAG && sqlite3 data/app.db "create table t(a); insert into t values(1)" && printf "import os\\n" > app.py && mkdir -p keep && touch keep/pyvenv.cfg && sqlite3 keep/real.db "create table t(a)"',
    found: { databases: [{ path: 'data/app.db' }, { path: 'keep/real.db' }] },
    why: findProgram('sqlite3') === undefined ? 'no sqlite3' : undefined,
  },
  {
    name: 'a chroma directory',
    make: `id=chroma/0f6c1f5e-9f43-4a4b-9d62-0b7a3f1c2d11; mkdir -p $id && sqlite3 chroma/chroma.sqlite3 "pragma journal_mode=wal; ${CHROMA}" >/dev/null && for f in data_level0 header length link_lists; do head -c 4000 /dev/urandom > $id/$f.bin; done`,
    found: { vector_stores: [{ kind: 'chroma', path: 'chroma' }], databases: [{ path: 'chroma/chroma.sqlite3', wal: true }] },
    why: findProgram('sqlite3') === undefined ? 'no sqlite3' : undefined,
  },
];

describe('init --yes, again, and --undo', () => {
  beforeEach(() => use());
  for (const { name, make, cwd = '.', found, why } of KINDS) {
    test.skipIf(why !== undefined)(`${name}${why === undefined ? '' : ` (skipped: ${why})`}`, async () => {
      await shell(make);
      const project = at(cwd);
      const before = await fingerprint();
      const first = await init([], project);
      expect([first.code, text(first.problems)]).toEqual([0, '[]']);
      expect(first.result['detected']).toMatchObject(found ?? {});
      expect(first.result['files']).toEqual([{ path: join(project, 'cora.toml'), action: 'written', reason: null }]);

      const after = await fingerprint();
      const again = await init([], project);
      expect([again.code, text(again.problems)]).toEqual([0, '[]']);
      expect(await fingerprint()).toEqual(after);
      expect(again.result['files']).toEqual([{ path: join(project, 'cora.toml'), action: 'same', reason: null }]);
      expect(again.result['save']).toMatchObject({ outcome: 'unchanged' });
      expect([first.result['total_files_processed'], first.result['databases'], first.result['not_covered']]).toEqual([
        again.result['total_files_processed'],
        again.result['databases'],
        again.result['not_covered'],
      ]);

      const undone = await sandbox.json(['init', '--undo', '--yes'], { cwd: project });
      expect([undone.code, undone.result['kept']]).toEqual([0, []]);
      expect((await fingerprint(sandbox.root, false)).join('\n')).toBe((await withoutTimes(before)).join('\n'));
      expect(existsSync(units)).toBe(false);
      expect((await sandbox.json(['list'], { cwd: project })).result['total']).toBe(1);
    });
  }
});

/** The lines of a fingerprint as it is without times. */
async function withoutTimes(lines: readonly string[]): Promise<string[]> {
  return lines.map((line) => line.replace(/^(f \d+ \d+:\d+ \d+) [\d.]+ /, '$1 ')).toSorted();
}

describe('what is found and done', () => {
  beforeEach(() => use());

  test('untouched files keep their times, and the hook and its directory are as they were', async () => {
    await shell(`${GIT} && rm -rf .git/hooks && touch -d '2020-01-02 03:04:05.123456789' a.txt`);
    const before = await fingerprint();
    expect((await init()).code).toBe(0);
    expect(existsSync(at('.git/hooks/pre-push'))).toBe(true);
    expect((await sandbox.json(['init', '--undo', '--yes'])).code).toBe(0);
    expect(await fingerprint()).toEqual(before);
  });

  test(`${MANY.toLocaleString('en')} files within seconds`, { timeout: 120_000 }, async () => {
    await sandbox.remove();
    use({ fast: true });
    await shell(`for d in $(seq ${MANY / 1000}); do mkdir d$d && seq 1000 | split -l 1 -a 3 - d$d/f; done`);
    const started = performance.now();
    const run = await init();
    const seconds = (performance.now() - started) / 1000;
    expect([run.code, run.result['total_files_processed']]).toEqual([0, MANY + 1]);
    // On a quiet machine it takes a fraction of this.
    expect(seconds).toBeLessThan(SLOW ? 120 : 60);
  });

  test('environments and tagged caches are left out, but not those that hold a database; cora.toml is valid and says so', async () => {
    await shell(KINDS.find(({ name }) => name.startsWith('python'))?.make ?? '');
    await shell('mkdir target && touch Cargo.toml target/out && mkdir -p "we[i]rd *" && touch "we[i]rd */pyvenv.cfg"');
    expect((await init()).code).toBe(0);
    const config = readFileSync(at('cora.toml'), 'utf8');
    expect(config).toContain('\nexclude = ["/.cache-x/", "/env/", "/we\\\\[i\\\\]rd \\\\*/"]\n');
    expect(config).toContain('\n# exclude = ["/.cache-x/", "/env/", "/we\\\\[i\\\\]rd \\\\*/", "/target/"]\n');
    const { result } = await sandbox.json(['show']);
    const report = (result['forms'] as { report: { not_covered: { path: string }[]; databases: { path: string }[] } }[])[0]?.report;
    expect(report?.not_covered.map(({ path }) => path)).toEqual(['.cache-x', '.venv', 'env', 'we[i]rd *']);
    expect(report?.databases.map(({ path }) => path)).toEqual(['data/app.db', 'keep/real.db']);
  });

  test('memory files beyond the defaults become critical', async () => {
    writeFileSync(at('AI_PLANS.md'), 'plans');
    writeFileSync(at('chat-history.jsonl'), '{}\n');
    writeFileSync(at('dataset.jsonl'), '{}\n');
    const run = await init();
    expect(run.code).toBe(0);
    expect((run.result['answers'] as { critical: string[] }).critical.slice(-2)).toEqual(['AI_*.md', '/chat-history.jsonl']);
    const { result } = await sandbox.json(['show']);
    expect((result['forms'] as { report: { critical: string[] } }[])[0]?.report.critical).toEqual(['AI_PLANS.md', 'chat-history.jsonl']);
  });

  test('a cora.toml that is there is kept to the byte, and one that was edited since too', async () => {
    writeFileSync(at('cora.toml'), '# mine\nlarge_file = "1MB"\n');
    const run = await init();
    expect([run.code, run.result['files']]).toEqual([0, [{ path: at('cora.toml'), action: 'kept', reason: 'it was there before' }]]);
    expect(readFileSync(at('cora.toml'), 'utf8')).toBe('# mine\nlarge_file = "1MB"\n');
    expect((await sandbox.json(['init', '--undo', '--yes'])).code).toBe(0);
    expect(existsSync(at('cora.toml'))).toBe(true);
  });

  test('what was edited since is kept by init and by --undo, and named', async () => {
    await shell(GIT);
    expect((await init()).code).toBe(0);
    writeFileSync(at('cora.toml'), `${readFileSync(at('cora.toml'), 'utf8')}large_file = "1MB"\n`);
    writeFileSync(at('.git/hooks/pre-push'), readFileSync(at('.git/hooks/pre-push'), 'utf8').replace('replay', 'REPLAY'));
    const again = await init();
    expect(again.result['files']).toEqual([{ path: at('cora.toml'), action: 'kept', reason: 'it was edited since init wrote it' }]);
    expect([again.code, again.problems[0]?.code]).toEqual([3, 'hooks']);
    const plan = await sandbox.json(['init', '--undo', '--dry-run']);
    expect([plan.code, plan.result]).toEqual([
      0,
      expect.objectContaining({ files: [{ path: at('cora.toml'), action: 'keep' }], hooks: true, timers: true }),
    ]);
    const undone = await sandbox.json(['init', '--undo', '--yes']);
    expect([undone.code, undone.result['kept']]).toEqual([3, expect.arrayContaining([expect.objectContaining({ path: at('cora.toml') })])]);
    expect([existsSync(at('cora.toml')), existsSync(at('.git/hooks/pre-push'))]).toEqual([true, true]);
  });

  test('a hook and timers that were there before stay after --undo', async () => {
    await shell(GIT);
    expect((await sandbox.cora(['hooks', 'install'])).code).toBe(0);
    expect((await sandbox.cora(['timers', 'install', '--unit-dir', units])).code).toBe(0);
    expect((await init()).code).toBe(0);
    expect((await sandbox.json(['init', '--undo', '--yes'])).code).toBe(0);
    expect([existsSync(at('cora.toml')), existsSync(at('.git/hooks/pre-push')), existsSync(join(units, 'cora-save.timer'))]).toEqual([
      false,
      true,
      true,
    ]);
  });

  test('--dry-run writes nothing at all, and nothing is done without a terminal or --yes', async () => {
    await shell(GIT);
    const before = await fingerprint();
    const dry = await sandbox.json(['init', '--dry-run']);
    expect([dry.code, dry.result['dry_run']]).toEqual([0, true]);
    const refused = await sandbox.cora(['init']);
    expect([refused.code, refused.stderr]).toEqual([
      20,
      expect.stringMatching(/Write .*cora\.toml:[\s\S]*nobody can be asked here; cora init --yes/),
    ]);
    expect(await fingerprint()).toEqual(before);
    expect([existsSync(sandbox.vault), existsSync(units)]).toEqual([false, false]);
  });

  test('--no-hook and --no-timers leave those out; the last line says what is protected', async () => {
    await shell(`${GIT} && mkdir -p node_modules/x && touch node_modules/x/y`);
    const run = await sandbox.cora(['init', '--yes', '--no-hook', '--no-timers']);
    expect([run.code, run.stdout.trimEnd().split('\n').at(-1)]).toEqual([
      0,
      expect.stringMatching(/^Protected: 2 files, 0 databases\. Restore tested in .* s\. Not covered: node_modules \(rebuildable\)\.$/),
    ]);
    expect(existsSync(at('.git/hooks/pre-push'))).toBe(false);
  });

  test.skipIf(existsSync('/run/systemd/system'))(
    'without systemd it prints the lines for cron, and says that nothing saves by the clock yet',
    async () => {
      const run = await sandbox.cora(['init', '--yes']);
      expect([run.code, run.stderr, run.stdout]).toEqual([
        0,
        expect.stringContaining('No systemd runs here'),
        expect.stringContaining('*/15 * * * * cd '),
      ]);
    },
  );

  test('hooks that other repositories share are not touched, and that is said', async () => {
    await shell(`${GIT} && mkdir ../shared && git config --global core.hooksPath ${join(sandbox.root, 'shared')}`);
    const run = await init();
    expect([run.code, run.problems.map(({ code }) => code)]).toEqual([3, ['hooks']]);
    expect(await shell('ls ../shared')).toBe('');
  });

  test('credentials of a remote are shown nowhere', async () => {
    await shell(`${GIT} && git remote add origin https://me:s3cr3tpw@github.com/me/app.git`);
    const run = await init();
    expect(run.result['detected']).toMatchObject({ git: { remotes: [{ name: 'origin', limit: 104_857_600 }] } });
    expect(text(run.result) + run.stderr).not.toContain('s3cr3tpw');
  });
});

describe('in a large, foreign or failing place', () => {
  beforeEach(() => use());

  test('over 5 GB it shows the biggest directories, and --yes goes on', async () => {
    await shell('mkdir -p data/raw small && truncate -s 6G data/raw/sparse.bin && echo x > small/a');
    const run = await sandbox.json(['init', '--dry-run']);
    expect([run.code, run.stderr]).toEqual([
      0,
      expect.stringMatching(/This is large: 2 files, 6\.4 GB[\s\S]*data +6\.4 GB +1 file\n +data\/raw +6\.4 GB/),
    ]);
    expect(run.result['detected']).toMatchObject({ large_project: true, large_files: [{ path: 'data/raw/sparse.bin' }] });
  });

  test.skipIf(!isRoot)("root in somebody else's project: cora.toml and the hook are the owner's", async () => {
    await shell(`${GIT} && chown -R 65534:65534 .`);
    const run = await init();
    expect([run.code, text(run.problems)]).toEqual([0, '[]']);
    for (const path of ['cora.toml', '.git/hooks/pre-push']) expect([path, statSync(at(path)).uid]).toEqual([path, 65_534]);
    expect(statSync(at('cora.toml')).mode & 0o7777).toBe(0o644);
  });

  test.skipIf(!isRoot)('a save that fails leaves the tree as it was, hook and configuration too', async () => {
    await shell(`${GIT} && head -c 4000000 /dev/urandom > big && mkdir .claude`);
    const small = join(sandbox.root, 'small');
    mkdirSync(small);
    const before = await fingerprint(sandbox.project);
    await shell(`mount -t tmpfs -o size=1m none ${small}`);
    try {
      const run = await sandbox.json(['init', '--yes', '--unit-dir', units], { env: { CORA_VAULT: join(small, 'vault') } });
      expect([run.code, run.error.code]).toEqual([1, 'no_space']);
      expect(await fingerprint(sandbox.project)).toEqual(before);
      expect(existsSync(units)).toBe(false);
    } finally {
      await shell(`umount ${small}`);
    }
  });

  test.skipIf(!isRoot)('a probe that a killed run left is taken away by the next one', async () => {
    expect((await init(['--no-timers'])).code).toBe(0);
    const probe = join(sandbox.vault, '.stage', '.cora-probe-aB3xYz');
    await shell(`mkdir ${probe} && touch ${probe}/file && chattr +i ${probe}/file && touch -d '2 minutes ago' ${probe}`);
    expect((await init(['--no-timers'])).code).toBe(0);
    expect(existsSync(probe)).toBe(false);
  });

  test('a project whose name is not UTF-8', async () => {
    await shell(`mkdir "$(printf 'caf\\351')" && cd caf* && echo a > a`);
    const run = await execute('/bin/sh', ['-c', `cd caf* && exec "$0" init --yes --no-timers`, join(import.meta.dirname, '..', 'bin', 'cora')], {
      cwd: sandbox.project,
      env: { ...env, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log') },
    });
    expect([run.code, run.stderr, run.stdout]).toEqual([3, expect.stringContaining('not UTF-8'), expect.stringContaining('Protected: 1 file, 0')]);
    expect(await shell('ls; ls caf*')).not.toContain('cora.toml');
  });
});

describe('where it refuses', () => {
  beforeEach(() => use());
  const refused = async (run: Promise<Run>): Promise<string> => {
    const { code, stdout } = await run;
    expect(code).toBe(2);
    return (JSON.parse(stdout) as { error: { code: string } }).error.code;
  };

  test('/, the home directory, a project in a vault, a vault in the project', async () => {
    const before = await fingerprint();
    expect(await refused(sandbox.cora(['init', '--yes', '--json'], { cwd: '/' }))).toBe('project_refused');
    expect(await refused(sandbox.cora(['init', '--yes', '--json'], { cwd: sandbox.home }))).toBe('project_refused');
    expect(await refused(sandbox.cora(['init', '--yes', '--json', '--vault', at('vault')]))).toBe('project_refused');
    expect(await fingerprint()).toEqual(before);
    expect((await sandbox.cora(['save'])).code).toBe(0);
    mkdirSync(join(sandbox.vault, 'x'));
    const inside = sandbox.cora(['init', '--yes', '--json'], { cwd: join(sandbox.vault, 'x'), env: { CORA_VAULT: join(sandbox.root, 'other') } });
    expect(await refused(inside)).toBe('project_refused');
    expect(existsSync(join(sandbox.vault, 'x', 'cora.toml'))).toBe(false);
  });

  test('a vault that cannot be made leaves the tree as it was', async () => {
    await shell(GIT);
    mkdirSync(sandbox.vault);
    const before = await fingerprint();
    const run = await sandbox.json(['init', '--yes', '--unit-dir', units]);
    expect([run.code, run.error.code]).toEqual([10, 'vault_missing']);
    expect(await fingerprint()).toEqual(before);
  });

  test('--undo where init did nothing', async () => {
    expect((await sandbox.cora(['save'])).code).toBe(0);
    const run = await sandbox.json(['init', '--undo', '--yes']);
    expect([run.code, run.error.code]).toEqual([1, 'not_found']);
    expect((await sandbox.cora(['init', '--undo'])).code).toBe(1);
  });
});

const noNobody = whyNotNobody();
describe.skipIf(noNobody !== undefined)(`as an ordinary user${noNobody === undefined ? '' : ` (skipped: ${noNobody})`}`, () => {
  beforeEach(() => use({ nobody: true }));

  const TREE = 'find . -not -path "./elsewhere*" -not -path "./home/.local*" -not -path "./home/.cache*" -not -name cora.log | sort';

  test('a vault that was named is found again without naming it, and undo leaves only the vault', async () => {
    writeFileSync(at('a.txt'), 'a');
    sandbox.own(at('a.txt'));
    const vault = join(sandbox.root, 'elsewhere');
    const options = { env: { CORA_VAULT: '' } };
    const before = await shell(TREE, sandbox.root);
    const run = await sandbox.json(['init', '--yes', '--unit-dir', units, '--vault', vault], options);
    expect([run.code, text(run.problems)]).toEqual([0, '[]']);
    expect(readFileSync(join(units, 'cora-save.service.d/50-cora.conf'), 'utf8')).not.toContain('CORA_VAULT');
    const note = join(sandbox.home, '.config/cora/project.toml');
    expect(readFileSync(note, 'utf8')).toContain(`vault = "${vault}"`);
    expect((await sandbox.json(['status'], options)).result['vault']).toMatchObject({ path: vault, exists: true });
    for (const named of [['--vault', vault], []]) {
      const again = await sandbox.json(['init', '--yes', '--unit-dir', units, ...named], options);
      expect([again.code, again.result['save']]).toEqual([0, expect.objectContaining({ outcome: 'unchanged' })]);
      expect((again.result['timers'] as { files: { change: string }[] }).files.map(({ change }) => change)).toEqual(Array(9).fill('same'));
    }
    const other = await sandbox.json(['init', '--yes', '--no-timers', '--vault', join(sandbox.root, 'third')], options);
    expect([other.code, other.error.code]).toEqual([20, 'refused']);
    expect((await sandbox.json(['init', '--undo', '--yes'], options)).code).toBe(0);
    expect(await shell(TREE, sandbox.root)).toBe(before);
    // Nothing names it any more, but it is remembered.
    expect((await sandbox.json(['list'], options)).result['total']).toBe(1);
  });

  test('a tree that cannot be written is protected all the same, and what is missing is said', async () => {
    writeFileSync(at('a.txt'), 'a');
    sandbox.own(at('a.txt'));
    chmodSync(sandbox.project, 0o555);
    const run = await init(['--no-timers']);
    expect([run.code, run.problems.map(({ code }) => code), run.result['restore_test']]).toEqual([
      3,
      ['config'],
      expect.objectContaining({ file: 'a.txt' }),
    ]);
    expect((await sandbox.json(['list'])).result['total']).toBe(1);
  });
});

const noPython = findProgram('python3') === undefined;
describe.skipIf(noPython)(`at a terminal${noPython ? ' (skipped: no python3)' : ''}`, () => {
  beforeEach(() => use());

  /** Types what is given, one part after each time that a question has come up. */
  const typed = (answers: readonly string[], command: string, more: NodeJS.ProcessEnv = { CORA_VAULT: sandbox.vault }) =>
    execute('python3', ['-c', PTY, JSON.stringify(answers), command], {
      cwd: sandbox.project,
      env: { ...env, CORA_LOG: join(sandbox.root, 'cora.log'), TERM: 'xterm', ...more },
    });
  const asNobody = isRoot ? 'setpriv --reuid 65534 --regid 65534 --clear-groups -- ' : '';
  const CORA = join(import.meta.dirname, '..', 'bin', 'cora');

  test.skipIf(noNobody !== undefined)('Enter takes every default', async () => {
    await sandbox.remove();
    use({ nobody: true });
    writeFileSync(at('CLAUDE.md'), 'x');
    const run = await typed(['\r', '\r', '\r'], `${asNobody}${CORA} init --unit-dir ${units}`, {});
    expect([run.code, run.stdout]).toEqual([
      0,
      expect.stringMatching(/Where should the vault be[\s\S]*critical[\s\S]*by itself[\s\S]*Protected: 2 files/),
    ]);
    expect(existsSync(join(sandbox.home, '.local/state/cora/project/VAULT.json'))).toBe(true);
    expect(existsSync(join(units, 'cora-save.timer'))).toBe(true);
  });

  test.skipIf(noNobody !== undefined)('a vault that is typed is used, and recorded for this machine', async () => {
    await sandbox.remove();
    use({ nobody: true });
    const run = await typed(['\x15relative\r', '\x15~/safe\r', '\r'], `${asNobody}${CORA} init --no-timers`, {});
    expect([run.code, run.stdout]).toEqual([0, expect.stringContaining('An absolute path')]);
    expect(readFileSync(join(sandbox.home, '.config/cora/project.toml'), 'utf8')).toContain(`vault = "${sandbox.home}/safe"`);
    expect(existsSync(join(sandbox.home, 'safe/VAULT.json'))).toBe(true);
  });

  test('answers are followed: not this file, no hook', async () => {
    await shell(`${GIT} && echo x > CLAUDE.md && echo S=1 > .env`);
    // Space takes the first one out of each list.
    const run = await typed([' \r', ' \r'], `${CORA} init --unit-dir ${units}`);
    expect(run.code).toBe(0);
    expect(readFileSync(at('cora.toml'), 'utf8')).toMatch(/patterns = \[(?!.*CLAUDE)/);
    expect([existsSync(at('.git/hooks/pre-push')), existsSync(join(units, 'cora-save.timer'))]).toEqual([false, true]);
  });

  test('Ctrl-C changes nothing', async () => {
    await shell(GIT);
    const before = await fingerprint();
    const run = await typed(['\x03'], `${CORA} init --unit-dir ${units}`);
    expect([run.code, run.stdout]).toEqual([130, expect.stringContaining('Nothing was changed')]);
    expect(await fingerprint()).toEqual(before);
    expect(existsSync(sandbox.vault)).toBe(false);
  });

  test.skipIf(!isRoot)('undo lifts append-only flags where a person says yes, and not with --yes', async () => {
    writeFileSync(at('AI_WORK_LOG.md'), 'log\n');
    expect((await init(['--no-timers'])).code).toBe(0);
    expect((await sandbox.cora(['protect'])).code).toBe(0);
    const undone = await sandbox.json(['init', '--undo', '--yes']);
    expect([undone.code, undone.result['kept']]).toEqual([3, [{ path: 'AI_WORK_LOG.md', reason: expect.stringContaining('cora unprotect') }]]);
    expect((await init(['--no-timers'])).code).toBe(0);
    expect((await typed(['y\r'], `${CORA} init --undo`)).code).toBe(0);
    expect(await shell('lsattr AI_WORK_LOG.md')).not.toMatch(/^-*a/);
    expect(statSync(at('AI_WORK_LOG.md')).size).toBe(4);
  });
});

/** A terminal of its own: waits until the program is quiet, types the next answer, gives the exit code on. */
const PTY = `
import fcntl, json, os, pty, select, struct, sys, termios, time
answers, command = json.loads(sys.argv[1]), sys.argv[2]
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
    os.execv('/bin/sh', ['sh', '-c', command])
out = b''
seen = 0
while True:
    ready, _, _ = select.select([fd], [], [], 0.5)
    if ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    elif answers and len(out) > seen and (b'?' in out[seen:]):
        seen = len(out)
        for key in answers.pop(0):
            os.write(fd, key.encode())
            time.sleep(0.1)
sys.stdout.buffer.write(out)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
