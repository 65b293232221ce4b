// `cora init --agents`: what it puts into a project for AI assistants, what it leaves alone, and that `--undo` gives back the same bytes.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addHooks, SettingsRefusal, takeOutHooks } from '../src/source/agent-settings.ts';
import { ASSISTANTS } from '../src/source/assistants.ts';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

let box: Sandbox;
beforeEach(() => {
  box = new Sandbox({ fast: true });
  put('cora.toml', '');
  mkdirSync(at('.claude'));
});
afterEach(() => box.remove());

const at = (path: string) => join(box.project, path);
const put = (path: string, text: string) => writeFileSync(at(path), text);
const read = (path: string) => readFileSync(at(path), 'utf8');
const init = (...args: string[]) => box.cora(['init', '--agents', '--yes', ...args]);

/** Every file of the project with its bytes and mode. */
function tree(directory = box.project): Record<string, string> {
  const all: Record<string, string> = {};
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) Object.assign(all, { [`${path}/`]: '' }, tree(path));
    else all[path] = `${statSync(path).mode.toString(8)} ${readFileSync(path, 'latin1')}`;
  }
  return all;
}

type Settings = {
  readonly hooks: Readonly<Record<string, readonly { readonly matcher?: string; readonly hooks: readonly { readonly command: string }[] }[]>>;
};
const settings = () => JSON.parse(read('.claude/settings.json')) as Settings;

describe('a new project', () => {
  test('gets AGENTS.md, a skill and hooks; again changes nothing; --undo leaves nothing behind', async () => {
    const before = tree();
    const first = await init();
    expect(first).toMatchObject({ code: 0 });
    expect(first.stdout).toContain('Claude Code saves at the start of a session');
    expect(Object.keys(settings().hooks)).toEqual(['SessionStart', 'PreToolUse', 'PreCompact', 'Stop', 'SessionEnd']);
    expect(read('AGENTS.md').split('\n').length).toBeLessThanOrEqual(17);
    expect(read('.claude/skills/cora/SKILL.md')).toMatch(/^---\nname: cora\ndescription: \S/);
    expect(existsSync(at('CLAUDE.md'))).toBe(false);
    const after = tree();
    expect((await init()).code).toBe(0);
    expect(tree()).toEqual(after);
    expect((await init('--undo')).code).toBe(0);
    expect(tree()).toEqual(before);
    expect((await init('--undo')).code).toBe(1);
  });

  test('is part of init where an assistant is used, and of its undo', async () => {
    const before = tree();
    const plan = await box.json(['init', '--dry-run', '--no-timers']);
    expect(plan.result).toMatchObject({ assistants: ['claude'], answers: { agents: true } });
    expect((await box.cora(['init', '--yes', '--no-timers'])).code).toBe(0);
    expect(existsSync(at('AGENTS.md'))).toBe(true);
    expect((await box.cora(['init', '--undo', '--yes'])).code).toBe(0);
    // AGENTS.md is critical; what Cora took out on request is no loss.
    const after = await box.cora(['save']);
    expect([after.code, after.stderr]).toEqual([0, '']);
    expect(tree()).toEqual(before);
    expect((await box.json(['init', '--yes', '--no-timers', '--no-agents'])).result).toMatchObject({ agents: null });
    expect(tree()).toEqual(before);
  });

  test('--dry-run and a refusal write nothing', async () => {
    const before = tree();
    expect((await box.cora(['init', '--agents', '--dry-run'])).stdout).toContain('Write AGENTS.md');
    expect((await box.cora(['init', '--agents'])).code).toBe(20);
    expect(tree()).toEqual(before);
    expect(existsSync(box.vault)).toBe(false);
  });

  test('other assistants, here and in the home', async () => {
    mkdirSync(at('.codex'));
    mkdirSync(at('.cursor'));
    put('.cursor/hooks.json', '{"version":1,"hooks":{"stop":[{"command":"./mine.sh"}]}}');
    mkdirSync(join(box.home, '.gemini'));
    const before = tree();
    const run = await box.json(['init', '--agents', '--yes']);
    expect(run.result).toMatchObject({ assistants: ['claude', 'codex', 'gemini', 'cursor'] });
    const cursor = JSON.parse(read('.cursor/hooks.json')) as { version: number; hooks: Record<string, { command: string }[]> };
    expect(cursor.version).toBe(1);
    expect(cursor.hooks['stop']?.map(({ command }) => command)).toEqual(['./mine.sh', expect.stringContaining('hook agent stop cursor')]);
    expect(read('.cursor/hooks.json')).not.toContain('\n');
    expect(JSON.parse(read('.codex/hooks.json'))).toMatchObject({ hooks: { SessionEnd: [{ hooks: [{ timeout: 3 }] }] } });
    expect(JSON.parse(read('.gemini/settings.json'))).toMatchObject({ hooks: { BeforeTool: [{ hooks: [{ timeout: 20_000 }] }] } });
    expect((await init('--undo')).code).toBe(0);
    expect(tree()).toEqual(before);
  });

  test('a project with a quote and a dollar in its name: the hooks still find Cora', async () => {
    const name = "it's a $HOME project";
    const project = join(box.root, name);
    mkdirSync(join(project, '.claude'), { recursive: true });
    writeFileSync(join(project, 'cora.toml'), '');
    expect((await box.cora(['init', '--agents', '--yes'], { cwd: project })).code).toBe(0);
    const { hooks } = JSON.parse(readFileSync(join(project, '.claude/settings.json'), 'utf8')) as Settings;
    const command = hooks['SessionStart']?.[0]?.hooks[0]?.command ?? '';
    const env = { PATH: process.env['PATH'], HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: join(box.root, 'log'), CLAUDE_PROJECT_DIR: project };
    const run = await execute('/bin/sh', ['-c', command], { cwd: project, env });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toContain('the newest save is 2');
  });
});

