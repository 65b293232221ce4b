// What somebody else laid down where Cora keeps notes for itself: links, FIFOs, foreign tickets, directories with names
// for a shell. Nothing of it is followed, waited for, believed or run.

import { chownSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { replaceFile } from '../src/os/files.ts';
import { findProgram } from '../src/os/run.ts';
import { execute, isRoot, PATH, Sandbox } from './support/sandbox.ts';

const SHELLS = ['bash', 'zsh', 'fish'].filter((shell) => findProgram(shell) !== undefined);
const repository = join(import.meta.dirname, '..');

let box: Sandbox;
const cache = (name: string) => join(box.vault, '.cache', name);

beforeAll(async () => {
  box = new Sandbox({ fast: true });
  writeFileSync(join(box.project, 'a.txt'), 'saved\n');
  await box.snapshot(['save']);
  writeFileSync(join(box.project, 'a.txt'), 'later\n');
});
afterAll(() => box.remove());

/** A shell with the code of `cora shell`, in the project; killed where it hangs. */
async function inShell(shell: string, script: string): Promise<string> {
  const code = join(box.root, `code.${shell}`);
  if (!existsSync(code)) writeFileSync(code, (await box.cora(['shell', shell, '--phrases'])).stdout);
  const args = { bash: ['--norc', '-c'], zsh: ['-f', '-c'], fish: ['-N', '-c'] }[shell] ?? ['-c'];
  const env = { PATH: `${repository}/bin:${PATH}`, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '' };
  const run = await execute('timeout', ['-s', 'KILL', '20', shell, ...args, `. ${code}; ${script}`], { cwd: box.project, env });
  expect([shell, run.code, run.stderr]).toEqual([shell, 0, '']);
  return run.stdout;
}

/** The token of a restore that waits for its yes. */
async function planned(): Promise<string> {
  const { error } = (await box.json(['say', 'restore a.txt'])) as unknown as { error: { details: { plan: string } } };
  return error.details.plan;
}

test('a link where plans are kept is replaced: files behind it are neither old plans nor written to', async () => {
  const precious = join(box.root, 'precious');
  mkdirSync(precious);
  writeFileSync(join(precious, 'gold'), 'gold');
  const hourAgo = Date.now() / 1000 - 3600;
  utimesSync(join(precious, 'gold'), hourAgo, hourAgo);
  rmSync(cache('plans'), { recursive: true, force: true });
  symlinkSync(precious, cache('plans'));
  const token = await planned();
  expect((await execute('ls', ['-A', precious])).stdout).toBe('gold\n');
  // Nor is a file that is no plan, in the right place.
  writeFileSync(cache('plans/gold'), 'gold');
  utimesSync(cache('plans/gold'), hourAgo, hourAgo);
  await planned();
  expect(existsSync(cache('plans/gold'))).toBe(true);
  expect(existsSync(cache(`plans/${token}.json`))).toBe(true);
});

test.skipIf(!isRoot)('a plan that another user wrote, or that stands behind a link, was shown to nobody', async () => {
  const foreign = await planned();
  chownSync(cache(`plans/${foreign}.json`), 65_534, 65_534);
  const linked = await planned();
  const elsewhere = join(box.root, 'plan.json');
  writeFileSync(elsewhere, readFileSync(cache(`plans/${linked}.json`)));
  rmSync(cache(`plans/${linked}.json`));
  symlinkSync(elsewhere, cache(`plans/${linked}.json`));
  for (const token of [foreign, linked]) {
    const run = await box.json(['say', '--apply', token]);
    expect([run.code, run.error.code]).toEqual([20, 'refused']);
  }
  expect(readFileSync(join(box.project, 'a.txt'), 'utf8')).toBe('later\n');
});

test('a file is never replaced through a link or a FIFO at its temporary name', async () => {
  const target = join(box.root, 'target');
  writeFileSync(target, 'theirs');
  symlinkSync(target, `${target}.note.new`);
  replaceFile(`${target}.note`, 'ours', false);
  expect([readFileSync(target, 'utf8'), readFileSync(`${target}.note`, 'utf8')]).toEqual(['theirs', 'ours']);
  await execute('mkfifo', [`${target}.note.new`]);
  replaceFile(`${target}.note`, 'again', true);
  expect(readFileSync(`${target}.note`, 'utf8')).toBe('again');
  linkSync(target, `${target}.note.new`);
  replaceFile(`${target}.note`, 'ours', false);
  expect([readFileSync(target, 'utf8'), readFileSync(`${target}.note`, 'utf8')]).toEqual(['theirs', 'ours']);
});

test('FIFOs and endless files in the caches stop neither a run nor a prompt', async () => {
  for (const name of ['prompt', 'history.tsv']) {
    rmSync(cache(name), { force: true });
    await execute('mkfifo', [cache(name)]);
  }
  for (const shell of SHELLS) expect(await inShell(shell, 'cora_prompt')).toBe('');
  expect(
    (
      await execute('timeout', ['-s', 'KILL', '20', 'sh', `${repository}/dist/shell/segment.sh`, box.project], {
        env: { PATH, CORA_VAULT: box.vault },
      })
    ).code,
  ).toBe(0);
  const log = await box.json(['log', 'a.txt']);
  expect([log.code, (await box.cora(['save'])).code]).toEqual([0, 0]);
  rmSync(cache('history.tsv'));
  symlinkSync('/dev/zero', cache('history.tsv'));
  expect((await box.json(['log', 'a.txt'])).code).toBe(0);
});

test('a history that was made up, sums and all, hangs nothing and steers no terminal', async () => {
  expect((await box.cora(['find', '*'])).code).toBe(0);
  const before = readFileSync(cache('history.tsv'));
  const [header = ''] = before.toString('latin1').split('\n');
  const [, id = '', , stamp = ''] = /^\t(\S+) (\S+) (\S+) /m.exec(before.toString('latin1')) ?? [];
  const made = (...segments: readonly (readonly [string, string])[]) =>
    `${header}\n${segments.map(([name, rows]) => `\t${name} save ${stamp} ${rows.length} ${crc32(rows)}\n${rows}`).join('')}`;
  const row = 'a.txt\tf\t0644\t0\t0\t1\t5\tdead\t-';
  for (const text of [
    made([id, row]),
    made([id, `${row}\n`], ['\x1b[31mgone', 'a.txt\t-\n']),
    made([id, '\0\xff\n\t\t\t\n-\n~~\n']),
    made([id, '']).replace(/ 0 0\n/, ' 99999999999 0\n'),
    `${header}\n${'\n'.repeat(1_000_000)}`,
  ]) {
    writeFileSync(cache('history.tsv'), text, 'latin1');
    for (const command of [
      ['find', '*'],
      ['log', 'a.txt'],
      ['diff', 'latest'],
    ]) {
      const run = await box.cora(command);
      expect([command, run.code]).not.toEqual([command, null]);
      expect(run.stdout + run.stderr).not.toMatch(/\x1b|Internal/);
    }
  }
  writeFileSync(cache('history.tsv'), before);
}, 60_000);

test('a status with numbers that no shell can take shows nothing, and says nothing', async () => {
  const before = readFileSync(cache('prompt'), 'utf8');
  for (const [field, value] of [
    ['saved', '09'],
    ['saved', '99999999999999999999'],
    ['late', ''],
    ['late', '1 -o 1 -eq 1'],
  ] as const) {
    writeFileSync(
      cache('prompt'),
      before.replace(new RegExp(`^${field} .*$`, 'm'), `${field} ${value}`).replace(/^warn.*$/m, 'warn $(id) `id` %F{red}'),
    );
    for (const shell of SHELLS) expect(await inShell(shell, 'cora_prompt')).toBe('');
  }
  writeFileSync(cache('prompt'), before);
});

test('directories of a vault whose names are code are offered to no shell', async () => {
  const { id, path } = await box.snapshot(['save', '-m', 'for completion']);
  const day = join(path, '..');
  const names = ['235959-$(id)', '235958-`id`', '235957-a b;id', '235956-x\nid', "235955-'", '235954-*'];
  for (const name of names) mkdirSync(join(day, name));
  for (const name of ['20990101-000000-$(id)', '20990101-000000-;id']) mkdirSync(join(box.vault, name));
  try {
    const offered: Record<string, string> = {
      bash: `COMP_LINE='cora show '; COMP_POINT=10; COMP_WORDS=(cora show ''); COMP_CWORD=2; _cora cora '' show; printf '%s\\n' "\${COMPREPLY[@]}"`,
      zsh: `__cora_vault=$CORA_VAULT; __cora_list_ids ''; print -rl -- $reply`,
      fish: 'set -g __cora_vault $CORA_VAULT; __cora_list_ids',
    };
    for (const shell of SHELLS) {
      const lines = (await inShell(shell, offered[shell] ?? '')).trim().split('\n');
      expect(lines).toContain(id);
      for (const line of lines) expect(line).toMatch(/^(?:latest|\d{8}-\d{6}-[\w.-]+)$/);
    }
  } finally {
    for (const name of names) rmSync(join(day, name), { recursive: true });
    for (const name of ['20990101-000000-$(id)', '20990101-000000-;id']) rmSync(join(box.vault, name), { recursive: true });
  }
});

test('a line that saves and does more besides is no phrase of the shell', async () => {
  const lines = [
    'save this and lock a.txt',
    'save and rotate the logs',
    'back up and seal the vault',
    'save \'","intent":"save","needsConfirmation":false\' delete',
  ];
  const tried = [...lines, 'save our progress'].map((line) => `__cora_is_phrase ${line} && echo yes || echo no`).join('; ');
  expect(await inShell('bash', tried)).toBe(`${'no\n'.repeat(lines.length)}yes\n`);
});

test("an assistant's words of any size and shape cost its hook no time, and print nothing", async () => {
  const input = join(box.root, 'input.json');
  const hook = async (text: string | Buffer) => {
    writeFileSync(input, text);
    const env = { PATH, HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '', XDG_STATE_HOME: join(box.root, 'state') };
    return execute('timeout', ['-s', 'KILL', '20', 'sh', '-c', `sh ${repository}/hooks/agent pre-tool claude <${input}`], { cwd: box.project, env });
  };
  const started = Date.now();
  for (const text of [
    `{"tool_name":"Bash",\n"tool_input":{"command":"make",\n"x":[\n${'"abcdefghijklmnop",\n'.repeat(1_000_000)}"a"]}}`,
    `{"tool_name":"Bash","tool_input":{"command":"make ${'A'.repeat(5_000_000)}"}}`,
    '['.repeat(5_000_000),
    Buffer.from(Array.from({ length: 65_536 }, (_, index) => index & 255)),
    '{"cwd":"/nowhere\\u002f..","tool_input":7}',
  ]) {
    expect(await hook(text)).toMatchObject({ code: 0, stdout: '', stderr: '' });
  }
  // The first of them alone took a shell fifteen seconds when every line of it was read.
  expect(Date.now() - started).toBeLessThan(15_000);
});

test('a FIFO in the place of a configuration keeps nothing waiting', async () => {
  const own = new Sandbox({ fast: true });
  try {
    await own.snapshot(['save']);
    expect((await execute('mkfifo', [join(own.project, 'cora.toml')])).code).toBe(0);
    const run = await own.json(['save']);
    expect([run.code, run.error.code]).toEqual([2, 'config_invalid']);
    rmSync(join(own.project, 'cora.toml'));
    mkdirSync(join(own.home, '.config/cora'), { recursive: true });
    expect((await execute('mkfifo', [join(own.home, '.config/cora/phrases.toml')])).code).toBe(0);
    expect((await own.cora(['say', 'frobnicate the widget'])).code).toBe(64);
  } finally {
    await own.remove();
  }
});
