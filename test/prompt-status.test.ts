// What a run means for the prompt, and the file that the shells read (docs/shell.md).

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytes } from '../src/base/bytes.ts';
import { COMMANDS } from '../src/cli/commands.ts';
import { promptChange } from '../src/cli/prompt-change.ts';
import { argumentKinds, completionRows } from '../src/cli/shell-code.ts';
import { findProgram } from '../src/os/run.ts';
import type { VaultLocation } from '../src/vault/locate.ts';
import { parsePromptStatus, promptStatusPath, updatePromptStatus } from '../src/vault/prompt-status.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cora-prompt-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const NOW = 1_800_000_000;
const change = (command: string, exit: number, result: unknown = {}, options: Readonly<Record<string, unknown>> = {}) =>
  promptChange({ command, exit, result, options }, NOW);

test('saves: good, unchanged, not due, failed, suspect, and what says nothing', () => {
  expect(change('save', 0, { outcome: 'saved', status: 'complete', losses: [] })).toMatchObject({
    times: { saved: NOW },
    well: ['save', 'lost'],
    failed: [],
  });
  expect(change('save', 3, { outcome: 'saved', status: 'partial' })).toMatchObject({ times: { saved: NOW }, failed: [] });
  expect(change('save', 3, { outcome: 'saved', status: 'suspect' })).toMatchObject({ well: ['save'], failed: ['lost'] });
  expect(change('save', 0, { outcome: 'recent', age_seconds: 40 })).toEqual({ times: { saved: NOW - 40 }, well: ['save'], timer: false });
  for (const exit of [1, 10, 20, 21, 70]) expect(change('save', exit, undefined)).toEqual({ failed: ['save'] });
  for (const exit of [2, 11, 75, 130]) expect(change('save', exit, undefined)).toEqual({});
  expect(change('list', 0)).toEqual({});
  expect(change('save', 0, {}, { trigger: 'timer' })).toMatchObject({ timer: true });
});

test('backups, copies off-site, drills and the end of a session', () => {
  expect(change('backup now', 0, { outcome: 'made', shipped: null })).toMatchObject({ times: { saved: NOW, backed: NOW }, failed: [] });
  expect(change('backup now', 12, { outcome: 'made', shipped: null })).toMatchObject({ times: { saved: NOW, backed: NOW }, failed: ['ship'] });
  expect(change('backup auto', 0, { outcome: 'not_needed', save: { outcome: 'unchanged' } }).times).toEqual({ saved: NOW });
  expect(change('backup now', 1, undefined)).toEqual({ failed: ['backup'] });
  expect(change('ship', 12, undefined)).toEqual({ failed: ['ship'] });
  expect(change('ship', 0)).toEqual({ times: { shipped: NOW }, well: ['ship'] });
  expect(change('ship', 0, {}, { prune: true })).toEqual({});
  expect(change('drill', 21)).toEqual({ failed: ['drill'] });
  expect(change('end', 0, { save: { outcome: 'saved' }, backup: null, verified: true })).toMatchObject({
    times: { saved: NOW, verified: NOW },
    failed: [],
  });
  expect(change('end', 21, { save: { outcome: 'saved' }, backup: null, verified: false })).toMatchObject({
    times: { saved: NOW },
    failed: ['verify'],
  });
});

test('damage stays until everything was read back, or health knows of none', () => {
  expect(change('verify', 21, {})).toEqual({ failed: ['verify'] });
  expect(change('verify', 0, { remaining: 0 })).toEqual({ times: { verified: NOW }, well: [] });
  expect(change('verify', 0, { remaining: 4 }, { all: true }).well).toEqual([]);
  expect(change('verify', 0, { remaining: 0 }, { all: true }).well).toEqual(['verify']);
  const checks = (level: string) => ['backup', 'verify', 'losses', 'drill'].map((name) => ({ name, level: name === 'drill' ? level : 'ok' }));
  expect(change('health', 0, { health: 'ok', checks: checks('ok') })).toEqual({ warn: [], failed: [], well: ['health', 'verify', 'lost'] });
  expect(change('health', 3, { health: 'warning', checks: checks('warning') })).toMatchObject({ warn: ['drill'], failed: [] });
  expect(change('health', 21, { health: 'critical', checks: checks('critical') })).toMatchObject({ warn: ['drill'], failed: ['health'] });
  expect(change('health', 1, undefined)).toEqual({});
});

