// An assistant's session in two small projects that really work, through the hooks as Claude Code calls them: what it destroys comes
// back with the commands that `cora lost` prints, typed as printed.

import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { Assistant } from './support/assistant.ts';
import { execute, type Run, Sandbox } from './support/sandbox.ts';

const python = findProgram('python3');
const SLOW = process.env['CORA_TEST_SLOW'] === '1';

let box: Sandbox;
let assistant: Assistant;
beforeEach(() => {
  box = new Sandbox({ fast: true });
  assistant = new Assistant(box);
});
afterEach(async () => {
  await settled();
  await box.remove();
});

const at = (path: string) => join(box.project, path);
const read = (path: string) => readFileSync(at(path), 'utf8');
function put(path: string, text: string): void {
  mkdirSync(join(at(path), '..'), { recursive: true });
  writeFileSync(at(path), text);
}

/** A line for the shell in the project, as a person or an assistant types it; `cora` is the one of this clone. */
function shell(line: string): Promise<Run> {
  const env = {
    PATH: `${join(import.meta.dirname, '..', 'bin')}:${join(process.execPath, '..')}:${process.env['PATH']}`,
    HOME: box.home,
    CORA_VAULT: box.vault,
    CORA_LOG: join(box.root, 'cora.log'),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@example.org',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@example.org',
  };
  return execute('/bin/sh', ['-c', line], { cwd: box.project, env });
}

/** An assistant's Bash call: the hooks, then the command itself. */
async function bash(command: string): Promise<void> {
  for (const run of await assistant.before('Bash', { command, description: 'as asked' }))
    expect(run).toMatchObject({ code: 0, stdout: '', stderr: '' });
  const run = await shell(command);
  expect([command, run.code, run.stderr]).toEqual([command, 0, expect.anything()]);
}

async function write(path: string, content: string): Promise<void> {
  for (const run of await assistant.before('Write', { file_path: at(path), content })) expect(run).toMatchObject({ code: 0, stdout: '', stderr: '' });
  put(path, content);
}

/** What hooks left to the background has ended: each run writes its line into the log when it does. */
async function settled(): Promise<void> {
  const works = () =>
    readdirSync('/proc').some((name) => {
      try {
        const words = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0') : [];
        return words.includes('--work') && words.includes(box.project);
      } catch {
        return false;
      }
    });
  for (let tries = 0; works() && tries < 600; tries++) await new Promise((resolve) => setTimeout(resolve, 50));
}

const logged = () => readFileSync(join(box.root, 'cora.log'), 'utf8');

/** Every command that `cora lost` prints to bring something back, as a person would copy it. */
async function wayBack(): Promise<string[]> {
  const lost = await shell('cora lost');
  return [...lost.stdout.matchAll(/^ +back: +(.*)$/gm)].map(([, line]) => line ?? '');
}

async function comeBack(): Promise<void> {
  const commands = await wayBack();
  expect(commands.length).toBeGreaterThan(0);
  for (const command of commands) {
    const run = await shell(command);
    expect([command, run.code, run.stderr]).toEqual([command, 0, expect.anything()]);
  }
}

async function commit(): Promise<void> {
  expect(await shell('git init -q . && git add -A && git commit -q -m first')).toMatchObject({ code: 0 });
}

