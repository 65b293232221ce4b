// Help texts as they are printed. After an intended change: vitest run test/cli-help.test.ts -u

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { COMMANDS } from '../src/cli/commands.ts';
import { cli } from './support/cli-run.ts';

test('cora alone shows everything on one page', async () => {
  const run = await cli([]);
  expect(run.code).toBe(0);
  expect(run.stdout.split('\n').length).toBeLessThanOrEqual(52);
  for (const line of run.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  for (const { name } of COMMANDS) expect(run.stdout).toMatch(new RegExp(`(?:^ {2}cora ${name} {2}|[ ]${name}(?:,|$))`, 'm'));
  expect(run.stdout).toMatchSnapshot();
  expect((await cli(['--help'])).stdout).toBe(run.stdout);
  expect((await cli(['help'])).stdout).toBe(run.stdout);
});

test.each(COMMANDS.map((entry) => entry.name))('cora %s --help has examples and exit codes', async (name) => {
  const words = name.split(' ');
  const run = await cli([...words, '--help']);
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/\nExamples:\n {2}cora /);
  expect(run.stdout).toMatch(/\nExit codes:\n {4}0 {2}done\n/);
  expect(run.stdout).toMatchSnapshot();
  expect((await cli([...words, '-h'])).stdout).toBe(run.stdout);
  expect((await cli(['help', ...words])).stdout).toBe(run.stdout);
});

test('help reads no configuration and opens no vault', async () => {
  const fail = async () => {
    throw new Error('opened');
  };
  expect((await cli(['save', '--help'], { findProject: fail, locateVault: fail })).code).toBe(0);
});

test('no name or option stands for two things', () => {
  const names = COMMANDS.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]);
  expect(new Set(names).size).toBe(names.length);
  for (const entry of COMMANDS) {
    const shorts = Object.values(entry.flags).flatMap((flag) => flag.short ?? []);
    expect(new Set([...shorts, 'q', 'v', 'y', 'h']).size).toBe(shorts.length + 4);
  }
});

test('docs/json.md describes every command', () => {
  const page = readFileSync(new URL('../docs/json.md', import.meta.url), 'utf8');
  for (const { name } of COMMANDS) expect(page).toContain(`**${name}**`);
});
