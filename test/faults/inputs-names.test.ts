// docs/reliability.md, bad inputs 21 to 31: names, links, modes, attributes, times and numbers of files that tools stumble over.

import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { fault, type Scene } from '../support/bad-input.ts';
import { execute } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const SIZE = SLOW ? 10_000_000_000 : 200_000_000;

/** A save and a backup of what is there, each restored with Cora, and the backup with restore.sh; all equal. */
async function comesBack(s: Scene, code: 0 | 3 = 0): Promise<string> {
  await s.begin();
  const made = await s.quick(['backup', 'now']);
  expect(made.code).toBe(code);
  const out = join(s.box.root, 'out');
  s.ends(await s.cora(['restore', 'latest', '--to', out]), 0, /Restored/);
  const byHand = join(s.box.root, 'by-hand');
  const script = await s.box.restoreScript([String(made.result['snapshot_id']), byHand]);
  expect([script.code, script.stderr]).toEqual([0, expect.anything()]);
  for (const directory of [out, byHand]) {
    const same = await execute('diff', ['-r', '--no-dereference', s.box.project, directory]);
    expect([directory, same.code, same.stdout]).toEqual([directory, 0, '']);
  }
  await s.recovers();
  return out;
}

const ODD = [
  'new\nline',
  'cr\r',
  'back\\slash',
  'tab\tx',
  ' lead',
  'trail ',
  '\x1b[31mred\x1b[0m',
  '*',
  '-rf',
  '--checkpoint-action=exec=sh x',
  '@include',
  'a:b',
  '"quoted\'',
  '$(touch hurt)',
  '%s',
  '..x',
  '\u202Eevil',
];