describe('a project in Node with SQLite', () => {
  const SERVER = `import { DatabaseSync } from 'node:sqlite';
import { format } from './lib/format.mjs';
const db = new DatabaseSync('data/app.db');
console.log(format(db.prepare('SELECT count(*) AS count FROM users').get().count, process.env.SECRET ?? ''));
`;
  beforeEach(async () => {
    put('package.json', '{"name": "app", "type": "module", "scripts": {"start": "node --env-file=.env src/server.mjs"}}\n');
    put('src/server.mjs', SERVER);
    put('src/lib/format.mjs', "export const format = (count, secret) => count + ' users, ' + secret.length + ' secret';\n");
    put('.gitignore', 'data/\n.env\nnode_modules/\n');
    await commit();
    put('.env', 'SECRET=0123456789abcdef\nOTHER=1\n');
    mkdirSync(at('data'));
    const make = `const { DatabaseSync } = require('node:sqlite'); const db = new DatabaseSync('data/app.db'); db.exec('PRAGMA journal_mode = WAL; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE notes(text TEXT)'); const add = db.prepare('INSERT INTO users(name) VALUES (?)'); for (let i = 0; i < 200; i++) add.run('user ' + i); db.close();`;
    expect(await shell(`node --no-warnings -e "${make}"`)).toMatchObject({ code: 0 });
    mkdirSync(at('.claude'));
    expect((await box.cora(['init', '--agents', '--yes'])).code).toBe(0);
  });

  const START = 'node --no-warnings --env-file=.env src/server.mjs';

  test('what the session destroyed comes back as printed, and the program works again', async () => {
    const [started] = await assistant.start();
    expect(started?.stdout).toMatch(
      /^\{"hookSpecificOutput":\{"hookEventName":"SessionStart","additionalContext":"Cora keeps this project: the newest save is 2/,
    );
    expect(JSON.parse(started?.stdout ?? '')).toBeTruthy();
    // Work that nothing but Cora holds.
    await write('AI_WORK_LOG.md', `# What was done\n${'- a line that nobody can make again\n'.repeat(50)}`);
    await write('src/server.mjs', SERVER.replace('console.log(', 'console.log("v2:", '));
    await write('src/lib/extra.mjs', `export const extra = ${JSON.stringify('x'.repeat(2000))};\n`);
    await bash('ls -la src');
    const works = await shell(START);
    expect(works.stdout).toBe('v2: 200 users, 16 secret\n');
    const before = { env: read('.env'), log: read('AI_WORK_LOG.md') };

    await bash('rm -r src/lib');
    await bash('git reset -q --hard');
    await bash(`node --no-warnings -e "const { DatabaseSync } = require('node:sqlite'); new DatabaseSync('data/app.db').exec('DROP TABLE users')"`);
    await write('.env', 'SECRET=\n');
    await bash('git clean -q -fdx -e .claude -e AGENTS.md');
    expect((await shell(START)).code).not.toBe(0);
    expect((await assistant.stop())[0]?.code).toBe(0);
    await settled();

    await comeBack();
    expect({ env: read('.env'), log: read('AI_WORK_LOG.md') }).toEqual(before);
    expect((await shell(START)).stdout).toBe('v2: 200 users, 16 secret\n');
    expect(read('src/lib/extra.mjs')).toContain('x'.repeat(2000));
    expect((await shell('cora save && cora lost')).stdout).toContain('Nothing critical is lost; ');
    await assistant.end();
    await settled();
    expect(logged()).toMatch(/command="end" trigger="assistant".* exit=0 /);
  });
});

const whyNoPython = python === undefined ? 'no python3' : SLOW ? undefined : 'CORA_TEST_SLOW is not 1';
describe.skipIf(whyNoPython !== undefined)(`a project in Python${whyNoPython === undefined ? '' : ` (skipped: ${whyNoPython})`}`, () => {
  beforeEach(async () => {
    put(
      'app.py',
      "import sqlite3, pathlib, helper\ncount = sqlite3.connect('store.sqlite3').execute('SELECT count(*) FROM facts').fetchone()[0]\nprint(helper.line(count), pathlib.Path('.env.local').read_text().strip())\n",
    );
    put('helper/__init__.py', "def line(count):\n    return f'{count} facts'\n");
    put('.gitignore', '*.sqlite3\n.env*\n__pycache__/\n');
    await commit();
    put('.env.local', 'TOKEN=a-long-token-that-nobody-remembers\n');
    put('memory/history.jsonl', '{"said": "hello"}\n'.repeat(100));
    const make =
      "import sqlite3; db = sqlite3.connect('store.sqlite3'); db.execute('CREATE TABLE facts(x)'); db.executemany('INSERT INTO facts VALUES (?)', [(i,) for i in range(500)]); db.commit()";
    expect(await shell(`python3 -c "${make}"`)).toMatchObject({ code: 0 });
    mkdirSync(at('.claude'));
    expect((await box.cora(['init', '--agents', '--yes'])).code).toBe(0);
  });

  test('a table dropped, an untracked directory and the secrets gone, the uncommitted work reset', async () => {
    await assistant.start();
    appendFileSync(at('helper/__init__.py'), "\n\ndef more():\n    return 'uncommitted'\n");
    const before = { helper: read('helper/__init__.py'), token: read('.env.local'), history: read('memory/history.jsonl') };
    await bash('python3 app.py');
    await bash('git stash -q && git stash drop -q');
    await bash(`python3 -c "import sqlite3; db = sqlite3.connect('store.sqlite3'); db.execute('DROP TABLE facts'); db.commit()"`);
    await write('.env.local', '');
    await bash('rm -r memory helper');
    await bash('git clean -q -fdx -e .claude -e AGENTS.md');
    await assistant.stop();
    await settled();
    await comeBack();
    expect({ helper: read('helper/__init__.py'), token: read('.env.local'), history: read('memory/history.jsonl') }).toEqual(before);
    expect((await shell('python3 app.py')).stdout).toBe('500 facts TOKEN=a-long-token-that-nobody-remembers\n');
    expect((await shell('cora save && cora lost')).stdout).toContain('Nothing critical is lost; ');
  });
});

test('a branch switched back, a restore, and what somebody accepted or made again are no losses of a session', async () => {
  put('a.txt', 'one\n');
  put('b.txt', 'one\n');
  put('gone/x.txt', 'x\n');
  put('dirty.txt', 'committed\n');
  await commit();
  // Before any save.
  put('dirty.txt', 'work of before the session\n');
  mkdirSync(at('.claude'));
  expect((await box.cora(['init', '--agents', '--yes'])).code).toBe(0);
  await assistant.start();
  const lost = async () =>
    ((await box.json(['lost'])).result['session'] ?? null) as { gone: { path: string }[]; went_back: { path: string }[] } | null;
  expect(await lost()).toBe(null);
  expect(
    await shell('git switch -q -c other && echo two >a.txt && git commit -q -m two a.txt && cora save && git switch -q - && cora save'),
  ).toMatchObject({ code: 0 });
  expect(await lost()).toBe(null);
  expect(await shell('echo work >b.txt && cora save && touch b.txt && cora save && git checkout -q b.txt && rm -r gone && cora save')).toMatchObject({
    code: 0,
  });
  expect(await lost()).toMatchObject({ gone: [{ path: 'gone' }], went_back: [{ path: 'b.txt' }] });
  expect(await shell('git reset -q --hard && rm -r gone && cora save')).toMatchObject({ code: 0 });
  expect(await lost()).toMatchObject({ went_back: [{ path: 'b.txt' }, { path: 'dirty.txt' }] });
  // Written again, and something else: neither is asked about any more.
  put('gone/y.txt', 'y\n');
  put('b.txt', 'newer work\n');
  expect(await lost()).toMatchObject({ gone: [{ path: 'gone/x.txt' }], went_back: [{ path: 'dirty.txt' }] });
  await comeBack();
  expect(read('gone/x.txt') + read('gone/y.txt') + read('b.txt')).toBe('x\ny\nnewer work\n');
  expect(read('dirty.txt')).toBe('work of before the session\n');
  expect(await lost()).toBe(null);
});

test('a critical file that a reset took back and that was removed then comes back with the work, by the commands of one cora lost', async () => {
  put('AI_WORK_LOG.md', 'committed\n');
  await commit();
  mkdirSync(at('.claude'));
  expect((await box.cora(['init', '--agents', '--yes'])).code).toBe(0);
  await assistant.start();
  put('AI_WORK_LOG.md', 'committed\nwork of the session\n');
  expect(await shell('cora save && git checkout -q AI_WORK_LOG.md && cora save && rm AI_WORK_LOG.md; cora save')).toMatchObject({ code: 3 });
  await comeBack();
  expect(read('AI_WORK_LOG.md')).toBe('committed\nwork of the session\n');
  expect((await shell('cora save && cora lost')).stdout).toContain('Nothing critical is lost; ');
});

describe('the hook itself', () => {
  beforeEach(async () => {
    put('cora.toml', '');
    put('a.txt', 'a\n');
    mkdirSync(at('.claude'));
    expect((await box.cora(['init', '--agents', '--yes'])).code).toBe(0);
  });
  const saves = async () => Number((await box.json(['list'])).result['total']);

  test('what only reads saves nothing, what destroys always does, all else once a minute', async () => {
    await assistant.start();
    expect(await saves()).toBe(1);
    for (const command of ['ls -la', 'git status --short', 'cora status']) {
      put('a.txt', `${command}\n`);
      await assistant.before('Bash', { command });
      await assistant.before('Edit', { file_path: at('a.txt'), old_string: 'a', new_string: 'b' });
    }
    expect(await saves()).toBe(1);
    const risky = ['rm -r src', 'ls; rm x', 'sqlite3 a.db "DROP TABLE x"', `echo ${'x'.repeat(5000)}; rm a.txt`];
    for (const [index, command] of risky.entries()) {
      put('a.txt', `${command}\n`);
      await assistant.before('Bash', { command });
      expect([command, await saves()]).toEqual([command, index + 2]);
    }
    // It reads, but may write a file: at most once a minute.
    await assistant.before('Bash', { command: 'git diff --output=a.txt' });
    put('a.txt', 'again\n');
    await assistant.before('Write', { file_path: at('.env'), content: 'x' });
    await assistant.before('mcp__cora__save', {});
    expect(await saves()).toBe(6);
  });

  test.each(['git difftool -y', 'rg --pre ./script word'])('%s runs a program: it is no reading', async (command) => {
    for (const reading of ['git diff', 'git diff HEAD', 'rg -n word']) await assistant.before('Bash', { command: reading });
    expect(await saves()).toBe(0);
    await assistant.before('Bash', { command });
    expect(await saves()).toBe(1);
  });

  test('with an old save an ordinary command saves first, and a timer’s save counts', async () => {
    await assistant.before('Bash', { command: 'npm test 2>&1 | tail' });
    expect(await saves()).toBe(1);
    put('a.txt', 'changed\n');
    await assistant.before('Bash', { command: 'npm test 2>&1 | tail' });
    expect(await saves()).toBe(1);
    // The hook forgets what it knew: then Cora itself is asked, and has a young save.
    rmSync(join(box.home, '.local/state/cora/agents'), { recursive: true });
    await assistant.before('Bash', { command: 'npm test 2>&1 | tail' });
    expect(await saves()).toBe(1);
  });

  test('Cora’s failure stops nothing, is one line, and tells nothing of the project', async () => {
    put('.env', 'SECRET=do-not-tell\n');
    writeFileSync(join(box.root, 'vault-is-a-file'), '');
    const broken = new Assistant(box, { CORA_VAULT: join(box.root, 'vault-is-a-file') });
    const [call] = await broken.before('Bash', { command: 'rm -r x' });
    expect(call).toMatchObject({ code: 0, stdout: '' });
    expect(call?.stderr).toMatch(/^cora: NOT saved: [^\n]*\n$/);
    const [start] = await broken.start();
    expect(start?.code).toBe(0);
    expect(start?.stdout).toContain('Cora could NOT save this project');
    expect(start?.stdout + (start?.stderr ?? '') + (call?.stderr ?? '')).not.toContain('do-not-tell');
  });

  test('input that is no JSON, empty, huge or hostile ends with 0 and runs nothing', async () => {
    const hook = (input: string, event = 'pre-tool') => {
      writeFileSync(join(box.root, 'input'), input);
      const command = `${join(import.meta.dirname, '..', 'bin', 'cora')} hook agent ${event} claude <'${join(box.root, 'input')}'`;
      return execute('/bin/sh', ['-c', command], {
        cwd: box.project,
        env: { PATH: process.env['PATH'], HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '' },
      });
    };
    const hostile = '$(touch pwned) `touch pwned` ; touch pwned';
    for (const input of [
      '',
      '{',
      'x'.repeat(300_000),
      '\0\0',
      JSON.stringify({ cwd: hostile, tool_name: hostile, tool_input: { command: hostile } }),
      JSON.stringify({ cwd: '/nonexistent', tool_input: { file_path: `${hostile}.env` } }),
      JSON.stringify({ cwd: '-e', tool_input: { command: '-n *' } }),
    ])
      expect(await hook(input)).toMatchObject({ code: 0, stdout: '' });
    expect(await hook('{}', 'no-such-event')).toMatchObject({ code: 0, stdout: '' });
    expect((await shell('ls')).stdout).not.toContain('pwned');
  });

  test('CORA=0 switches it off; the session’s start then says nothing', async () => {
    const off = new Assistant(box, { CORA: '0' });
    expect(await off.start()).toMatchObject([{ code: 0, stdout: '', stderr: '' }]);
    await off.before('Bash', { command: 'rm -r x' });
    expect(await saves().catch(() => 0)).toBe(0);
  });

  test('what goes to the background is not waited for, and ends', async () => {
    await assistant.start();
    put('a.txt', 'turn\n');
    const [stop] = await assistant.stop();
    expect(stop).toMatchObject({ code: 0, stdout: '', stderr: '' });
    await settled();
    expect(await saves()).toBe(2);
    const [end] = await assistant.end();
    expect(end).toMatchObject({ code: 0, stdout: '', stderr: '' });
    await settled();
    expect(logged()).toContain('command="end" trigger="assistant"');
  });
});
