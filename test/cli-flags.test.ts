// The command line and its variables: what is understood, and that the rest is an error with a way out.

import { expect, test } from 'vitest';
import { bytes, fromText } from '../src/base/bytes.ts';
import { CoraError } from '../src/base/errors.ts';
import { type FlagTable, parseFlags, takeWord } from '../src/cli/flags.ts';
import { cli } from './support/cli-run.ts';

const TABLE = {
  message: { kind: 'text', short: 'm', value: 'NOTE', aliases: ['note'], help: '' },
  ifOlder: { kind: 'duration', value: 'TIME', help: '' },
  to: { kind: 'path', short: 't', value: 'DIR', help: '' },
  limit: { kind: 'number', short: 'n', value: 'COUNT', help: '' },
  deep: { kind: 'switch', short: 'd', help: '' },
  verbose: { kind: 'count', short: 'v', help: '' },
  overwrite: { kind: 'choice', value: 'WHEN', choices: ['always', 'never'], help: '' },
  help: { kind: 'switch', short: 'h', help: '' },
} as const satisfies FlagTable;

const parse = (args: readonly string[], env: Record<string, string> = {}) => parseFlags(args.map(fromText), env, TABLE, 'test');

function failure(args: readonly string[], env: Record<string, string> = {}): string {
  try {
    parse(args, env);
  } catch (error) {
    if (error instanceof CoraError) return `${error.code}: ${error.message}. ${error.hint ?? ''}`;
    throw error;
  }
  return 'no error';
}

test('options become typed values in every spelling', () => {
  const { options, args } = parse(['-dvv', '-m', 'a note', 'ID', '--if-older=60s', '-n5', '--to', 'out', '--overwrite', 'never', 'src/a']);
  expect(options).toEqual({ deep: true, verbose: 2, message: 'a note', ifOlder: 60_000, limit: 5, to: 'out', overwrite: 'never' });
  expect(args).toEqual(['ID', 'src/a']);
  expect(parse(['--note', 'x']).options).toEqual({ message: 'x' });
});

test('what stands after -- is a path, and is kept apart', () => {
  const parsed = parse(['latest', '--', '--deep', '-x']);
  expect(parsed.args).toEqual(['latest']);
  expect(parsed.paths).toEqual(['--deep', '-x']);
  expect(parsed.options).toEqual({});
});

test('paths keep bytes that are not UTF-8, texts are decoded', () => {
  const { options, args } = parseFlags([bytes('--to'), bytes('a\xff'), bytes('b\xfe'), bytes('-m'), fromText('für')], {}, TABLE, 'test');
  expect(options).toEqual({ to: 'a\xff', message: 'für' });
  expect(args).toEqual(['b\xfe']);
});

test('every option is a variable, and the command line wins', () => {
  const env = { CORA_IF_OLDER: '5m', CORA_DEEP: '1', CORA_VERBOSE: '3', CORA_TO: '/x', CORA_MESSAGE: 'from env', CORA_OVERWRITE: '' };
  expect(parse(['--to', 'y'], env).options).toEqual({ ifOlder: 300_000, deep: true, verbose: 3, to: 'y', message: 'from env' });
  expect(parse([], { CORA_DEEP: 'no' }).options).toEqual({ deep: false });
  expect(parse([], { CORA_HELP: '1' }).options).toEqual({});
});

test('what is wrong is an error that names the way out', () => {
  expect(failure(['--deap'])).toBe('usage: Unknown option --deap for cora test. did you mean --deep?');
  expect(failure(['-x'])).toBe('usage: Unknown option -x for cora test. see cora test --help');
  expect(failure(['--deep=1'])).toContain('takes no value');
  expect(failure(['--message'])).toContain('needs a value: NOTE');
  expect(failure(['--message', '--deep'])).toContain('--message=--deep');
  expect(failure(['--if-older', 'soon'])).toContain('60s, 5m, 36h or 2d');
  expect(failure(['-n', '-1'])).toContain('needs a value');
  expect(failure(['-n', '1.5'])).toContain('not a whole number');
  expect(failure(['--overwrite', 'nevre'])).toContain('did you mean never?');
  expect(failure(['--to='])).toContain('empty');
});

test('a wrong variable is an error that names the variable', () => {
  expect(failure([], { CORA_DEEP: 'ja' })).toContain('CORA_DEEP');
  expect(failure([], { CORA_IF_OLDER: 'x' })).toContain('CORA_IF_OLDER');
  expect(failure([], { CORA_OVERWRITE: 'x' })).toContain('CORA_OVERWRITE');
});

test('options of every command may stand before its name', () => {
  expect(takeWord(['--to', 'dir', 'save', 'x'].map(fromText), TABLE)).toEqual({ word: 'save', rest: ['--to', 'dir', 'x'] });
  expect(takeWord(['--', 'save'].map(fromText), TABLE).word).toBeUndefined();
});

test.each([
  [['sav'], 'Unknown command: sav; did you mean cora save?'],
  [['snapshot'], 'did you mean cora snapshots?'],
  [['backup', 'verfy'], 'did you mean cora backup verify?'],
  [['backup'], 'cora backup needs one of now, auto, list, verify'],
  [['frobnicate'], 'cora --help lists all commands'],
  [['save', '--if-oldr', '1s'], 'did you mean --if-older?'],
  [['--nope', 'save'], 'Unknown option --nope'],
  [['save', 'extra'], 'takes no argument, not 1'],
  [['list', 'a', 'b'], 'takes one argument, not 2'],
  [['list', '--saves', '--backups'], 'exclude each other'],
  [['verify', 'latest', '--all'], 'not both'],
  [['restore'], 'needs a snapshot or a path'],
])('%j ends with 2 and one line on stderr', async (args, part) => {
  const run = await cli(args);
  expect(run.code).toBe(2);
  expect(run.stdout).toBe('');
  expect(run.stderr).toMatch(/^cora: [^\n]+\n$/);
  expect(run.stderr).toContain(part);
});

test('aliases reach their command, with its options', async () => {
  for (const args of [
    ['snapshots', '-n', '3'],
    ['list', '--limit', '3'],
    ['backup', '--limit=3', 'list'],
  ]) {
    const seen: unknown[] = [];
    const run = await cli(args, {
      list: async (_location, options) => {
        seen.push(options.limit);
        return { snapshots: [], total: 0 };
      },
    });
    expect([run.code, seen, run.stderr]).toEqual([0, [3], '']);
  }
});

test('--vault and CORA_VAULT name the vault, absolute or from here, and reading needs no project then', async () => {
  const found: string[] = [];
  const parts = {
    findProject: async () => {
      throw new CoraError('project_refused', 'No project here');
    },
    list: async (location: { readonly path: string }) => {
      found.push(location.path);
      return { snapshots: [], total: 0 };
    },
  };
  expect((await cli(['list', '--vault', '/mnt/v'], parts)).code).toBe(0);
  expect((await cli(['--vault=../v', 'list'], parts)).code).toBe(0);
  expect((await cli(['list'], parts, { CORA_VAULT: '/env/v' })).code).toBe(0);
  expect((await cli(['list'], parts)).code).toBe(2);
  expect(found).toEqual(['/mnt/v', '/srv/v', '/env/v']);
});
