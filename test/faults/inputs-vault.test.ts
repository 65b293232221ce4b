// docs/reliability.md, bad inputs 40 to 46 and 57: what somebody or something changed in a vault.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect } from 'vitest';
import { fault, type Scene } from '../support/bad-input.ts';
import { execute } from '../support/sandbox.ts';

/** A backup beside the old save, unsealed so that it can be hurt; its directory. */
async function second(s: Scene): Promise<string> {
  await s.begin();
  s.write('a.txt', 'second\n');
  const made = await s.quick(['backup', 'now']);
  await execute('chattr', ['-R', '-i', s.box.vault]);
  return String(made.result['path']);
}

/** The file as it was again, and the seal. */
async function mend(s: Scene, directory: string, copy: string): Promise<void> {
  await execute('chattr', ['-R', '-i', directory]);
  rmSync(directory, { recursive: true });
  await execute('cp', ['-a', copy, directory]);
  await s.quick(['protect']);
  await s.recovers();
}

async function keep(s: Scene, directory: string): Promise<string> {
  const copy = join(s.box.root, 'copy');
  await execute('cp', ['-a', directory, copy]);
  return copy;
}

fault('40', 'a report that is cut, empty, no JSON, another shape, huge, or steers the program: 21, named, the others listed', {}, async (s) => {
  const directory = await second(s);
  const copy = await keep(s, directory);
  const file = join(directory, 'REPORT.json');
  const whole = readFileSync(file, 'utf8');
  const forms = [
    '',
    whole.slice(0, 200),
    '[]',
    'null',
    '{"__proto__": {"status": "complete"}, "constructor": 1}',
    whole.replace('"files_new"', '"files_new": "x", "status": {}, "files_new"'),
    whole.replace('"sequence":', '"sequence": 1, "sequence":'),
    `${whole.slice(0, -2)}, "x": "${'y'.repeat(5_000_000)}"}`,
    `${'['.repeat(200_000)}`,
  ];
  for (const [n, form] of forms.entries()) {
    writeFileSync(file, form);
    const here = n % 4 === 0 ? s.cora.bind(s) : undefined;
    if (here !== undefined) {
      s.ends(await here(['verify', '--all']), 21, /REPORT\.json: its content changed/);
      s.ends(await here(['list']), 0, /save/);
    } else expect([n, (await s.quick(['verify', '--all'])).code]).toEqual([n, 21]);
    expect((await s.quick(['restore', s.old, '--to', join(s.box.root, `out-${n}`)])).code).toBe(0);
  }
  await mend(s, directory, copy);
});

fault('41', 'a file and SHA256SUMS.txt that were changed together are found by the ledger', {}, async (s) => {
  const directory = await second(s);
  const copy = await keep(s, directory);
  const manifest = join(directory, 'MANIFEST.txt');
  const sums = join(directory, 'SHA256SUMS.txt');
  const sum = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
  const before = sum(manifest);
  writeFileSync(manifest, `${readFileSync(manifest, 'utf8')}forged\n`);
  writeFileSync(sums, readFileSync(sums, 'utf8').replace(before, sum(manifest)));
  expect((await execute('sha256sum', ['--quiet', '-c', 'SHA256SUMS.txt'], { cwd: directory })).code).toBe(0);
  s.ends(await s.cora(['verify', '--all']), 21, /was altered/);
  await mend(s, directory, copy);
});

fault('42', 'a file that is added to a sealed backup, and one that is gone', { root: true }, async (s) => {
  const directory = await second(s);
  const copy = await keep(s, directory);
  writeFileSync(join(directory, 'critical.txt'), 'added\n');
  s.ends(await s.cora(['verify', '--all']), 21, /critical\.txt: /);
  rmSync(join(directory, 'critical.txt'));
  rmSync(join(directory, 'LARGE_FILES.txt'));
  s.ends(await s.cora(['verify', '--all']), 21, /LARGE_FILES\.txt: /);
  await mend(s, directory, copy);
});