describe('settings that are there', () => {
  const claude = ASSISTANTS[0]?.entries("/opt/it's here/bin/cora") ?? [];
  const mine = { matcher: 'Bash', hooks: [{ type: 'command', command: 'echo mine' }] };

  test.each([
    ['four blanks', JSON.stringify({ model: 'x', hooks: { PreToolUse: [mine], Stop: [] }, permissions: { allow: ['Bash(ls:*)'] } }, null, 4)],
    ['tabs and a last line', `${JSON.stringify({ hooks: { PreToolUse: [mine] } }, null, '\t')}\n`],
    ['CRLF', JSON.stringify({ env: { A: 'ä "quoted" \\ \u2028' }, hooks: { SessionEnd: [mine] } }, null, 2).replaceAll('\n', '\r\n')],
    ['one line', JSON.stringify({ hooks: { PreToolUse: [mine] }, a: [1, 2, { b: null }] })],
    ['a byte order mark', `\ufeff${JSON.stringify({ a: true }, null, 2)}`],
    ['an empty object', '{}'],
    ['an empty object over lines', '{\n}\n'],
    ['an empty hooks object', '{ "hooks" : { } , "x": 1.5e3 }'],
    ['odd blanks', '{\n\n  "hooks"  :\n  { "PreToolUse"\n: [ ]\n}\n\n}\n\n'],
    ['the same name twice', '{"a": [1], "hooks": [], "hooks": {"Stop": [{"hooks":[]}]}, "b": {"c": [1]}, "b": null, "a": 7}'],
  ])('%s: each key stays, and taking ours out gives back every byte', (_, text) => {
    const added = addHooks(text, claude);
    const now = JSON.parse(added.text.replace(/^\ufeff/, '')) as Settings;
    const { hooks: oldHooks, ...rest } = JSON.parse(text.replace(/^\ufeff/, '')) as Partial<Settings>;
    expect(now).toMatchObject(rest);
    for (const [event, list] of Object.entries(oldHooks ?? {})) expect(now.hooks[event]?.slice(0, list.length)).toEqual(list);
    for (const { event, entry } of claude) expect(now.hooks[event]).toContainEqual(entry);
    if (text.includes('\r\n')) expect(added.text.replaceAll('\r\n', '')).not.toContain('\n');
    expect(addHooks(added.text, claude)).toEqual({ text: added.text, inserted: [] });
    expect(takeOutHooks(added.text, added.inserted)).toBe(text);
    // Without a record of what was put in, a list that was empty before may go with ours.
    const found = JSON.parse(takeOutHooks(added.text, []).replace(/^\ufeff/, '')) as Partial<Settings>;
    const filled = (hooks: Partial<Settings>['hooks']) => Object.fromEntries(Object.entries(hooks ?? {}).filter(([, list]) => list.length > 0));
    expect({ ...found, hooks: filled(found.hooks) }).toEqual({ ...rest, hooks: filled(oldHooks) });
  });

  test.each([
    ['comments', '{\n  // mine\n  "hooks": {}\n}\n', 'it has comments, which would be lost'],
    ['what is no JSON', '{"hooks": ', 'it is not valid JSON'],
    ['a list', '[]', 'it is no JSON object'],
    ['hooks of another kind', '{"hooks": {"Stop": "x"}}', 'its "hooks.Stop" is no list'],
    ['hooks that are a list', '{"hooks": []}', 'its "hooks" is no object'],
  ])('%s: refused', (_, text, reason) => {
    expect(() => addHooks(text, claude)).toThrow(new SettingsRefusal(reason));
  });

  test('what cannot be edited is kept and named, and the rest is done', async () => {
    mkdirSync(at('.codex'));
    mkdirSync(at('.gemini'));
    put('.claude/settings.json', '{\r\n  /* mine */\r\n  "hooks": {}\r\n}\r\n');
    writeFileSync(at('.codex/hooks.json'), '{"a": "\xff"}', 'latin1');
    put('.gemini/settings.json', '\n');
    const before = tree();
    const run = await box.json(['init', '--agents', '--yes']);
    expect(run.code).toBe(3);
    expect(run.problems).toEqual([
      expect.objectContaining({
        code: 'agents',
        path: '.claude/settings.json',
        message: 'Not set up for assistants: it has comments, which would be lost',
      }),
      expect.objectContaining({ code: 'agents', path: '.codex/hooks.json', message: 'Not set up for assistants: it is not UTF-8' }),
    ]);
    expect(tree()).toMatchObject({
      [at('.claude/settings.json')]: before[at('.claude/settings.json')],
      [at('.codex/hooks.json')]: before[at('.codex/hooks.json')],
    });
    expect(existsSync(at('AGENTS.md'))).toBe(true);
    expect((await init('--undo')).code).toBe(0);
    expect(tree()).toEqual(before);
  });

  test('a read-only file, and links that lead out of the project, are not written through', async () => {
    put('.claude/settings.json', '{}');
    chmodSync(at('.claude/settings.json'), 0o444);
    writeFileSync(join(box.root, 'outside.md'), 'not ours\n');
    symlinkSync('../outside.md', at('AGENTS.md'));
    symlinkSync('nowhere', at('CLAUDE.md'));
    mkdirSync(join(box.root, 'skills'));
    symlinkSync('../../skills', at('.claude/skills'));
    const run = await box.json(['init', '--agents', '--yes']);
    expect(run.code).toBe(3);
    expect(run.problems.map(({ path, message }) => [path, message.replace('Not set up for assistants: ', '')])).toEqual([
      ['AGENTS.md', 'it is a link, or lies behind one, that leads out of the project'],
      ['CLAUDE.md', 'it is a link that leads nowhere'],
      ['.claude/settings.json', 'it is read-only'],
      ['.claude/skills/cora/SKILL.md', 'it is a link, or lies behind one, that leads out of the project'],
    ]);
    expect(readFileSync(join(box.root, 'outside.md'), 'utf8')).toBe('not ours\n');
    expect(readdirSync(join(box.root, 'skills'))).toEqual([]);
  });

  test('a link within the project stays one, and CLAUDE.md that is AGENTS.md gets one block', async () => {
    put('AGENTS.md', 'Be kind.');
    symlinkSync('AGENTS.md', at('CLAUDE.md'));
    expect((await init()).code).toBe(0);
    expect(read('CLAUDE.md').match(/>>> cora/g)).toHaveLength(1);
    expect((await init('--undo')).code).toBe(0);
    expect(read('CLAUDE.md')).toBe('Be kind.');
  });

  test.skipIf(!isRoot)('root in somebody else\u2019s project: files belong to their owner', async () => {
    await execute('chown', ['-R', '65534:65534', box.project]);
    expect((await init()).code).toBe(0);
    for (const path of ['AGENTS.md', '.claude/settings.json', '.claude/skills/cora/SKILL.md', '.claude/skills'])
      expect(statSync(at(path)).uid).toBe(65_534);
  });
});

