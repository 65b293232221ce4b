// What a run prints and how it ends: the JSON envelope, texts for people, problems, progress,
// questions and interruption. The layers below are stand-ins; the real ones have their own tests.

import { expect, test } from 'vitest';
import type { RestorePlan } from '../src/actions/restore-plan.ts';
import { bytes } from '../src/base/bytes.ts';
import type { Context, Problem } from '../src/base/context.ts';
import { CoraError, ERROR_EXIT } from '../src/base/errors.ts';
import type { Engine } from '../src/cli/engine.ts';
import { progressLine } from '../src/cli/terminal.ts';
import { cli } from './support/cli-run.ts';
import { SAMPLE_ID, sampleReport } from './support/sample-report.ts';

const saved: Engine['save'] = async () => ({
  outcome: 'saved',
  id: SAMPLE_ID,
  path: '/v/x',
  ageMs: 0,
  report: sampleReport(),
  problems: [],
  losses: [],
});
const unreadable: Problem = { code: 'unreadable', path: 'src/a', message: 'Permission denied', severity: 'error' };

const incomplete: Engine['save'] = async (_project, _location, _options, ctx) => {
  ctx.monitor.problem(unreadable);
  const report = sampleReport({ status: 'partial', problems: [unreadable] });
  return { outcome: 'saved', id: SAMPLE_ID, path: '/v/x', ageMs: 0, report, problems: [unreadable], losses: [] };
};

const throwing = (error: unknown): Partial<Engine> => ({
  save: async () => {
    throw error;
  },
});

function documentOf(run: { readonly stdout: string }): Record<string, unknown> {
  expect(run.stdout).toMatch(/^[^\n]+\n$/);
  return JSON.parse(run.stdout) as Record<string, unknown>;
}

test('a result is one document with schema, command, ok, result, problems', async () => {
  const run = await cli(['save', '--json', '-m', 'note'], { save: saved });
  expect(run).toMatchObject({ code: 0, stderr: '' });
  const document = documentOf(run);
  expect(Object.keys(document)).toEqual(['schema', 'command', 'ok', 'result', 'problems']);
  expect(document).toMatchObject({ schema: 1, command: 'save', ok: true, problems: [] });
  expect(document['result']).toMatchSnapshot();
});

test('a save says in one line what it did', async () => {
  expect((await cli(['save'], { save: saved })).stdout).toBe(`Saved ${SAMPLE_ID}: 12 files changed (1.2 MB), 0.4 s\n`);
  const unchanged: Engine['save'] = async () => ({
    outcome: 'unchanged',
    id: SAMPLE_ID,
    path: '/v',
    losses: [],
    ageMs: 720_000,
    report: undefined,
    problems: [],
  });
  expect((await cli(['save'], { save: unchanged })).stdout).toBe(`Nothing changed since ${SAMPLE_ID} (12 min ago); no new snapshot\n`);
  expect((await cli(['save', '-q'], { save: saved })).stdout).toBe('');
});

test('options reach the action', async () => {
  const seen: unknown[] = [];
  const save: Engine['save'] = (project, location, options, ctx) => {
    seen.push(options, [ctx.workers, ctx.lockWait]);
    return saved(project, location, options, ctx);
  };
  await cli(['save', '-m', 'n', '--if-older', '60s', '--lock-wait=5s'], { save }, { CORA_WORKERS: '0', CORA_TRIGGER: 'timer' });
  expect(seen).toMatchObject([{ trigger: 'timer', note: 'n', ifOlder: 60_000 }, [0, 5000]]);
});

test('an incomplete run ends with 3 and lists each problem once', async () => {
  const run = await cli(['save'], { save: incomplete });
  expect(run).toMatchObject({ code: 3, stderr: 'error: src/a: Permission denied\n' });
  expect(run.stdout).toContain('INCOMPLETE: 1 problem');
  const json = await cli(['save', '--json'], { save: incomplete });
  expect(json.code).toBe(3);
  expect(documentOf(json)).toMatchObject({ ok: true, result: { status: 'partial' }, problems: [unreadable] });
});