fault('43', 'a seal that is gone: the contents are good, 3, and protect is offered', { root: true }, async (s) => {
  await second(s);
  s.ends(await s.cora(['verify', '--all']), 3, /NOT SEALED ANY MORE: .*cora protect seals it again/);
  s.ends(await s.cora(['protect']), 0, /\+i .*: sealed/);
  await s.recovers();
});

fault('44', 'where chattr is not supported the backup is made, and says that it is not sealed', { nobody: true }, async (s) => {
  await s.begin();
  s.ends(await s.cora(['backup', 'now']), 0, /Sealed +no: /);
  s.ends(await s.cora(['status']), 0, /0 sealed|NOT SEALED/);
  await s.recovers();
});

fault('45', 'a vault and a snapshot of a newer format: which Cora is needed, and the way without it', {}, async (s) => {
  const directory = await second(s);
  const copy = await keep(s, directory);
  const vault = join(s.box.vault, 'VAULT.json');
  const whole = readFileSync(vault, 'utf8');
  writeFileSync(vault, whole.replace('"format": 1', '"format": 99'));
  for (const command of [['save'], ['list'], ['restore', 'latest', '--to', join(s.box.root, 'out')]])
    s.ends(await s.cora(command), 1, /has format 99; this Cora knows 1; upgrade Cora, or restore with the vault's own restore\.sh/);
  writeFileSync(vault, whole);
  const report = join(directory, 'REPORT.json');
  writeFileSync(report, readFileSync(report, 'utf8').replace('"schema": 1', '"schema": 99'));
  s.ends(await s.cora(['list']), 0, /save/);
  await mend(s, directory, copy);
});

fault('46', 'a listing that unpacks to gigabytes is damage, and takes neither time nor memory', {}, async (s) => {
  await s.begin();
  s.write('a.txt', 'second\n');
  const { result } = await s.quick(['save']);
  const directory = String(result['path']);
  const copy = await keep(s, directory);
  const frame = zstdCompressSync(Buffer.alloc(64 << 20));
  const name = readdirSync(directory).find((one) => one.endsWith('.tsv.zst')) ?? '';
  const bomb = Buffer.concat(Array.from({ length: 32 }, () => frame));
  writeFileSync(join(directory, name), bomb);
  const commands = [
    ['verify', '--all'],
    ['restore', 'latest', '--to', join(s.box.root, 'out')],
    ['cat', 'latest', 'a.txt'],
    ['diff', 'latest'],
  ];
  for (const command of commands) s.ends(await s.cora(command), 21, /DELTA\.tsv\.zst/);
  const sums = join(directory, 'SHA256SUMS.txt');
  const before = createHash('sha256')
    .update(readFileSync(join(copy, name)))
    .digest('hex');
  writeFileSync(sums, readFileSync(sums, 'utf8').replace(before, createHash('sha256').update(bomb).digest('hex')));
  for (const command of commands.slice(0, 2)) s.ends(await s.cora(command), 21, /DELTA\.tsv\.zst/);
  await mend(s, directory, copy);
});

fault('57', 'a restore of a snapshot with damaged files changes nothing', {}, async (s) => {
  const directory = await second(s);
  const archive = join(directory, readdirSync(directory).find((name) => name.endsWith('.tar.gz')) ?? '');
  const copy = await keep(s, directory);
  const content = readFileSync(archive);
  content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 4;
  writeFileSync(archive, content);
  await execute('mv', [join(s.box.vault, 'progress'), join(s.box.root, 'progress')]);
  s.write('a.txt', 'live\n');
  const words = /is damaged \(.*named above\): nothing was changed; cora verify .* names all; .*--partial/;
  s.ends(await s.cora(['restore', 'latest', '--yes', '--no-pre-snapshot']), 21, words);
  expect(readFileSync(s.at('a.txt'), 'utf8')).toBe('live\n');
  s.ends(await s.cora(['restore', 'latest', '--to', join(s.box.root, 'out')]), 21, /error: (a|docs\/b)\.txt: The archive does not hold it any more/);
  await execute('mv', [join(s.box.root, 'progress'), join(s.box.vault, 'progress')]);
  await mend(s, directory, copy);
});
