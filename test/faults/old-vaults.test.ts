// Vaults that were frozen when a format was new (scripts/freeze-vault.sh) are never made again: the newest Cora, and the
// restore.sh that lies in each, must give back every byte of them for ever.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { recordTree, type TreeRecord } from '../../src/actions/judge-tree.ts';
import { findProgram } from '../../src/os/run.ts';
import { FORMAT } from '../../src/vault/layout.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const HOME = join(import.meta.dirname, '../old-vaults');
const formats = readdirSync(HOME).filter((name) => name.startsWith('format-'));
const frozen = formats.flatMap((format) => readdirSync(join(HOME, format)).map((name) => `${format}/${name}`));

test('every version of the format has a frozen vault, and none was edited', () => {
  expect(formats.toSorted()).toEqual(Array.from({ length: FORMAT }, (_, index) => `format-${index + 1}`));
  for (const format of formats) expect(readdirSync(join(HOME, format)).filter((name) => name.endsWith('.tar'))).not.toEqual([]);
  const sums = frozen.map(
    (name) =>
      `${createHash('sha256')
        .update(readFileSync(join(HOME, name)))
        .digest('hex')}  ${name}\n`,
  );
  expect(readFileSync(join(HOME, 'SHA256SUMS.txt'), 'utf8')).toBe(sums.toSorted((a, b) => a.slice(66).localeCompare(b.slice(66))).join(''));
});

describe.each(frozen)('%s', (name) => {
  let sandbox: Sandbox;
  const at = (path: string) => join(sandbox.root, path);
  /** Outside of any project: the one it is from is gone. */
  const cora = (args: readonly string[]) => sandbox.cora([...args, '--vault', at('vault')], { cwd: at('away') });

  beforeEach(async () => {
    sandbox = new Sandbox();
    for (const archive of [join(HOME, name), at('expected.tar.gz')])
      expect(await execute('tar', ['-C', sandbox.root, '-xpf', archive])).toMatchObject({ code: 0 });
    mkdirSync(at('away'));
  });
  afterEach(() => sandbox.remove());

  /** `backup 20261121-...`, each with the tree that it gave when it was frozen. */
  function expected(): { readonly kind: string; readonly id: string; readonly tree: TreeRecord }[] {
    return readdirSync(at('expected')).map((directory) => {
      const [, kind = '', id = ''] = /^([a-z]+)-(.*)$/.exec(directory) ?? [];
      return { kind, id, tree: comparable(at(`expected/${directory}`)) };
    });
  }

  test('the newest Cora verifies all of it, ledger and packs too', async () => {
    const run = await cora(['verify', '--all', '--deep', '--chain', '--json']);
    // A tar has no immutable flags: a seal that is missing is all that may be said.
    expect([run.code, run.stdout]).toEqual([expect.toBeOneOf([0, 3]), expect.not.stringContaining('"reason"')]);
    const { stdout } = await cora(['list', '--json']);
    for (const { id } of expected()) expect(stdout).toContain(`"${id}"`);
    expect(readdirSync(at('vault/progress/packs')).some((file) => file.endsWith('.tar.zst'))).toBe(true);
  });

  test('the newest Cora restores every snapshot byte for byte', async () => {
    for (const { kind, id, tree } of expected()) {
      const to = at(`out-${kind}-${id}`);
      const run = await cora(['restore', snapshotDirectory(kind, id), '--to', to, '--yes']);
      expect([run.code, run.stderr]).toEqual([0, expect.any(String)]);
      expect(comparable(to)).toEqual(tree);
    }
  });

  test.skipIf(findProgram('zstd') === undefined)('its own restore.sh restores every snapshot byte for byte (needs zstd)', async () => {
    for (const { kind, id, tree } of expected()) {
      const to = at(`out-${kind}-${id}`);
      expect(await sandbox.restoreScript([id, to])).toMatchObject({ code: 0 });
      expect(comparable(to)).toEqual(tree);
    }
  });

  test.skipIf(findProgram('rclone') === undefined)('the copy that was shipped makes a vault again (needs rclone)', async () => {
    const backup = expected().find(({ kind }) => kind === 'backup');
    const to = at('recovered');
    const args = ['recover', at('remote'), '--latest', '--to', to, '--vault', at('second'), '--yes'];
    const run = await sandbox.cora(args, { cwd: at('away') });
    expect([run.code, run.stderr]).toEqual([0, expect.any(String)]);
    const { id = '' } = backup ?? {};
    const out = at('out-recovered');
    expect((await sandbox.cora(['restore', id, '--to', out, '--vault', at('second')], { cwd: at('away') })).code).toBe(0);
    expect(comparable(out)).toEqual(backup?.tree);
  });

  test('what it adopted is read where it lies', async () => {
    const register = at('vault/ledger/adopted.json');
    // It names a directory of the day when it was frozen.
    writeFileSync(register, readFileSync(register, 'utf8').replace(/"path":\s*"[^"]*"/, `"path":"${at('adopted')}"`));
    const id = basename(readdirSync(at('adopted'))[0] ?? '', '.tar.gz');
    expect((await cora(['list'])).stdout).toContain(id);
    expect((await cora(['restore', id, '--to', at('old')])).code).toBe(0);
    expect(existsSync(at('old'))).toBe(true);
  });

  function snapshotDirectory(kind: string, id: string): string {
    return at(kind === 'backup' ? `vault/${id}` : `vault/progress/${id.slice(0, 4)}/${id.slice(4, 6)}/${id.slice(6, 8)}/${id.slice(9)}`);
  }
});

/** Owners are whoever unpacked it. Cora gives a database its journal mode back, restore.sh leaves it as it is stored: the header says so. */
function comparable(directory: string): TreeRecord {
  const lines = [...recordTree(directory)].map(([path, line]): [string, string] => {
    const same = isRoot ? line : line.replace(/\d+:\d+/, '');
    return [path, path.endsWith('.db') ? same.replace(/[0-9a-f]{64}/, withoutMode(join(directory, path))) : same];
  });
  return new Map(lines);
}

/** All of a database but the versions of reading and writing, and the counters of changes that go with them. */
function withoutMode(path: string): string {
  const content = readFileSync(path);
  for (const [from, to] of [
    [18, 20],
    [24, 28],
    [92, 100],
  ] as const)
    content.fill(0, from, to);
  return createHash('sha256').update(content).digest('hex');
}