test('many problems are cut on a terminal of people, never in JSON', async () => {
  const save: Engine['save'] = async (project, location, options, ctx) => {
    for (let i = 0; i < 30; i++) ctx.monitor.problem({ ...unreadable, path: `f${i}` });
    return saved(project, location, options, ctx);
  };
  expect((await cli(['save'], { save })).stderr.split('\n').slice(19)).toEqual([
    'error: f19: Permission denied',
    expect.stringContaining('and 10 more'),
    '',
  ]);
  expect((await cli(['save', '-v'], { save })).stderr.split('\n')).toHaveLength(31);
  expect(documentOf(await cli(['save', '--json'], { save }))['problems']).toHaveLength(30);
});

test('an error is one line on stderr and one document', async () => {
  const error = new CoraError('no_space', 'No space left while writing x', { hint: 'free some', details: { path: 'x' } });
  expect(await cli(['save'], throwing(error))).toEqual({ code: 1, stdout: '', stderr: 'cora: No space left while writing x; free some\n' });
  const json = await cli(['save', '--json'], throwing(error));
  expect(json.code).toBe(1);
  expect(documentOf(json)).toEqual({
    schema: 1,
    command: 'save',
    ok: false,
    error: { code: 'no_space', message: 'No space left while writing x', hint: 'free some', exit_code: 1, details: { path: 'x' } },
    problems: [],
  });
});

test('every error code ends with its exit code', async () => {
  for (const [code, exit] of Object.entries(ERROR_EXIT)) {
    const run = await cli(['save', '--json'], throwing(new CoraError(code as keyof typeof ERROR_EXIT, 'x')));
    expect([run.code, (documentOf(run)['error'] as { exit_code: number }).exit_code]).toEqual([exit, exit]);
  }
});

test('a usage error is a document too, wherever --json stands', async () => {
  for (const args of [
    ['--json', 'sav'],
    ['save', '--nope', '--json'],
    ['backup', '--json'],
  ]) {
    const run = await cli(args);
    expect(run.code).toBe(2);
    expect(documentOf(run)).toMatchObject({ ok: false, error: { code: 'usage', exit_code: 2 } });
  }
  expect(documentOf(await cli(['sav'], {}, { CORA_JSON: '1' }))).toMatchObject({ ok: false });
  expect((await cli(['restore', '--', '--json'])).stdout).toBe('');
});

test('what nobody foresaw is 70 in one sentence, with a stack only on request', async () => {
  const run = await cli(['save'], throwing(new TypeError('x is not a function')));
  expect(run.code).toBe(70);
  expect(run.stderr).toMatch(/^cora: Internal error: x is not a function; [^\n]+CORA_DEBUG=1[^\n]+\n$/);
  expect((await cli(['save'], throwing(new TypeError('x')), { CORA_DEBUG: '1' })).stderr).toContain('    at ');
});

test('what the system refused is 1, and a full disk says what to do', async () => {
  const denied = Object.assign(new Error("EACCES: permission denied, open '/x'"), { code: 'EACCES' });
  expect((await cli(['save'], throwing(denied))).code).toBe(1);
  const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', path: '/v/x' });
  expect((await cli(['save'], throwing(full))).stderr).toContain('No space left while writing /v/x');
});

test('names cannot steer the terminal', async () => {
  const save: Engine['save'] = async (project, location, options, ctx) => {
    ctx.monitor.problem({ code: 'unreadable', path: 'a\x1b[2J\nOK\u202e', message: 'x', severity: 'error' });
    return saved(project, location, options, ctx);
  };
  expect((await cli(['save'], { save })).stderr).toBe('error: a\\x1b[2J\\x0aOK\\u202e: x\n');
});

test('an interrupted run ends with 130', async () => {
  const controller = new AbortController();
  const save: Engine['save'] = async (_project, _location, _options, ctx) => {
    controller.abort('SIGTERM');
    ctx.signal.throwIfAborted();
    throw new Error('unreachable');
  };
  const run = await cli(['save', '--json'], { save }, {}, { signal: controller.signal });
  expect(run.code).toBe(130);
  expect(run.stderr).toMatch(/^cora: Interrupted by SIGTERM; [^\n]+\n$/);
  expect(documentOf(run)).toMatchObject({ ok: false, error: { code: 'interrupted', exit_code: 130 } });
});