test('what failed stays until it went well, and a project is never told of another’s', () => {
  const path = join(directory, 'deep/prompt');
  const read = () => parsePromptStatus(readFileSync(path, 'utf8'));
  updatePromptStatus(path, '/p', '/v', { failed: ['save'] }, NOW * 1000);
  updatePromptStatus(path, '/p', '/v', { failed: ['ship'], times: { backed: 7 } }, NOW * 1000);
  expect(read()).toMatchObject({ root: '/p', vault: '/v', failed: ['save', 'ship'], times: { saved: 0, backed: 7 }, late: 86_400 });
  updatePromptStatus(path, '/p', '/v', { well: ['save'], times: { saved: NOW } }, NOW * 1000);
  expect(read()).toMatchObject({ failed: ['ship'], times: { saved: NOW } });
  updatePromptStatus(path, '/p', '/other', {}, NOW * 1000);
  expect(read()).toMatchObject({ vault: '/other', failed: [], times: { saved: 0, backed: 0 } });
  expect(readdirSync(join(directory, 'deep'))).toEqual(['prompt']);
  for (const text of ['', 'cora-prompt 2\nroot /p\n', 'x', 'cora-prompt 1']) expect(parsePromptStatus(text)?.failed ?? []).toEqual([]);
  writeFileSync(path, 'torn');
  updatePromptStatus(path, '/p', '/v', { well: ['save'] }, NOW * 1000);
  expect(read()?.root).toBe('/p');
  // A file where the directory should be: nothing is thrown.
  updatePromptStatus(join(path, 'x'), '/p', '/v', {}, NOW * 1000);
});

test('late follows the timer that is seen', () => {
  const path = join(directory, 'prompt');
  const at = (seconds: number, timer: boolean) => {
    updatePromptStatus(path, '/p', '/v', { timer, times: { saved: seconds } }, seconds * 1000);
    return parsePromptStatus(readFileSync(path, 'utf8'))?.late;
  };
  expect(at(NOW, false)).toBe(86_400);
  expect(at(NOW + 10, true)).toBe(1800);
  expect(at(NOW + 910, true)).toBe(1800);
  expect(at(NOW + 910 + 3600, true)).toBe(7200);
  expect(at(NOW + 910 + 3700, false)).toBe(7200);
  expect(at(NOW + 30 * 86_400, false)).toBe(86_400);
});

test('where it lies', () => {
  const place = (root: string, location: Partial<VaultLocation>) =>
    promptStatusPath(bytes(root), { path: '/v', source: 'default', expectedId: undefined, memory: '/s/projects/x.json', ...location });
  expect(place('/home/a/app', {})).toBe('/s/prompt/%home%a%app');
  expect(place('/a\nb', {})).toBeUndefined();
  expect(place(`/${'x'.repeat(300)}`, {})).toBeUndefined();
  expect(place('/a\xff', {})).toBeUndefined();
  expect(place('/a', { memory: undefined })).toBeUndefined();
  expect(place('/a', { source: 'explicit', path: directory })).toBeUndefined();
  mkdirSync(join(directory, '.cache'));
  expect(place('/a', { source: 'explicit', path: directory })).toBe(`${directory}/.cache/prompt`);
});

