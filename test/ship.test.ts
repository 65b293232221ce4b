// `cora ship` to a directory on this machine: what lies there, what is claimed, and what is refused. Faults of real servers are in
// offsite/ship-faults.test.ts, S3 and other kinds of remote in test/offsite/.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { Sandbox } from './support/sandbox.ts';

let sandbox: Sandbox;
let nas: string;

beforeEach(() => {
  sandbox = new Sandbox({ fast: true });
  nas = join(sandbox.root, 'nas');
  mkdirSync(nas);
  write('a.txt', 'hello');
});

afterEach(() => sandbox.remove());

let keys = 0;
const skipped = findProgram('rclone') === undefined;
const withAge = findProgram('age') === undefined ? 'age is missing' : undefined;

function write(name: string, text: string | Buffer): void {
  mkdirSync(join(sandbox.project, name, '..'), { recursive: true });
  writeFileSync(join(sandbox.project, name), text);
}

function configure(lines: string, extra = ''): void {
  write('cora.toml', `${extra}[offsite]\nremote = ${JSON.stringify(nas)}\nenv = "prod"\n${lines}\n`);
}

function filesAt(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

function copyOf(id: string): string {
  return join(nas, 'prod', `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`, id);
}

const marker = (id: string) => JSON.parse(readFileSync(join(copyOf(id), 'COMPLETE.json'), 'utf8')) as Record<string, unknown>;
const chain = () => readFileSync(join(sandbox.vault, 'ledger/chain.log'), 'utf8');

function identity(): { readonly file: string; readonly recipient: string } {
  const file = join(sandbox.root, `key-${keys++}.txt`);
  execFileSync('age-keygen', ['-o', file], { stdio: 'ignore' });
  return { file, recipient: execFileSync('age-keygen', ['-y', file]).toString().trim() };
}

test.skipIf(skipped)('a copy in the clear holds the files of the backup, and a marker that tells whose it is', async () => {
  configure('');
  const { id, path } = await sandbox.snapshot(['backup', 'now', '--no-ship']);
  expect(filesAt(nas)).toEqual([]);
  const run = await sandbox.json(['ship']);
  expect(run).toMatchObject({ code: 0, result: { remotes: [{ remote: nas, env: 'prod', already_there: 0, unshipped: [], error: null }] } });
  const { 'COMPLETE.json': complete, ...files } = Object.fromEntries(
    filesAt(copyOf(id)).map((name) => [name, readFileSync(join(copyOf(id), name)).toString('hex')]),
  );
  expect(complete).toBeDefined();
  expect(files).toEqual(Object.fromEntries(filesAt(path).map((name) => [name, readFileSync(join(path, name)).toString('hex')])));
  expect(marker(id)).toMatchObject({
    format: 1,
    env: 'prod',
    snapshot_id: id,
    kind: 'backup',
    encryption: 'none',
    files: Object.keys(files).length,
    objects: [],
  });
  expect(chain()).toMatch(new RegExp(`^\\d+ ship ${id} `, 'm'));
  expect((await sandbox.cora(['verify', '--chain'])).code).toBe(0);
});

test.skipIf(skipped)('backup now ships what it made; what is there is not sent again', async () => {
  configure('');
  const { id } = await sandbox.snapshot(['backup', 'now']);
  const before = JSON.stringify(marker(id));
  expect(await sandbox.json(['ship'])).toMatchObject({ code: 0, result: { remotes: [{ already_there: 1, shipped: [] }] } });
  expect(JSON.stringify(marker(id))).toBe(before);
});

test.skipIf(skipped)('where the directory is not there the backup stands and the exit code is 12; the next run sends it', async () => {
  configure('');
  renameSync(nas, `${nas}-away`);
  const run = await sandbox.json(['backup', 'now']);
  expect(run).toMatchObject({ code: 12, ok: true, result: { outcome: 'made' }, problems: [{ code: 'ship_failed', severity: 'error' }] });
  expect(existsSync(nas)).toBe(false);
  const id = String(run.result['snapshot_id']);
  expect(chain()).not.toContain(' ship ');
  renameSync(`${nas}-away`, nas);
  expect((await sandbox.cora(['ship'])).code).toBe(0);
  expect(marker(id)).toMatchObject({ snapshot_id: id });
});

test.skipIf(skipped)('secrets do not leave in the clear: 20, and nothing is at the remote', async () => {
  write('.env', 'KEY=1');
  write('deep/server.pem', 'x');
  configure('');
  const { id } = await sandbox.snapshot(['backup', 'now', '--no-ship']);
  const run = await sandbox.cora(['ship']);
  expect([run.code, run.stderr]).toEqual([20, expect.stringMatching(/\.env.*deep\/server\.pem.*in the clear.*cora key new/)]);
  expect(filesAt(nas)).toEqual([]);
  configure('allow_plaintext = true');
  expect((await sandbox.cora(['ship'])).code).toBe(0);
  expect(existsSync(join(copyOf(id), 'critical/.env'))).toBe(true);
});

test.skipIf(skipped || withAge !== undefined)(
  'encrypted copies hold no name and no byte of the project, and open with age, tar and coreutils',
  async () => {
    const { file, recipient } = identity();
    write('.env', 'CANARY_VALUE_77');
    write('CANARY_NAME.md', 'x');
    configure(`recipients = ["${recipient}"]`);
    const { id, path } = await sandbox.snapshot(['backup', 'now']);
    const at = copyOf(id);
    const names = filesAt(at);
    expect(names).toEqual(['COMPLETE.json', 'OBJECTS.sha256', 'archive.tar.gz.age', 'critical.tar.age', 'records.tar.age']);
    for (const name of names) expect(readFileSync(join(at, name)).includes('CANARY'), name).toBe(false);
    const hand = join(sandbox.root, 'hand');
    mkdirSync(hand);
    const shell = `set -eu; (cd "$AT"; sha256sum -c OBJECTS.sha256); for t in "$AT"/*.tar.age; do age -d -i "$KEY" "$t" | tar -x; done
    age -d -i "$KEY" "$AT/archive.tar.gz.age" > "$(basename "$PROJECT")-full.tar.gz"; sha256sum -c SHA256SUMS.txt`;
    execFileSync('sh', ['-c', shell], { cwd: hand, env: { ...process.env, AT: at, KEY: file, PROJECT: sandbox.project }, stdio: 'ignore' });
    for (const name of filesAt(path)) expect(readFileSync(join(hand, name)).equals(readFileSync(join(path, name))), name).toBe(true);
    expect(marker(id)).toMatchObject({ encryption: 'age', recipients: [recipient] });
  },
);

test.skipIf(skipped || withAge !== undefined)(
  '--check finds an altered object, a deleted one and a marker that is gone: 21, and the next run mends each',
  async () => {
    const { recipient } = identity();
    for (const lines of ['', `recipients = ["${recipient}"]`]) {
      const env = lines === '' ? 'plain' : 'locked';
      write('cora.toml', `[offsite]\nremote = ${JSON.stringify(nas)}\nenv = "${env}"\n${lines}\n`);
      const { id } = await sandbox.snapshot(['backup', 'now']);
      const at = copyOf(id).replace('/prod/', `/${env}/`);
      const archive = join(at, readdirSync(at).find((name) => name.includes('tar.gz')) ?? '');
      const all = [() => flip(archive), () => rmSync(archive), () => rmSync(join(at, 'COMPLETE.json'))];
      const faults = lines === '' ? all.slice(0, 1) : all;
      for (const fault of faults) {
        fault();
        const check = await sandbox.json(['ship', '--check']);
        expect(check).toMatchObject({ code: 21, error: { code: 'damaged' } });
        expect(await sandbox.json(['ship'])).toMatchObject({ code: 0, result: { remotes: [{ unshipped: [], error: null }] } });
        expect((await sandbox.cora(['ship', '--check'])).code).toBe(0);
      }
    }
  },
);

function flip(path: string): void {
  const content = readFileSync(path);
  const at = content.length >> 1;
  content[at] = (content[at] ?? 0) ^ 1;
  writeFileSync(path, content);
}

test.skipIf(skipped)('what is lost at the remote is seen without --check, and sent again', async () => {
  configure('');
  const { id } = await sandbox.snapshot(['backup', 'now']);
  rmSync(join(copyOf(id), 'REPORT.json'));
  const run = await sandbox.json(['ship']);
  expect(run).toMatchObject({ code: 0, problems: [{ code: 'copy_lost' }], result: { remotes: [{ shipped: [{ snapshot_id: id }] }] } });
  expect(existsSync(join(copyOf(id), 'REPORT.json'))).toBe(true);
});

test.skipIf(skipped)('an env of another vault is refused with 20, and nothing is written there', async () => {
  configure('');
  await sandbox.snapshot(['backup', 'now']);
  const other = new Sandbox();
  try {
    writeFileSync(join(other.project, 'x'), 'x');
    writeFileSync(join(other.project, 'cora.toml'), `[offsite]\nremote = ${JSON.stringify(nas)}\nenv = "prod"\n`);
    await other.snapshot(['backup', 'now', '--no-ship']);
    const before = filesAt(nas);
    const run = await other.cora(['ship']);
    expect([run.code, run.stderr]).toEqual([20, expect.stringContaining('prod')]);
    expect(filesAt(nas)).toEqual(before);
  } finally {
    await other.remove();
  }
});

test.skipIf(skipped)('a lost or damaged record claims nothing: what is at the remote is read back and counts again', async () => {
  configure('');
  const { id } = await sandbox.snapshot(['backup', 'now']);
  writeFileSync(join(sandbox.vault, 'ledger/offsite.json'), '{"schema":1,"remo');
  expect((await sandbox.cora(['ship', '--check'])).code).toBe(2);
  expect(await sandbox.json(['ship'])).toMatchObject({ code: 0, result: { remotes: [{ shipped: [{ snapshot_id: id }] }] } });
  expect((await sandbox.cora(['ship', '--check'])).code).toBe(0);
});

test.skipIf(skipped)('a damaged backup is not sent (21), and keeps no other from leaving', async () => {
  write('cora.toml', 'seal = "off"\n');
  const first = await sandbox.snapshot(['backup', 'now']);
  write('a.txt', 'changed');
  const second = await sandbox.snapshot(['backup', 'now']);
  configure('', 'seal = "off"\n');
  const archive = readdirSync(second.path).find((name) => name.endsWith('.tar.gz')) ?? '';
  const damaged = readFileSync(join(second.path, archive));
  execFileSync('chmod', ['600', join(second.path, archive)]);
  writeFileSync(join(second.path, archive), damaged.fill(1, 20, 24));
  const run = await sandbox.json(['ship']);
  expect(run).toMatchObject({ code: 21, error: { code: 'damaged' } });
  expect(existsSync(join(copyOf(first.id), 'COMPLETE.json'))).toBe(true);
  expect(existsSync(join(copyOf(second.id), 'COMPLETE.json'))).toBe(false);
});

test.skipIf(skipped)('names that a list of sums cannot hold arrive whole, and a change in one of them is found', async () => {
  write('cora.toml', `[critical]\npatterns = ["odd/**"]\n[offsite]\nremote = ${JSON.stringify(nas)}\nenv = "prod"\n`);
  for (const name of ['new\nline', 'back\\slash', 'end ', ' begin', 'ünï', 'a;b$c', "quo'te"]) write(`odd/${name}`, name);
  writeFileSync(Buffer.concat([Buffer.from(`${sandbox.project}/odd/`), Buffer.from([0x62, 0xff])]), 'not utf-8');
  const { id, path } = await sandbox.snapshot(['backup', 'now']);
  execFileSync('diff', ['-r', '-x', 'COMPLETE.json', path, copyOf(id)]);
  expect((await sandbox.cora(['ship', '--check'])).code).toBe(0);
  writeFileSync(join(copyOf(id), 'critical/odd/end '), 'END ');
  expect((await sandbox.cora(['ship', '--check'])).code).toBe(21);
  expect((await sandbox.cora(['ship'])).code).toBe(0);
  execFileSync('diff', ['-r', '-x', 'COMPLETE.json', path, copyOf(id)]);
});

test.skipIf(skipped)('saves go where they are wanted, each complete with its marker', async () => {
  configure('saves = true');
  const { id } = await sandbox.snapshot(['save']);
  expect((await sandbox.cora(['ship'])).code).toBe(0);
  const at = join(nas, 'prod/progress', `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`, id);
  expect(filesAt(at)).toContain('COMPLETE.json');
  expect(filesAt(at)).toContain('objects.tar.zst');
});

test.skipIf(skipped)('a repository cannot send its clone to a connection string, nor can --remote', async () => {
  write('cora.toml', '[offsite]\nremote = ":webdav,url=http://127.0.0.1:9:"\n');
  expect((await sandbox.cora(['backup', 'now'])).stderr).toMatch(/connection string/);
  write('cora.toml', '');
  await sandbox.snapshot(['backup', 'now']);
  const run = await sandbox.cora(['ship', '--remote', ':local:/tmp/x']);
  expect([run.code, run.stderr]).toEqual([2, expect.stringContaining('connection string')]);
});

test.skipIf(skipped)('two runs at once: one ships, the other waits or ends with 11', async () => {
  configure('');
  await sandbox.snapshot(['backup', 'now', '--no-ship']);
  const runs = await Promise.all([sandbox.cora(['ship', '--lock-wait', '0s']), sandbox.cora(['ship', '--lock-wait', '0s'])]);
  expect(runs.map(({ code }) => code).every((code) => code === 0 || code === 11)).toBe(true);
  expect(runs.some(({ code }) => code === 0)).toBe(true);
});

test.skipIf(skipped)('a record that cannot be written ends with the code of what is wrong, and the next run ships', async () => {
  configure('');
  await sandbox.snapshot(['backup', 'now', '--no-ship']);
  const inTheWay = join(sandbox.vault, 'ledger/offsite.json.new');
  mkdirSync(inTheWay);
  expect(await sandbox.json(['ship'])).toMatchObject({ code: 1, error: { code: 'io' } });
  rmdirSync(inTheWay);
  expect(await sandbox.json(['ship'])).toMatchObject({ code: 0, result: { remotes: [{ unshipped: [], error: null }] } });
  expect(await sandbox.json(['prune'])).toMatchObject({ code: 0, result: { unparseable: [] } });
});

test.skipIf(skipped || withAge !== undefined)("a machine file's key that wins over the project's own is said", async () => {
  const { recipient } = identity();
  const other = identity().recipient;
  configure(`recipients = ["${recipient}"]`);
  mkdirSync(join(sandbox.home, '.config/cora'), { recursive: true });
  writeFileSync(join(sandbox.home, '.config/cora/project.toml'), `[offsite]\nrecipients = ["${other}"]\n`);
  const run = await sandbox.cora(['backup', 'now']);
  expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(/recipients.* win over/)]);
});