test('damage ends with 21, names each file, and the document carries the result', async () => {
  const verify: Engine['verify'] = async () => ({
    snapshots: [
      { id: SAMPLE_ID, kind: 'backup', files: 14, bytes: 247_000_000, seconds: 1.2, cold: true, damaged: [], seal: undefined, sealMissing: false },
      {
        id: SAMPLE_ID,
        kind: 'save',
        files: 5,
        bytes: 100,
        seconds: 0.1,
        cold: true,
        seal: undefined,
        sealMissing: false,
        damaged: [{ path: 'src/a.ts', file: 'progress/x/objects.tar.zst', reason: 'its hash differs' }],
      },
    ],
    remaining: 0,
    seconds: 1.3,
  });
  const run = await cli(['verify', '--all'], { verify });
  expect(run.code).toBe(21);
  expect(run.stdout).toContain(`OK ${SAMPLE_ID}: 14 files, 247 MB read from the disk, 1.2 s\n`);
  expect(run.stdout).toContain('  src/a.ts: its hash differs (progress/x/objects.tar.zst)\n');
  expect(run.stderr).toBe('cora: 1 damaged file found; the lines above name them\n');
  const document = documentOf(await cli(['backup', 'verify', 'latest', '--json'], { verify }));
  expect(document).toMatchObject({ command: 'backup verify', ok: false, error: { code: 'damaged', exit_code: 21 } });
  expect(JSON.stringify(document)).toContain('"path":"src/a.ts"');
});

test('backup verify takes the newest backup, and says where there is none', async () => {
  const seen: unknown[] = [];
  const verify: Engine['verify'] = async (_location, options) => {
    seen.push(options);
    return { snapshots: [], remaining: 0, seconds: 0 };
  };
  const none = await cli(['backup', 'verify'], { verify, list: async () => ({ total: 0, snapshots: [] }) });
  expect([none.code, seen]).toEqual([2, []]);
  expect(none.stderr).toContain('cora backup now');
  const newest = { kinds: ['backup'], type: 'manual', status: 'complete', sequence: 1, time: 0, files: 1 } as const;
  const list: Engine['list'] = async (_location, options) => {
    seen.push([options.kind, options.limit]);
    return {
      total: 3,
      snapshots: [{ ...newest, id: SAMPLE_ID, contentBytes: 1, storedBytes: 1, label: null, note: null, protection: undefined, path: '/v' }],
    };
  };
  await cli(['backup', 'verify', '--deep'], { verify, list });
  expect(seen).toEqual([['backup', 1], { target: SAMPLE_ID, deep: true }]);
});

const plan: RestorePlan = {
  id: SAMPLE_ID,
  kind: 'backup',
  directory: bytes('/srv/app'),
  inPlace: true,
  create: 1,
  replace: 1,
  keep: 3,
  bytes: 300,
  changes: [
    { action: 'create', path: bytes('b\xff'), size: 100 },
    { action: 'replace', path: bytes('a'), size: 200 },
  ],
  extras: [],
  liveDatabases: [],
  elsewhere: undefined,
  modes: 'live',
  // For the action alone, which is a stand-in here.
  work: {
    report: { units: [], databases: [] },
    refused: [{ path: bytes('dir'), code: 'type_conflict', reason: 'a link now' }],
  } as unknown as RestorePlan['work'],
};

function restoring(inPlace: boolean): { readonly parts: Partial<Engine>; readonly applied: RestorePlan[] } {
  const applied: RestorePlan[] = [];
  const parts: Partial<Engine> = {
    planRestore: async () => ({ ...plan, inPlace }),
    applyRestore: async (given) => {
      applied.push(given);
      return { id: given.id, directory: given.directory, files: 2, bytes: 300, databases: 0, kept: 3, damaged: 0, problems: [], seconds: 0.5 };
    },
  };
  parts.restoreInPlace = async (_project, _location, given) => {
    applied.push(given);
    const done = { files: 2, bytes: 300, databases: 0, kept: 3, damaged: 0, problems: [], seconds: 0.5 };
    return {
      id: given.id,
      directory: given.directory,
      ...done,
      preRestoreSnapshot: undefined,
      movedAside: 0,
      databaseChecks: [],
      checks: [],
      rolledBack: false,
    };
  };
  return { parts, applied };
}