test.skipIf(isRoot && whyNotNobody() !== undefined)('an ordinary user, in a project of their own', async () => {
  const own = new Sandbox({ nobody: true });
  try {
    mkdirSync(join(own.project, '.claude'));
    own.own(join(own.project, '.claude'));
    writeFileSync(join(own.project, 'cora.toml'), '');
    const before = tree(own.project);
    expect((await own.cora(['init', '--agents', '--yes'])).code).toBe(0);
    expect((await own.cora(['hook', 'agent', 'session-start'])).stdout).toContain('the newest save is 2');
    expect((await own.cora(['init', '--agents', '--undo', '--yes'])).code).toBe(0);
    expect(tree(own.project)).toEqual(before);
  } finally {
    await own.remove();
  }
});

describe('what others did since', () => {
  test('settings written anew by a program: our entries go, theirs stay', async () => {
    expect((await init()).code).toBe(0);
    const changed = { permissions: { allow: ['Bash(ls:*)'] }, ...settings() };
    const list = (changed.hooks['PreToolUse'] ?? []) as { hooks: unknown[] }[];
    list.push({ hooks: [{ type: 'command', command: 'echo theirs' }] });
    const stop = (changed.hooks['Stop'] ?? []) as { hooks: unknown[] }[];
    stop[0]?.hooks.unshift({ type: 'command', command: 'echo beside ours' });
    put('.claude/settings.json', JSON.stringify(changed));
    expect((await init('--undo')).code).toBe(0);
    expect(JSON.parse(read('.claude/settings.json'))).toEqual({
      permissions: { allow: ['Bash(ls:*)'] },
      hooks: {
        PreToolUse: [{ hooks: [{ type: 'command', command: 'echo theirs' }] }],
        Stop: [{ hooks: [{ type: 'command', command: 'echo beside ours' }] }],
      },
    });
  });

  test('text around the block stays; a block that was edited is kept and named, a cut off one too', async () => {
    put('AGENTS.md', '# Mine\r\n');
    put('CLAUDE.md', 'Mine too\n');
    expect((await init()).code).toBe(0);
    expect(read('CLAUDE.md')).toContain('@AGENTS.md\n');
    expect(read('AGENTS.md').replaceAll('\r\n', '')).not.toContain('\n');
    put('AGENTS.md', `above\r\n${read('AGENTS.md')}below\r\n`);
    put('CLAUDE.md', read('CLAUDE.md').replace('@AGENTS.md', '@OTHER.md'));
    const run = await init();
    expect(run.code).toBe(3);
    expect(run.stdout).toContain("Kept CLAUDE.md (Cora's block in it was edited)");
    const undone = await init('--undo');
    expect(undone.code).toBe(3);
    expect(undone.stdout).toContain("CLAUDE.md (Cora's block in it was edited: take it out by hand)");
    expect(read('AGENTS.md')).toBe('above\r\n# Mine\r\nbelow\r\n');
    put('AGENTS.md', '<!-- >>> cora v1 sha=0123456789ab >>> x -->\nno end\n');
    expect((await init()).stdout).toContain('begins and does not end');
  });

  test('an older form of ours is replaced, and --undo gives back what was there before both', async () => {
    put('.claude/settings.json', '{"a":1}');
    put('AGENTS.md', 'Mine');
    const before = tree();
    expect((await init()).code).toBe(0);
    // As another version of Cora, from another place, would have written it, record and all.
    const record = join(box.vault, 'ledger/init.json');
    for (const path of [at('.claude/settings.json'), record])
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll('/bin/cora', '/bin/../bin/cora'));
    expect((await init()).code).toBe(0);
    expect(read('.claude/settings.json')).not.toContain('/../');
    expect(settings().hooks['Stop']).toHaveLength(1);
    expect((await init('--undo')).code).toBe(0);
    expect(tree()).toEqual(before);
  });

  test('a file that was filled since init made it stays with what is in it', async () => {
    expect((await init()).code).toBe(0);
    put('AGENTS.md', `${read('AGENTS.md')}\nMine\n`);
    put('.claude/skills/cora/SKILL.md', 'mine');
    const undone = await init('--undo');
    expect(undone.code).toBe(3);
    expect(read('AGENTS.md')).toBe('\nMine\n');
    expect(read('.claude/skills/cora/SKILL.md')).toBe('mine');
    expect(existsSync(at('.claude/settings.json'))).toBe(false);
  });
});
