// `cora shell` in real shells in a real terminal: what Tab offers, when the segment stands in the prompt, that it
// starts no process, and that phrases fire for a person at a prompt alone.

import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, Sandbox } from './support/sandbox.ts';
import { TerminalWindow } from './support/terminal-window.ts';

const repository = join(import.meta.dirname, '..');
const PATH = `${repository}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`;
const slow = process.env['CORA_TEST_SLOW'] === '1';
const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];
const why = (shell: string, ...more: string[]) => ['tmux', shell, ...more].filter((name) => findProgram(name) === undefined);
/** bash stands for all three where a run of everything (npm run test:slow) is not asked for. */
const whySlow = (shell: string, ...more: string[]) => (slow || shell === 'bash' ? why(shell, ...more) : ['CORA_TEST_SLOW=1']);
/** Skipped by name: what is missing stands in the test's title. */
const titled = (title: string, missing: readonly string[]) => (missing.length === 0 ? title : `${title} (skipped: no ${missing.join(', ')})`);

let sandbox: Sandbox;
let saved: { readonly id: string };
let windows: TerminalWindow[] = [];

beforeAll(async () => {
  sandbox = new Sandbox({ fast: true });
  mkdirSync(join(sandbox.project, '.git'));
  mkdirSync(join(sandbox.project, 'my dir'));
  writeFileSync(join(sandbox.project, 'my dir/in side.txt'), 'x\n');
  writeFileSync(join(sandbox.project, 'gone now.txt'), 'x\n');
  saved = await sandbox.snapshot(['save']);
  rmSync(join(sandbox.project, 'gone now.txt'));
});
afterAll(() => sandbox.remove());
afterEach(async () => {
  for (const window of windows) await window.close();
  windows = [];
});

const environment = (): Record<string, string> => ({
  PATH,
  HOME: sandbox.home,
  CORA_VAULT: sandbox.vault,
  CORA_LOG: join(sandbox.root, 'cora.log'),
});

async function codeOf(shell: Shell, ...options: string[]): Promise<string> {
  const run = await sandbox.cora(['shell', shell, ...options]);
  expect([run.code, run.stderr]).toEqual([0, '']);
  return run.stdout;
}

/** An interactive shell with Cora's code; its prompt is `$ `. */
async function open(
  shell: Shell,
  code: string,
  around: { readonly wrap?: string; readonly before?: string; readonly completion?: false } = {},
): Promise<TerminalWindow> {
  const home = join(sandbox.root, `${shell}-home`);
  mkdirSync(join(home, '.config/fish'), { recursive: true });
  const file = join(home, `cora.${shell}`);
  writeFileSync(file, code);
  const { before = '' } = around;
  const prompt = {
    bash: "PS1='$ '\n",
    zsh: "PROMPT='$ '\nautoload -Uz compinit\n",
    fish: "function fish_prompt; echo '$ '; end\nset -g fish_greeting\n",
  };
  const rc = { bash: join(home, '.bashrc'), zsh: join(home, '.zshrc'), fish: join(home, '.config/fish/config.fish') }[shell];
  // compinit after ours: the usual order, and the harder one.
  writeFileSync(rc, `${prompt[shell]}${before}\n. '${file}'\n${shell === 'zsh' && around.completion !== false ? 'compinit -D\n' : ''}`);
  const command = `${around.wrap ?? ''} ${shell === 'bash' ? `bash --noprofile --rcfile ${rc}` : shell}`;
  const window = await TerminalWindow.open(sandbox.root, { command, cwd: sandbox.project, env: { ...environment(), HOME: home } });
  windows.push(window);
  await window.until(/\$/);
  return window;
}