test('a restore in place needs a yes, and without a terminal nobody is asked', async () => {
  const refused = restoring(true);
  const run = await cli(['restore', 'latest'], refused.parts);
  expect([run.code, refused.applied.length]).toEqual([20, 0]);
  expect(run.stderr).toContain('--yes');

  const answers: [string, number][] = [
    ['y', 0],
    ['', 20],
    ['n', 20],
    ['yes', 0],
  ];
  for (const [answer, code] of answers) {
    const asked = restoring(true);
    expect((await cli(['restore', 'latest'], asked.parts, {}, { ask: async () => answer })).code).toBe(code);
    expect(asked.applied.length).toBe(code === 0 ? 1 : 0);
  }

  const yes = restoring(true);
  expect((await cli(['restore', 'latest', '--yes'], yes.parts)).stdout).toBe(
    `Restored ${SAMPLE_ID} to /srv/app: 2 files, 300 B, 3 kept as they were, 0.5 s\nWay back: cora restore --undo\n`,
  );
});

test('a dry run and a restore beside the project ask nothing', async () => {
  const dry = restoring(true);
  const run = await cli(['restore', 'latest', '--dry-run', '--json'], dry.parts);
  expect([run.code, dry.applied.length]).toEqual([0, 0]);
  expect(documentOf(run)['result']).toMatchSnapshot();
  expect((await cli(['restore', 'latest', '-n'], dry.parts)).stdout).toContain('  replace a\n');
  const beside = restoring(false);
  expect((await cli(['restore', 'latest', '--to', 'out'], beside.parts)).code).toBe(0);
});

test('restore hands on paths, absolute targets and what stands after --', async () => {
  const seen: unknown[] = [];
  const planRestore: Engine['planRestore'] = async (_project, _location, options) => {
    seen.push(options);
    throw new CoraError('unknown_snapshot', 'x');
  };
  await cli(['restore', 'latest', 'src/a', '--to', 'out', '--overwrite', 'never', '--', '-odd'], { planRestore });
  expect(seen).toEqual([
    {
      target: 'latest',
      paths: ['src/a', '-odd'],
      to: '/srv/app/out',
      critical: false,
      databases: false,
      overwrite: 'never',
      artefacts: { with: [], without: [] },
      deleteExtra: false,
      here: { directory: '/srv/app', typed: ['latest', 'src/a', '-odd'] },
      modes: 'live',
    },
  ]);
});

test('list, show, status and backup print what they know', async () => {
  const report = sampleReport({ kind: 'backup', type: 'manual', label: 'pre-upgrade', note: 'a note' });
  const parts: Partial<Engine> = {
    list: async () => ({
      total: 2,
      snapshots: [
        {
          id: SAMPLE_ID,
          kinds: ['save', 'backup'],
          type: 'manual',
          status: 'partial',
          sequence: 7,
          time: Date.UTC(2026, 10, 21, 14, 30),
          files: 1211,
          contentBytes: 247_000_000,
          storedBytes: 1_200_000,
          label: 'pre-upgrade',
          note: null,
          protection: 'kernel',
          path: '/v/x',
        },
      ],
    }),
    show: async () => ({ id: SAMPLE_ID, forms: [{ path: '/v/x', report, seal: { protection: 'kernel', reason: undefined } }] }),
    status: async () => ({
      project: { name: 'app', root: '/srv/app' },
      vault: { path: '/v', exists: true, bytes: 5_000_000, freeBytes: 9_000_000_000, sameDisk: true },
      lastSave: { id: SAMPLE_ID, time: Date.UTC(2026, 10, 21, 14, 30), ok: true },
      lastBackup: undefined,
      lastVerify: undefined,
      lastDrill: undefined,
      lastTorture: undefined,
      saves: 1,
      backups: 0,
      fallbacks: 0,
      sealed: 0,
      largeFiles: [],
      growth: [{ path: 'AI_WORK_LOG.md', size: 1_200_000, grown: 340_000, days: 7 }],
      failures: { count: 0, last: undefined, pushesWithoutSave: 0 },
      losses: [],
      frozen: false,
      warnings: [{ message: 'There is no backup yet', next: 'cora backup now' }],
    }),
    backup: async () => ({
      outcome: 'made',
      id: SAMPLE_ID,
      path: '/v/x',
      ageMs: 0,
      report,
      bytes: 99_000_000,
      archiveSeconds: 0.2,
      save: undefined,
      problems: [],
    }),
  };
  for (const args of [['list'], ['show'], ['status'], ['backup', 'now']]) {
    const run = await cli(args, parts);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(run.stdout).toMatchSnapshot(args.join(' '));
    expect(documentOf(await cli([...args, '--json'], parts))['result']).toMatchSnapshot(`${args.join(' ')} --json`);
  }
});