test('runs of the program write it; a directory that is no vault gets none', async () => {
  const sandbox = new Sandbox();
  try {
    writeFileSync(join(sandbox.project, 'a'), 'a');
    const path = join(sandbox.vault, '.cache/prompt');
    const read = () => parsePromptStatus(readFileSync(path, 'utf8'));
    expect((await sandbox.cora(['save', '--trigger', 'timer'])).code).toBe(0);
    expect(read()).toMatchObject({ root: sandbox.project, vault: sandbox.vault, failed: [], late: 1800 });
    expect(Math.abs((read()?.times.saved ?? 0) - Date.now() / 1000)).toBeLessThan(60);
    expect((await sandbox.cora(['health'])).code).toBe(22);
    expect(read()?.failed).toEqual(['health']);
    await sandbox.cora(['backup', 'now']);
    expect((await sandbox.cora(['health', '-q'])).code).toBe(0);
    expect(read()?.failed).toEqual([]);
    const empty = join(sandbox.root, 'empty');
    mkdirSync(empty);
    expect((await sandbox.cora(['save', '--vault', empty])).code).toBe(10);
    expect(existsSync(join(empty, '.cache'))).toBe(false);
    expect(read()?.failed).toEqual([]);
  } finally {
    await sandbox.remove();
  }
});

test('as an ordinary user it lies in the state directory, and the shells find it there, from below and over a link too', async () => {
  const sandbox = new Sandbox({ nobody: true });
  try {
    writeFileSync(join(sandbox.project, 'a'), 'a');
    mkdirSync(join(sandbox.project, '.git'));
    mkdirSync(join(sandbox.project, 'sub'));
    symlinkSync(sandbox.project, join(sandbox.root, 'link'));
    sandbox.own(join(sandbox.project, '.git'));
    const env = { CORA_VAULT: '', ...(isRoot ? {} : { XDG_STATE_HOME: '' }) };
    const saved = await sandbox.cora(['save'], { env });
    if (saved.code !== 0) throw new Error(saved.stderr);
    const state = join(sandbox.home, '.local/state/cora');
    const path = join(state, 'prompt', sandbox.project.replaceAll('/', '%'));
    const text = readFileSync(path, 'utf8');
    expect(parsePromptStatus(text)).toMatchObject({ root: sandbox.project, vault: join(state, 'project') });
    writeFileSync(path, text.replace(/^failed .*/m, 'failed save'));
    for (const shell of ['bash', 'zsh', 'fish']) {
      const program = findProgram(shell);
      if (program === undefined) continue;
      const file = join(sandbox.root, `code.${shell}`);
      writeFileSync(file, (await sandbox.cora(['shell', shell], { env })).stdout);
      const places = [sandbox.project, join(sandbox.project, 'sub'), join(sandbox.root, 'link'), join(sandbox.root, 'link/sub'), sandbox.root, '/'];
      const ask = places.map((place) => `cd '${place}'; cora_prompt; echo .`).join('\n');
      const run = await execute(program, ['-c', `. '${file}'\n${ask}`], { env: { PATH: '/usr/bin:/bin', HOME: sandbox.home } });
      expect([shell, run.stderr, run.stdout.split('\n')]).toEqual([shell, '', ['save!.', 'save!.', 'save!.', 'save!.', '.', '.', '']]);
    }
  } finally {
    await sandbox.remove();
  }
});

test('completions know what each command takes', () => {
  expect(argumentKinds('[ID | @WHEN] [PATH...] [--to DIR]')).toEqual(['id', 'path']);
  expect(argumentKinds('[ID | @WHEN] [--all] [--chain [--offsite]] [--deep] [--max-duration TIME]')).toEqual(['id']);
  expect(argumentKinds('[-l LABEL] [-m NOTE]')).toEqual([]);
  expect(argumentKinds('LABEL [--rollback ask|auto|never] -- COMMAND [ARGS...]')).toEqual(['other']);
  expect(argumentKinds('bash|zsh|fish [--prompt]')).toEqual(['choice:bash,zsh,fish']);
  const rows = completionRows(COMMANDS);
  for (const { name, flags } of COMMANDS) {
    const [first, second] = name.split(' ');
    expect(rows.some((row) => row.startsWith(second === undefined ? `c\t${name}\t` : `w\t${first}\t${second}\t`))).toBe(true);
    for (const key of Object.keys(flags))
      expect(rows.some((row) => row.startsWith(`f\t${name}\t--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}\t`))).toBe(true);
  }
  for (const row of rows) expect(row).toMatch(/^[cgwfa]\t[^\n]+$/);
});