for (const shell of SHELLS) {
  const missing = why(shell);
  const missingSlow = whySlow(shell);
  const untraced = whySlow(shell, 'strace');
  test.skipIf(missing.length > 0)(titled(`${shell} completes commands, options, ids, and paths with spaces out of a snapshot`, missing), async () => {
    const window = await open(shell, await codeOf(shell));
    const tab = async (typed: string, expected: RegExp) => {
      await window.type(typed);
      await window.press('Tab');
      await window.until(expected);
      await window.press('C-u', 'C-l');
      await window.until(/^\$ *$/);
    };
    await tab('cora unpr', /\$ cora unprotect/);
    await tab('cora backup au', /\$ cora backup auto/);
    await tab('cora save --if', /\$ cora save --if-older/);
    await tab('cora restore --latest wee', /\$ cora restore --latest weekly/);
    await tab(`cora show ${saved.id.slice(0, 15)}`, new RegExp(`\\$ cora show ${saved.id}`));
    await tab(`cora restore ${saved.id}:go`, /\$ cora restore \S+:gone\\ now\.txt/);
    await tab('cora restore latest my\\ dir/i', /\$ cora restore latest my\\ dir\/in\\ side\.txt/);
    await tab('cora restore "latest:my dir/i', /\$ cora restore "latest:my dir\/in side\.txt/);
    await tab('cora restore my', /\$ cora restore my\\ dir\//);
  });

  test.skipIf(missingSlow.length > 0)(titled(`${shell}: the segment comes when a save fails and goes when all is well`, missingSlow), async () => {
    const window = await open(shell, await codeOf(shell, '--prompt'));
    const json = join(sandbox.vault, 'VAULT.json');
    renameSync(json, `${json}.away`);
    try {
      await window.type('cora save');
      await window.press('Enter');
      const failed = await window.until(shell === 'fish' ? /\$ +save!$/ : /\nsave! \$$/);
      expect(failed).toContain('has no VAULT.json');
    } finally {
      renameSync(`${json}.away`, json);
    }
    await window.press('C-l');
    await window.type('cora save; cora_prompt; echo end');
    await window.press('Enter');
    // Nothing in the prompt, and nothing that cora_prompt prints.
    expect(await window.until(/\nend\n\$$/)).toMatch(/(no new snapshot|changed .*)\nend\n\$$/);
    // Late: the same, from the time of the last save alone.
    const status = join(sandbox.vault, '.cache/prompt');
    const text = readFileSync(status, 'utf8');
    writeFileSync(status, text.replace(/^saved .*/m, `saved ${Math.floor(Date.now() / 1000) - 3 * 86_400 - 60}`));
    await window.press('C-l', 'Enter');
    await window.until(shell === 'fish' ? /\$ +save 3d/ : /save 3d \$$/);
    writeFileSync(status, text);
    await window.press('C-l', 'Enter');
    await window.until(/\n?\$$/);
    await window.type('cd /');
    await window.press('Enter');
    await window.until(/cd \/\n\$$/);
  });

  test.skipIf(untraced.length > 0)(titled(`${shell}: the segment starts no process`, untraced), async () => {
    const trace = join(sandbox.root, `${shell}.trace`);
    const status = join(sandbox.vault, '.cache/prompt');
    const text = readFileSync(status, 'utf8');
    writeFileSync(status, text.replace(/^failed .*/m, 'failed save'));
    const wrap = `strace -f -o '${trace}' -e trace=execve,fork,vfork,clone,clone3`;
    const window = await open(shell, await codeOf(shell, '--prompt'), { wrap, completion: false });
    await window.until(/save!/);
    const before = statSync(trace).size;
    for (let n = 0; n < 3; n++) {
      // Not C-l: fish runs a program for that.
      await window.press('Enter');
      await window.until(new RegExp(`(save![^\\n]*\\n?[^\\n]*){${n + 2}}`));
    }
    writeFileSync(status, text);
    await window.press('Enter');
    await window.until(/(^|\n)\$$/);
    // fish has threads of its own; a process is what is not one.
    const started = readFileSync(trace, 'utf8')
      .slice(before)
      .split('\n')
      .filter((line) => /(execve|fork|clone3?)\(/.test(line) && !line.includes('CLONE_THREAD'));
    expect(started).toEqual([]);
  });

  test.skipIf(missing.length > 0)(titled(`${shell}: without options nothing of the shell is changed`, missing), async () => {
    const file = join(sandbox.root, `plain.${shell}`);
    writeFileSync(file, await codeOf(shell));
    const ask = {
      bash: 'alias; declare -p PS1 PROMPT_COMMAND; shopt; set -o; declare -F | grep -v cora; trap; complete -p | grep -v cora',
      zsh: 'alias; print -r -- "$PROMPT" $precmd_functions $preexec_functions; setopt; functions + | grep -v cora; trap',
      fish: "alias; functions -a | string match -v '*cora*'; set -n | string match -v '*cora*'; bind",
    }[shell];
    const options = shell === 'fish' ? ['--no-config'] : shell === 'bash' ? ['--norc'] : ['-f'];
    const run = (code: string) => execute(`/usr/bin/${shell}`, [...options, '-ic', `${code}\n${ask}`], { env: environment() });
    const plain = await run('true');
    const loaded = await run(`. '${file}'`);
    // zsh learns of its completion system when there is one: a hook that takes itself away.
    expect(loaded.stdout.replaceAll(' __cora_register', '')).toBe(plain.stdout);
    expect(loaded.stdout.length).toBeGreaterThan(20);
  });

  test.skipIf(missingSlow.length > 0)(titled(`${shell}: ids of a vault of 1,000 saves in under 100 ms`, missingSlow), async () => {
    const vault = join(sandbox.root, `many-${shell}`);
    for (let n = 0; n < 1000; n++) {
      const day = `${vault}/progress/2026/${String(1 + (n % 12)).padStart(2, '0')}/${String(1 + (n % 28)).padStart(2, '0')}`;
      mkdirSync(`${day}/${String(100_000 + n)}-abcdef1`, { recursive: true });
    }
    const file = join(sandbox.root, `many.${shell}`);
    writeFileSync(file, await codeOf(shell));
    const ask = {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash
      bash: 'a=${EPOCHREALTIME/./}; __cora_list_ids 2026; b=${EPOCHREALTIME/./}; set -- "${__cora_ids[@]}"; echo "$# $(((b - a) / 1000))"',
      zsh: 'a=$EPOCHREALTIME; __cora_list_ids 2026; b=$EPOCHREALTIME; echo "$#reply $(( int((b-a)*1000) ))"',
      fish: 'set a (date +%s%3N); set found (__cora_list_ids); set b (date +%s%3N); echo (count $found) (math $b - $a)',
    }[shell];
    const set = shell === 'fish' ? `set -g __cora_vault ${vault}` : `__cora_vault=${vault}`;
    const math = shell === 'zsh' ? 'zmodload zsh/mathfunc;' : '';
    const run = await execute(`/usr/bin/${shell}`, ['-c', `. '${file}'\n${set}\n${math}${`${ask}\n`.repeat(5)}`], { env: environment() });
    const runs = run.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    expect([run.stderr, runs.map(([count]) => count)]).toEqual(['', [40, 40, 40, 40, 40]]);
    // The best of five: other tests run meanwhile.
    expect(Math.min(...runs.map(([, took]) => took ?? Number.NaN))).toBeLessThan(100);
  });
}

for (const shell of SHELLS) {
  const missing = why(shell);
  test.skipIf(missing.length > 0)(titled(`${shell}: phrases save for a person at the prompt, and for nobody else`, missing), async () => {
    const log = join(sandbox.root, `${shell}.calls`);
    const spy = join(sandbox.root, `cora-${shell}`);
    const launcher = join(repository, 'bin/cora');
    writeFileSync(spy, `#!/bin/sh\nprintf '%s\\n' "$*" >>'${log}'\nexec '${launcher}' "$@"\n`);
    chmodSync(spy, 0o755);
    writeFileSync(log, '');
    const calls = () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '');
    const code = (await codeOf(shell, '--phrases')).replaceAll(launcher, spy);
    const saves = async () => ((await sandbox.json(['list', '--saves'])).result['snapshots'] as unknown[]).length;
    const typos = 'save our progrss\nsave our progress\nbackup now\n';
    const script = join(sandbox.root, `typos.${shell}`);
    const before = {
      bash: `command_not_found_handle() { echo "earlier: $1"; return 127; }\nf() { save our progress; }\n`,
      zsh: `command_not_found_handler() { echo "earlier: $1"; return 127; }\nf() { save our progress; }\n`,
      fish: 'function f; save our progress; end\n',
    }[shell];
    const window = await open(shell, code, { before });
    const enter = async (typed: string, expected: RegExp) => {
      await window.press('C-l');
      await window.type(`${typed}${shell === 'fish' ? '; echo rc=$status' : '; echo rc=$?'}`);
      await window.press('Enter');
      return window.until(expected);
    };
    const count = await saves();
    writeFileSync(join(sandbox.project, 'work.txt'), `${shell}\n`);
    expect(await enter('save our progress', /\nrc=0\n/)).toMatch(/Done|[Ss]aved/);
    expect(await saves()).toBe(count + 1);
    expect(calls().at(-1)).toBe('say -- save our progress');
    writeFileSync(log, '');

    // A typo, what takes something away, one word, a phrase that is not all understood.
    const refused = ['gti status', 'restore everything', 'save', 'save the form in react', 'delete old backups'];
    for (const typed of slow || shell === 'bash' ? refused : refused.slice(-2)) {
      await enter(typed, /\nrc=127\n/);
    }
    expect(calls().filter((line) => !line.startsWith('say --explain'))).toEqual([]);
    if (shell !== 'fish') expect(await window.screen()).toContain('earlier: delete');
    expect(calls().some((line) => line.includes('gti') || line === 'say --explain --json -- save')).toBe(false);

    // Not typed at the prompt: a function, a sourced file, a pipe, a script, a script that stops at its first error.
    writeFileSync(log, '');
    writeFileSync(script, typos);
    await enter('f', /\nrc=127\n/);
    await enter(`. ${script}`, /\nrc=127\n/);
    await enter('save our progress | cat', /\nrc=\d+\n/);
    await enter('echo x | save our progress', /\nrc=\d+\n/);
    expect(calls()).toEqual([]);
    const file = join(sandbox.root, `phrases.${shell}`);
    writeFileSync(file, code);
    const stop = shell === 'fish' ? '' : 'set -e\n';
    const run = await execute(`/usr/bin/${shell}`, ['-c', `. '${file}'\n${stop}save our progress\necho went on`], {
      cwd: sandbox.project,
      env: environment(),
    });
    if (shell !== 'fish') expect([run.code, run.stdout]).toEqual([127, '']);
    expect(calls()).toEqual([]);
    expect(await saves()).toBe(count + 1);
  });
}

test('other programs read the same file: starship, tmux, an assistant’s status line', async () => {
  const status = join(sandbox.vault, '.cache/prompt');
  const text = readFileSync(status, 'utf8');
  const segment = join(repository, 'dist/shell/segment.sh');
  const ask = async (args: readonly string[], input = '') => {
    const file = join(sandbox.root, 'input.json');
    writeFileSync(file, input);
    const run = await execute('/bin/sh', ['-c', `sh '${segment}' "$@" <'${file}'`, 'sh', ...args], { cwd: '/', env: environment() });
    expect([run.code, run.stderr]).toEqual([0, '']);
    return run.stdout;
  };
  expect(await ask([sandbox.project])).toBe('');
  writeFileSync(status, text.replace(/^failed .*/m, 'failed verify ship').replace(/^warn .*/m, 'warn drill space'));
  try {
    const told = 'damage! ship! drill disk';
    expect(await ask([sandbox.project])).toBe(`${told}\n`);
    expect(await ask([join(sandbox.project, 'my dir')])).toBe(`${told}\n`);
    expect(await ask(['/'])).toBe('');
    const json = JSON.stringify({ cwd: '/', workspace: { current_dir: sandbox.project, project_dir: '/' }, model: { id: 'x' } });
    expect(await ask(['--claude'], json)).toBe(`\x1b[31m${told}\x1b[0m\n`);
  } finally {
    writeFileSync(status, text);
  }
  for (const program of ['starship', 'tmux', 'claude']) {
    const run = await sandbox.cora(['shell', program]);
    expect([run.code, run.stdout]).toEqual([0, expect.stringContaining(segment)]);
  }
  expect(JSON.parse((await sandbox.cora(['shell', 'claude'])).stdout)).toHaveProperty('statusLine.type', 'command');
  expect(await sandbox.cora(['shell', 'bsh'])).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean cora shell bash?') });
});

const noTmux = why('sh');
test.skipIf(noTmux.length > 0)(titled('tmux shows it, also in a directory whose name is a command', noTmux), async () => {
  const evil = join(sandbox.project, 'x\'$(touch pwned)"`touch pwned`');
  mkdirSync(evil);
  const status = join(sandbox.vault, '.cache/prompt');
  const text = readFileSync(status, 'utf8');
  const config = join(sandbox.root, 'tmux.conf');
  const snippet = (await sandbox.cora(['shell', 'tmux'])).stdout;
  writeFileSync(config, `set -g status-interval 1\nset -g status-right ''\nset -g status-right-length 80\n${snippet}`);
  writeFileSync(status, text.replace(/^failed .*/m, 'failed ship'));
  try {
    const inner = await TerminalWindow.open(sandbox.root, {
      command: `cd '${sandbox.project}'/x*; TMUX= tmux -S '${sandbox.root}/inner' -f '${config}' new-session sh`,
      cwd: sandbox.project,
      env: environment(),
    });
    windows.push(inner);
    await inner.until(/ship!/);
    await execute('/usr/bin/tmux', ['-S', `${sandbox.root}/inner`, 'kill-server']);
    for (const place of [sandbox.project, evil, '/', sandbox.root]) expect(existsSync(join(place, 'pwned'))).toBe(false);
  } finally {
    writeFileSync(status, text);
    rmSync(evil, { recursive: true });
  }
});

test('paths of a snapshot for completions, one directory deep', async () => {
  const paths = async (...args: string[]) => (await sandbox.json(['shell', 'paths', ...args])).result['paths'];
  expect(await paths(saved.id)).toEqual(['gone now.txt', 'my dir/']);
  expect(await paths('latest', 'my dir/')).toEqual(['my dir/in side.txt']);
  expect(await paths('latest', 'none')).toEqual([]);
  expect((await sandbox.cora(['shell', 'paths', '2020'])).code).toBe(2);
});

test('the launcher’s path is quoted for the shell that reads it', async () => {
  const { shellCode } = await import('../src/cli/shell-code.ts');
  const launcher = join(sandbox.root, "it's $(touch bad) here\\");
  mkdirSync(sandbox.root, { recursive: true });
  writeFileSync(launcher, '#!/bin/sh\necho called\n');
  chmodSync(launcher, 0o755);
  for (const shell of SHELLS) {
    if (findProgram(shell) === undefined) continue;
    const code = shellCode(shell, [], { launcher, state: '/nonexistent', prompt: false, phrases: false });
    const run = await execute(`/usr/bin/${shell}`, ['-c', `${code}\n${shell === 'fish' ? '$__cora_program' : '"$__cora_program"'}`], {
      cwd: sandbox.root,
    });
    expect([shell, run.stderr, run.stdout]).toEqual([shell, '', 'called\n']);
  }
  expect(existsSync(join(sandbox.root, 'bad'))).toBe(false);
});