const working = (clock: { at: number }): Engine['save'] => {
  const work = (ctx: Context) => {
    ctx.monitor.phase('store');
    for (let i = 1; i <= 50; i++) {
      clock.at += 50;
      ctx.monitor.progress({ phase: 'store', files: i, totalFiles: 50, bytes: i * 1e6, totalBytes: 5e7 });
    }
  };
  return async (project, location, options, ctx) => {
    work(ctx);
    return saved(project, location, options, ctx);
  };
};

test('progress: a line on a terminal at most ten times a second, a line a long phase elsewhere, nothing when quiet', async () => {
  const run = async (args: readonly string[], tty: boolean, env: NodeJS.ProcessEnv = {}) => {
    const clock = { at: 0 };
    return (await cli(['save', ...args], { save: working(clock) }, env, { now: () => clock.at, tty })).stderr;
  };
  const bar = await run([], true);
  expect(bar.split('\r\x1b[K').length - 1).toBeLessThanOrEqual(26);
  expect(bar).toContain('store  50 of 50 files  50 MB of 50 MB  20 MB/s');
  expect(bar.endsWith('\r\x1b[K')).toBe(true);
  expect(bar).toContain('\x1b[2m');
  expect(await run([], true, { NO_COLOR: '1' })).not.toContain('\x1b[2m');
  expect(await run(['--no-color'], true)).not.toContain('\x1b[2m');
  expect(await run([], false)).toBe('store: 50 files, 50 MB, 2.5 s\n');
  expect(await run(['-q'], true)).toBe('');
  expect(await run(['--progress', 'none'], true)).toBe('');
  const lines = (await run(['--progress', 'json'], false))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.at(-1)).toMatchObject({ message_type: 'status', phase: 'store', percent_done: 1, files_done: 50, total_bytes: 5e7 });
});

test('a progress line tells the rate and the time left once it knows them', () => {
  expect(progressLine({ phase: 'scan', files: 1204, totalFiles: 0, bytes: 0, totalBytes: 0 }, 100)).toBe('scan  1,204 files  0 B');
  expect(progressLine({ phase: 'store', files: 1, totalFiles: 2, bytes: 1e6, totalBytes: 4e6 }, 1000)).toBe(
    'store  1 of 2 files  1.0 MB of 4.0 MB  1.0 MB/s  3.0 s left',
  );
});

test('warnings of the configuration are shown and leave the run complete', async () => {
  const findProject: Engine['findProject'] = async () => ({
    root: bytes('/srv/app'),
    name: 'app',
    config: (await import('../src/base/config.ts')).defaultConfig,
    warnings: ['vault in cora.toml is not used: root does not own the file'],
  });
  const run = await cli(['save', '--json'], { save: saved, findProject });
  expect(run).toMatchObject({ code: 0, stderr: 'warning: vault in cora.toml is not used: root does not own the file\n' });
  expect(documentOf(run)['problems']).toEqual([expect.objectContaining({ code: 'config', severity: 'warning' })]);
});