fault('21', 'names that shells, tar, sha256sum, rclone and terminals take for something else', {}, async (s) => {
  for (const name of ODD) s.write(name, `${JSON.stringify(name)}\n`);
  s.write(`-R/${ODD[0]}`, 'deep');
  await comesBack(s);
  const found = await s.cora(['find', '*']);
  expect(found.stdout).not.toMatch(/[\x1b\r\u202E]/);
  s.ends(found, 0, /\\x1b\[31mred|\\e\[31mred|\\u001b\[31mred/);
});

fault('22', 'names that are no UTF-8', {}, async (s) => {
  for (const name of [Buffer.from([0x62, 0xe9, 0x2e, 0xff]), Buffer.from([0xc3, 0x28]), Buffer.from([0xed, 0xa0, 0x80])])
    writeFileSync(Buffer.concat([Buffer.from(`${s.box.project}/`), name]), name);
  await comesBack(s);
  const { result } = await s.quick(['find', '*']);
  expect((result['found'] as { path_base64?: string }[]).filter((entry) => entry.path_base64 !== undefined)).toHaveLength(3);
});

fault('23', 'NFC and NFD twins and twins of upper and lower case are two files each', {}, async (s) => {
  for (const name of ['\u00e9.txt', 'e\u0301.txt', 'Readme', 'README']) s.write(name, name);
  const out = await comesBack(s);
  expect(readdirSync(out)).toEqual(expect.arrayContaining(['\u00e9.txt', 'e\u0301.txt', 'Readme', 'README']));
});

fault('24', 'names of 255 bytes and paths over 4,096 bytes', { programs: ['perl'] }, async (s) => {
  s.write('n'.repeat(255));
  await s.begin();
  const down = 'for (1..25) { mkdir "d" x 200; chdir("d" x 200) or die } ';
  await s.run('perl', ['-e', `${down} open(F, ">leaf.txt"); print F "deep\\n";`]);
  s.ends(await s.cora(['save']), 0, /Saved/);
  const out = join(s.box.root, 'out');
  s.ends(await s.cora(['restore', 'latest', '--to', out]), 0, /Restored/);
  expect((await execute('/usr/bin/perl', ['-e', `${down} open(F, "leaf.txt"); print <F>;`], { cwd: out })).stdout).toBe('deep\n');
  // The judge's own reading ends at 4,096 bytes of path.
  await s.wholeOld();
});

fault('25', 'links in a circle, to nothing, absolute and out of the project are kept as links', {}, async (s) => {
  const outside = join(s.box.root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret.txt'), 'never read\n');
  const links = { circle: 'circle', up: '..', nothing: 'not/there', absolute: '/etc/hostname', away: '../outside', 'docs/back': '../docs' };
  mkdirSync(s.at('docs'));
  for (const [name, target] of Object.entries(links)) symlinkSync(target, s.at(name));
  const out = await comesBack(s);
  for (const [name, target] of Object.entries(links)) expect(readlinkSync(join(out, name))).toBe(target);
  expect((await execute('grep', ['-rl', 'never read', s.box.vault, out])).stdout).toBe('');
});

fault('26', 'hard links stay links', {}, async (s) => {
  const first = s.write('first.bin', randomBytes(200_000));
  linkSync(first, s.at('second.bin'));
  const out = await comesBack(s);
  const [a, b] = ['first.bin', 'second.bin'].map((name) => lstatSync(join(out, name)));
  expect([a?.ino === b?.ino, a?.nlink]).toEqual([true, 2]);
});

fault('27', `a sparse file of ${SIZE / 1e9} GB makes no archive and no restore of that size`, {}, async (s) => {
  const fd = openSync(s.at('holes.img'), 'w');
  writeSync(fd, 'begin');
  ftruncateSync(fd, SIZE);
  writeSync(fd, 'end', SIZE - 1000);
  closeSync(fd);
  await s.begin();
  s.ends(await s.cora(['backup', 'now']), 0, /Backup/);
  const used = Number((await execute('du', ['-sb', s.box.vault])).stdout.split('\t')[0]);
  expect(used).toBeLessThan(2_000_000);
  s.ends(await s.cora(['restore', 'latest', '--to', join(s.box.root, 'out')]), 0, /Restored/);
  const back = statSync(join(s.box.root, 'out/holes.img'));
  expect([back.size, back.blocks * 512 < 1_000_000]).toEqual([SIZE, true]);
});

fault('28', 'setuid, setgid, sticky and owners are kept by root', { root: true }, async (s) => {
  chmodSync(s.write('setuid'), 0o4755);
  chownSync(s.write('theirs.txt'), 12_345, 54_321);
  mkdirSync(s.at('shared'));
  chmodSync(s.at('shared'), 0o3777);
  const out = await comesBack(s);
  expect(lstatSync(join(out, 'setuid')).mode & 0o7777).toBe(0o4755);
  expect(lstatSync(join(out, 'shared')).mode & 0o7777).toBe(0o3777);
  expect(lstatSync(join(out, 'theirs.txt'))).toMatchObject({ uid: 12_345, gid: 54_321 });
});

fault(
  '29',
  'files that lose extended attributes, ACLs or capabilities are named',
  { root: true, programs: ['getfattr', 'setfacl', 'setcap'] },
  async (s) => {
    const odd = Buffer.concat([Buffer.from(`${s.box.project}/`), Buffer.from([0x6e, 0xff, 0x0a, 0x5c])]);
    writeFileSync(odd, 'odd');
    s.write('plain.txt');
    await s.begin();
    const hurt = join(s.box.root, 'tmp');
    renameSync(odd, hurt);
    await execute('setfattr', ['-n', 'user.comment', '-v', 'x', hurt]);
    renameSync(hurt, odd);
    await execute('setfacl', ['-m', 'u:12345:r', s.write('shared.txt')]);
    await execute('setcap', ['cap_net_raw+ep', s.write('ping')]);
    const run = await s.cora(['backup', 'now']);
    const words =
      /warning: Extended attributes, ACLs and capabilities are not kept, and these have some: n.*, ping, shared\.txt \(attributes_lost in REPORT\.json/;
    s.ends(run, 0, words);
    const { result } = await s.quick(['show', 'latest']);
    const forms = result['forms'] as { path: string; report: { kind: string; attributes_lost: unknown } }[];
    const form = forms.find(({ report }) => report.kind === 'backup');
    expect(form?.report.attributes_lost).toEqual([
      { path: 'n\uFFFD\n\\', path_base64: Buffer.from([0x6e, 0xff, 0x0a, 0x5c]).toString('base64'), names: ['user.comment'] },
      { path: 'ping', names: ['security.capability'] },
      { path: 'shared.txt', names: ['system.posix_acl_access'] },
    ]);
    expect(readFileSync(join(form?.path ?? '', 'MANIFEST.txt'), 'utf8')).toMatch(/not kept\n.*\n +ping +security\.capability\n/);
    await s.recovers();
  },
);

fault('30', 'times in 1901, 1969, 2099 and to the nanosecond are kept, and prove nothing alone', {}, async (s) => {
  const times = { 'old.txt': -2_177_452_800, 'before.txt': -0.5, 'future.txt': 4_070_908_800, 'fine.txt': 1_700_000_000.123_456_7 };
  for (const [name, time] of Object.entries(times)) utimesSync(s.write(name), time, time);
  const out = await comesBack(s);
  for (const name of Object.keys(times)) expect([name, lstatSync(join(out, name)).mtimeMs]).toEqual([name, lstatSync(s.at(name)).mtimeMs]);
  // The same size and the same time with other content: only the change time tells.
  const path = s.at('future.txt');
  writeFileSync(path, readFileSync(path, 'utf8').toUpperCase());
  utimesSync(path, times['future.txt'], times['future.txt']);
  await s.cora(['save']);
  expect((await s.cora(['cat', 'latest', 'future.txt'])).stdout).toBe('FUTURE.TXT AS SAVED\n');
});

fault('31', `${SLOW ? 'a million' : '3,000'} files in one directory`, {}, async (s) => {
  await s.begin();
  mkdirSync(s.at('many'));
  const count = SLOW ? 1_000_000 : 3000;
  for (let n = 0; n < count; n++) writeFileSync(s.at(`many/file-${n}`), '');
  const run = await s.box.cora(['save']);
  s.ends(run, 0, /Saved/);
  await s.recovers();
});
