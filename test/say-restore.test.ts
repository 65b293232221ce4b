// A restore that is asked for in words, at a terminal and from yesterday: the clock and the answers are the test's.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bytes } from '../src/base/bytes.ts';
import { engine } from '../src/cli/engine.ts';
import { type CliRun, cli } from './support/cli-run.ts';
import { Sandbox } from './support/sandbox.ts';

const box = new Sandbox({ fast: true });
const log = join(box.project, 'AI_WORK_LOG.md');
const asked: string[] = [];

afterAll(async () => {
  vi.useRealTimers();
  await box.remove();
});

/** @param answer of the person at the terminal; undefined: nobody is there */
function at(now: string, args: readonly string[], answer?: string): Promise<CliRun> {
  // The scan of a save asks the clock itself.
  vi.setSystemTime(now);
  const env = { HOME: box.home, CORA_VAULT: box.vault, CORA_LOG: '', CORA_WORKERS: '0' };
  const ask =
    answer === undefined
      ? undefined
      : async (question: string) => {
          asked.push(question);
          return answer;
        };
  return cli(args, engine, env, { cwd: () => bytes(box.project), now: () => Date.parse(now), ask });
}

let yesterdays = '';

beforeAll(async () => {
  writeFileSync(log, 'of friday\n');
  const made = await at('2026-11-20T09:00:00Z', ['say', 'back yourself up', '--json']);
  yesterdays = (JSON.parse(made.stdout) as { result: { snapshot_id: string } }).result.snapshot_id;
  writeFileSync(log, 'of saturday\n');
  expect((await at('2026-11-21T09:00:00Z', ['save our progress'])).code).toBe(0);
});

const now = '2026-11-21T10:00:00Z';
const phrase = "restore from yesterday's backup";
type Refused = {
  readonly error: { readonly details: { readonly plan: string; readonly snapshot_id: string; readonly moment: { readonly said: string } } };
};

test("yesterday's backup is planned, and comes back with a yes at the terminal", async () => {
  const no = await at(now, ['say', phrase], 'n');
  expect(no).toMatchObject({ code: 20, stdout: '' });
  expect(no.stderr).toContain(`Restore backup ${yesterdays} in place`);
  expect(readFileSync(log, 'utf8')).toBe('of saturday\n');
  expect((await at(now, ['say', '--yes', phrase], 'n')).code).toBe(20);
  expect(asked).toEqual(['Restore this? [y/N] ', 'Restore this? [y/N] ']);

  const yes = await at(now, ['say', phrase], 'y');
  expect(yes.code).toBe(0);
  expect(yes.stdout).toMatch(new RegExp(`^Restored ${yesterdays} to `));
  expect(readFileSync(log, 'utf8')).toBe('of friday\n');
});

test('a restore is taken back by a phrase at a terminal alone', async () => {
  expect((await at(now, ['say', 'undo the last restore'])).code).toBe(20);
  expect((await at(now, ['say', '--yes', 'undo the last restore'], 'n')).code).toBe(20);
  expect(readFileSync(log, 'utf8')).toBe('of friday\n');
  expect((await at(now, ['say', 'undo the last restore'], 'y')).code).toBe(0);
  expect(readFileSync(log, 'utf8')).toBe('of saturday\n');
});

test('a plan is good for ten minutes', async () => {
  const planned = JSON.parse((await at(now, ['say', phrase, '--json'])).stdout) as Refused;
  const { plan, snapshot_id: id, moment } = planned.error.details;
  expect({ id, said: moment.said }).toEqual({ id: yesterdays, said: 'yesterday' });
  const late = await at('2026-11-21T10:10:01Z', ['say', '--apply', plan]);
  expect(late.code).toBe(20);
  expect(late.stderr).toContain('older than ten minutes');
  const again = JSON.parse((await at(now, ['say', phrase, '--json'])).stdout) as Refused;
  expect((await at('2026-11-21T10:09:59Z', ['say', '--apply', again.error.details.plan])).code).toBe(0);
  expect(readFileSync(log, 'utf8')).toBe('of friday\n');
});

test('which file is meant has to be said', async () => {
  const run = await at(now, ['say', 'bring back the file I deleted yesterday']);
  expect(run.code).toBe(64);
  expect(run.stderr).toContain('cora lost lists what is gone');
});

test('a backup of long ago is told with the offer of a new one', async () => {
  const run = await at('2026-11-25T10:00:00Z', ['say', 'when was the last backup?']);
  expect(run.stdout).toMatch(/That is long ago\. Say "back up now" \(cora backup now\) and one is made\.\n$/);
});

test('a name that only the vault knows comes back; one that nothing ever had is not understood', async () => {
  const gone = join(box.project, 'Justfile');
  writeFileSync(gone, 'test:\n');
  expect((await at('2026-11-21T10:10:00Z', ['save'])).code).toBe(0);
  rmSync(gone);
  expect((await at('2026-11-21T10:20:00Z', ['save'])).code).toBe(0);
  const explained = await at('2026-11-21T10:21:00Z', ['say', '--explain', '--json', 'get Justfile back']);
  expect(JSON.parse(explained.stdout)).toMatchObject({ intent: 'restore', slots: { path: 'Justfile' }, needsConfirmation: true });
  expect((await at('2026-11-21T10:21:00Z', ['say', 'get Justfile back'], 'y')).code).toBe(0);
  expect(readFileSync(gone, 'utf8')).toBe('test:\n');

  const unknown = await at('2026-11-21T10:22:00Z', ['say', 'get my coffee back']);
  expect(unknown.code).toBe(64);
  expect(unknown.stderr).toContain('nearest: cora restore PATH or cora lost');
});
