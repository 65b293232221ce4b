// What a person who is new to copies off-site types: one place under two names, slips in the configuration, directories where
// nothing can be restored, several remotes of which one is not there. Each is told what is the matter, and nothing counts twice.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRate } from '../../src/base/config-file-offsite.ts';
import { findProgram } from '../../src/os/run.ts';
import { Sandbox } from '../support/sandbox.ts';

const missing = findProgram('rclone') === undefined;

describe.skipIf(missing)(`names of remotes${missing ? ' (skipped: rclone is missing)' : ''}`, () => {
  const box = new Sandbox({ fast: true });
  const nas = join(box.home, 'nas');
  const key = join(box.home, 'key.txt');
  let recipient = '';

  function configure(remotes: readonly string[], ...lines: readonly string[]): void {
    const text = ['[offsite]', `remote = ${JSON.stringify(remotes)}`, `recipients = ["${recipient}"]`, ...lines, ''].join('\n');
    writeFileSync(join(box.project, 'cora.toml'), text);
  }

  beforeAll(async () => {
    mkdirSync(nas);
    writeFileSync(join(box.project, '.env'), 'PASSWORD=x\n');
    // Large enough that the upload has to wait for rclone many times.
    writeFileSync(join(box.project, 'big.bin'), randomBytes(24 << 20));
    recipient = ((await box.json(['key', 'new', '--out', key])).result as { readonly recipient: string }).recipient;
    configure(['~/nas', '~/nas/', nas]);
  });
  afterAll(() => box.remove());

  test('a large encrypted copy leaves without a word on stderr', async () => {
    const run = await box.cora(['backup', 'now', '--progress', 'none']);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toBe('');
    // One place, however often it is named: sent once.
    expect(run.stdout.match(/^Shipped /gm)).toHaveLength(1);
  });

  test('a place that is typed in other words is the one that is configured', async () => {
    configure(['~/nas']);
    const checked = await box.json(['ship', '--check', '--remote', `${nas}/`]);
    expect((checked.result['copies'] as readonly { remote: string; ok: boolean }[]).map(({ remote, ok }) => [remote, ok])).toEqual([['~/nas', true]]);
    const sent = await box.json(['ship', '--remote', nas]);
    expect(sent.result['remotes']).toMatchObject([{ remote: '~/nas', already_there: 1, shipped: [] }]);
  });

  test('a place that is recorded under another name is no second copy', async () => {
    const path = join(box.vault, 'ledger/offsite.json');
    const record = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...record, remotes: { ...record.remotes, [nas]: record.remotes['~/nas'] } }));
    const { stdout } = await box.cora(['status']);
    expect(stdout.match(/^Off-site /gm)).toHaveLength(1);
    expect(stdout).toMatch(/copies +3 of 3/);
    expect(stdout).toContain('name a remote away from this machine in offsite.remote');
  });

  test('recover names the env that is not there, and refuses to restore into a vault or among the copies', async () => {
    const env = await box.json(['recover', nas, '--env', 'nope', '--to', join(box.root, 'new')]);
    expect(env.error).toMatchObject({ code: 'unknown_snapshot', message: expect.stringContaining('of env nope') });
    for (const to of [join(nas, 'in/it'), join(box.vault, 'progress/in')]) {
      const run = await box.json(['recover', nas, '--to', to, '--identity', key, '--vault', join(box.root, 'other')]);
      expect(run.error).toMatchObject({
        code: 'project_refused',
        message: expect.stringContaining('lies inside'),
        hint: expect.stringContaining('--to'),
      });
      expect(existsSync(to)).toBe(false);
    }
    expect(existsSync(join(box.root, 'other'))).toBe(false);
  });

  test('a rate that rclone does not take is a mistake of the configuration, before anything runs', async () => {
    configure(['~/nas'], 'bwlimit = "fast"');
    const run = await box.json(['ship']);
    expect([run.code, run.error.code]).toEqual([2, 'config_invalid']);
    const taken = ['2M', '512', '1.5Mi', '512KiB', 'off', '10M:1M', '08:00,512k 19:00,off', 'Mon-00:00,512 Fri-23:59,10M'];
    expect(taken.filter((rate) => !isRate(rate))).toEqual([]);
    expect(['', 'fast', '2x', '2M,', '-1', '--bwlimit'].filter(isRate)).toEqual([]);
  });

  test('a remote that is not there keeps no key from being tested at the others', async () => {
    configure(['~/gone', '~/nas']);
    const run = await box.cora(['key', 'test', '--identity', key]);
    expect(run.code).toBe(12);
    expect(run.stderr).toContain('~/gone is not there');
    expect(run.stdout).toMatch(/opens .* at ~\/nas/);
  });

  test('a remote around the project is called a remote', async () => {
    configure([box.root]);
    const run = await box.json(['ship']);
    expect(run.error).toMatchObject({ code: 'project_refused', message: expect.stringContaining(`inside the remote ${box.root}`) });
  });
});
