// What `cora key test` says of a remote in each state: whole, altered, an object gone, the marker gone.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { configureOffsite, copyPath, fillProject } from './offsite.ts';
import type { Remote } from './remotes.ts';
import type { Sandbox } from './sandbox.ts';

/** Ships one encrypted backup, and opens it in each state. The remote is spoilt afterwards. */
export async function keyTestAt(remote: Remote, sandbox: Sandbox): Promise<void> {
  const made = await sandbox.json(['key', 'new']);
  fillProject(sandbox, { bytes: 2_000_000 });
  writeFileSync(join(sandbox.project, '.env'), 'SECRET=1\n');
  configureOffsite(sandbox, [remote], `recipients = ["${String(made.result['recipient'])}"]`);
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const copy = copyPath(id);
  const tested = async (...flags: readonly string[]) => {
    const run = await sandbox.json(['key', 'test', ...flags]);
    return `${run.code} ${run.ok ? 'ok' : run.error.code}`;
  };
  const lines = () => readFileSync(join(sandbox.vault, 'ledger/chain.log'), 'utf8').match(/ key-test /g)?.length ?? 0;
  expect(await tested()).toBe('0 ok');
  expect(await tested('--deep')).toBe('0 ok');
  expect(lines()).toBe(2);
  await remote.alter(`${copy}/archive.tar.gz.age`);
  expect(await tested('--deep')).toBe('21 damaged');
  await remote.delete(`${copy}/archive.tar.gz.age`);
  expect(await tested()).toBe('21 damaged');
  expect(await tested('--deep')).toBe('21 damaged');
  await remote.delete(`${copy}/records.tar.age`);
  expect(await tested()).toBe('21 damaged');
  await remote.delete(`${copy}/COMPLETE.json`);
  expect(await tested()).toBe('1 not_found');
  expect(lines()).toBe(2);
}
