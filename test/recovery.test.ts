// docs/recovery.md as it stands: each section's blocks are typed into a shell, in order, in a fresh home.

import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { execute, Sandbox } from './support/sandbox.ts';

const repository = join(import.meta.dirname, '..');
const page = readFileSync(join(repository, 'docs/recovery.md'), 'utf8');
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({ title: text.slice(0, text.indexOf('\n')), blocks: [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, code]) => code ?? '') }))
  .filter(({ blocks }) => blocks.length > 0);
const sqlite = findProgram('sqlite3');
const tools = ['rclone', 'age', 'age-keygen'].filter((program) => findProgram(program) === undefined);

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
  mkdirSync(join(sandbox.home, '.bin'));
  symlinkSync(join(repository, 'bin/cora'), join(sandbox.home, '.bin/cora'));
});
afterEach(() => sandbox.remove());

test('the page has a section for each disaster, and nothing is left untyped', () => {
  expect(sections.map(({ title }) => title.slice(0, 2))).toEqual(['1.', '2.', '3.', '4.', '5.', '6.', '7.', '8.']);
});

test.skipIf(sqlite === undefined).for(sections)('$title (needs sqlite3)', async ({ title, blocks }, context) => {
  if (title.startsWith('8.') && tools.length > 0) return context.skip(`${tools.join(', ')} missing`);
  const env = { HOME: sandbox.home, PATH: `${join(sandbox.home, '.bin')}:/usr/bin:/bin:/usr/sbin:/sbin`, CORA_LOG: join(sandbox.root, 'log') };
  for (const [index, block] of blocks.entries()) {
    const begun = performance.now();
    const run = await execute('/bin/sh', ['-euc', block], { cwd: sandbox.home, env });
    expect({ block, ...run }).toMatchObject({ code: 0 });
    if (index > 0 && process.env['CORA_TEST_SLOW'] === '1')
      process.stdout.write(`${block.trim().split('\n')[1]}: ${((performance.now() - begun) / 1000).toFixed(1)} s\n`);
  }
});
