// What `cora status` and `cora health` say of copies off-site without asking a remote, and `cora status --remote`, which asks.

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isNetworkMount, mountedOn } from '../src/os/mounts.ts';
import { localDirectoryOf } from '../src/os/rclone-places.ts';
import { findProgram } from '../src/os/run.ts';
import { appendLine, readHead } from '../src/vault/chain.ts';
import { Sandbox } from './support/sandbox.ts';

type Part = { readonly have: number | null; readonly met: boolean; readonly of: readonly { readonly what: string }[]; readonly next: string | null };
type Rule = { readonly met: boolean } & Readonly<Record<'copies' | 'media' | 'offsite' | 'immutable' | 'errors', Part>>;
type Remote = Readonly<Record<string, unknown>> & { readonly place: string; readonly newest: { readonly snapshot_id: string } | null };
type Status = {
  readonly rule: Rule;
  readonly offsite: readonly Remote[];
  readonly warnings: readonly { readonly message: string; readonly next: string }[];
};
type Check = { readonly name: string; readonly level: string; readonly message: string; readonly next: string | null };

const missing = findProgram('rclone') === undefined ? ' (skipped: rclone is missing)' : '';
const DAY = 86_400_000;
const sandbox = new Sandbox();
const near = join(sandbox.root, 'near');
const otherDisk = mkdtempSync('/dev/shm/cora-fleet-');
const isOtherDisk = statSync(otherDisk).dev !== statSync(sandbox.root).dev;
const far = 'far:bucket';
const recordFile = join(sandbox.vault, 'ledger/offsite.json');

const configure = (text: string) => writeFileSync(join(sandbox.project, 'cora.toml'), text);
const remote = (...names: readonly string[]) => configure(`[offsite]\nremote = ${JSON.stringify(names)}\nenv = "prod"\n`);
const status = async () => (await sandbox.json(['status'])).result as unknown as Status;
const messages = ({ warnings }: Status) => warnings.map(({ message }) => message).join('\n');

async function check(name: string): Promise<Check | undefined> {
  const { result, error } = await sandbox.json(['health']);
  const checks = ((result ?? (error as unknown as { details: unknown }).details) as { checks: Check[] }).checks;
  return checks.find((one) => one.name === name);
}

/** A copy at a remote that no test can reach, as `cora ship` would have recorded it. */
function recorded(id: string, more: object = {}): object {
  const time = new Date().toISOString();
  const sum = 'a'.repeat(64);
  return { id, kind: 'backup', shipped_at: time, checked_at: time, bytes: 1000, files: 3, encryption: 'none', marker_sha256: sum, ...more };
}

function writeRecord(id: string, copy: object, more: object = {}): void {
  const remotes = { [far]: { env: 'prod', copies: { [`backup ${id}`]: recorded(id, copy) }, ...more } };
  writeFileSync(recordFile, JSON.stringify({ schema: 1, remotes }));
}

let backup: { readonly id: string; readonly path: string };

beforeAll(async () => {
  writeFileSync(join(sandbox.project, 'notes.md'), 'notes');
  mkdirSync(near);
  backup = await sandbox.snapshot(['backup', 'now']);
});
afterAll(async () => {
  rmSync(otherDisk, { recursive: true, force: true });
  await sandbox.remove();
});

test('without a remote the rule says what is missing and what to do, and health only notes it', async () => {
  const { rule, offsite } = await status();
  expect({ offsite, met: rule.met, copies: rule.copies.have, away: rule.offsite.have }).toEqual({ offsite: [], met: false, copies: 2, away: 0 });
  expect(rule.offsite.next).toContain('offsite.remote');
  expect(rule.errors).toMatchObject({ have: null, met: false, next: 'cora drill' });
  expect(await check('offsite')).toMatchObject({ level: 'note', message: 'No copy leaves this machine' });
});

test.skipIf(missing !== '')(`a remote that has nothing, then everything, on the same disk${missing}`, async () => {
  remote(near);
  const before = await status();
  expect(before.offsite).toMatchObject([{ remote: near, env: 'prod', place: 'same_disk', copies: 0, newest: null, unshipped: 1 }]);
  expect(messages(before)).toContain(`Nothing was ever shipped to ${near}`);
  expect(messages(before)).toContain(`${near} lies on the same disk`);
  expect((await sandbox.cora(['ship'])).code).toBe(0);
  const after = await status();
  expect(after.offsite).toMatchObject([
    { copies: 1, unshipped: 0, error: null, current: true, newest: { snapshot_id: backup.id, encryption: 'none' } },
  ]);
  // It is a third copy, and neither another medium nor away.
  expect(after.rule).toMatchObject({ copies: { have: 3, met: true }, media: { have: 1, met: false }, offsite: { have: 0, met: false } });
  expect(await check('offsite')).toMatchObject({ level: 'warning', message: expect.stringContaining('same disk') });
});

test.skipIf(missing !== '' || !isOtherDisk)(
  `another disk is another medium, and not away${missing}${isOtherDisk ? '' : ' (skipped: /dev/shm is no other disk)'}`,
  async () => {
    remote(otherDisk);
    expect((await sandbox.cora(['ship'])).code).toBe(0);
    const { rule, offsite } = await status();
    expect(offsite[0]).toMatchObject({ remote: otherDisk, place: 'disk' });
    expect(rule).toMatchObject({ media: { have: 2, met: true }, offsite: { have: 0, met: false } });
    expect(await check('offsite')).toMatchObject({ level: 'ok', message: expect.stringContaining(otherDisk) });
  },
);

test.skipIf(missing !== '')(`a try that failed is told with its reason, by status and by health, and the copy still counts${missing}`, async () => {
  remote(near);
  renameSync(near, `${near}.away`);
  try {
    expect((await sandbox.cora(['ship'])).code).toBe(12);
    const found = await status();
    expect(found.offsite[0]).toMatchObject({ place: 'missing', copies: 1, error: expect.stringContaining('not there') });
    // The place where its disk would be mounted is there, and is not it.
    mkdirSync(near);
    expect((await status()).offsite[0]).toMatchObject({ place: 'missing' });
    rmSync(near, { recursive: true });
    expect(messages(found)).toMatch(/The last try to ship to \S+ \(\d+ s ago\) failed: /);
    // What is not there now is no copy now; what was sent elsewhere by hand is one.
    expect(found.rule.copies.of.map(({ what }) => what)).not.toContain(near);
    expect(await check('offsite')).toMatchObject({ level: 'warning' });
  } finally {
    renameSync(`${near}.away`, near);
  }
  expect((await sandbox.cora(['ship'])).code).toBe(0);
  expect((await status()).offsite[0]).toMatchObject({ error: null });
});

test('a remote that is elsewhere: off-site, locked until a day, met after a drill; a copy that is too old or never opened is told', async () => {
  remote(far);
  const until = new Date(Date.now() + 30 * DAY).toISOString();
  writeRecord(backup.id, { lock: { state: 'locked', mode: 'COMPLIANCE', until } });
  expect((await sandbox.cora(['drill'])).code).toBe(0);
  const met = await status();
  expect(met.offsite).toMatchObject([{ remote: far, place: 'remote', current: true }]);
  expect(met.rule).toMatchObject({ met: true, copies: { have: 3 }, offsite: { have: 1 }, errors: { have: 0 } });
  expect(met.rule.immutable.of.map(({ what }) => what)).toContain(`locked at ${far}`);
  const { stdout } = await sandbox.cora(['status']);
  expect(stdout).toContain('3-2-1-1-0 met');
  // A drill that failed proves nothing, and is an error itself.
  const time = new Date().toISOString();
  const chain = join(sandbox.vault, 'ledger/chain.log');
  const sound = readFileSync(chain);
  appendLine(sandbox.vault, readHead(sandbox.vault), { kind: 'drill', id: backup.id, time, sums: '-', extra: 'backup,failed,-,all,-,-' });
  expect((await status()).rule).toMatchObject({ met: false, errors: { have: 1, met: false } });
  writeFileSync(chain, sound);
  expect(stdout).toContain(`locked until ${until.slice(0, 10)}`);

  writeRecord(backup.id, { encryption: 'age' });
  expect(messages(await status())).toContain(`No encrypted copy at ${far} was ever opened`);
  expect(await check('key')).toMatchObject({ level: 'note', next: 'cora key test' });
  writeRecord(backup.id, { encryption: 'age', shipped_at: new Date(Date.now() - 30 * DAY).toISOString() });
  expect(await check('key')).toMatchObject({ level: 'warning' });
  writeRecord(backup.id, { encryption: 'age' }, { opened_at: new Date().toISOString() });
  expect(await check('key')).toMatchObject({ level: 'ok' });

  // Where the run that shipped knew better: a disk behind a name that only its service can look up.
  writeRecord(backup.id, {}, { directory: sandbox.root });
  expect((await status()).offsite).toMatchObject([{ remote: far, place: 'same_disk' }]);

  // Dated in the future by a wrong clock: it tells nothing of its age.
  writeRecord('20990101-000000-nogit', {});
  expect((await status()).offsite).toMatchObject([{ copies: 1, newest: null, current: false }]);

  // Only an old copy is there, and the newest backup is not.
  writeRecord('20200101-000000-nogit', {});
  const old = await status();
  expect(old.offsite).toMatchObject([{ current: false, unshipped: 1 }]);
  expect(old.rule.copies.have).toBe(2);
  expect(messages(old)).toMatch(new RegExp(`The newest copy at ${far} is from \\d+ days ago`));
  rmSync(recordFile);
});

test('a name in the configuration of rclone that leads to a disk of this machine is not taken for away', () => {
  const config = '[disk]\ntype = alias\nremote = /mnt/disk\n[box]\ntype = crypt\nremote = disk:vault\npassword = x\n[s]\ntype = s3\n';
  const places = ['disk:a/b', 'BOX:x', 's:b', '~/x', '/y', 'nobody:z', ':local:/w', ':s3,provider=AWS:b', 'local-ish'];
  expect(places.map((place) => localDirectoryOf(place, config, '/home/u'))).toEqual([
    '/mnt/disk/a/b',
    '/mnt/disk/vault/x',
    undefined,
    '/home/u/x',
    '/y',
    undefined,
    '/w',
    undefined,
    undefined,
  ]);
  expect(localDirectoryOf('a:', '[a]\ntype = alias\nremote = b:\n[b]\ntype = alias\nremote = a:\n', undefined)).toBeUndefined();
});

test('what a directory is mounted on is told by its name alone', () => {
  expect(mountedOn('/proc/self')).toMatchObject({ type: 'proc', mountPoint: '/proc' });
  expect(mountedOn('/no/such/place')).toMatchObject({ mountPoint: '/' });
  const away = ['nfs4', 'cifs', 'smb3', 'fuse.sshfs', 'ceph', 'davfs'].map((type) => isNetworkMount({ type, source: 's', mountPoint: '/' }));
  const here = ['ext4', 'btrfs', 'fuseblk', 'overlay', 'fuse.ntfs-3g', 'autofs'].map((type) =>
    isNetworkMount({ type, source: 's', mountPoint: '/' }),
  );
  expect([new Set(away), new Set(here)]).toEqual([new Set([true]), new Set([false])]);
});

test.skipIf(missing !== '')(`--remote lists every project there, from anywhere, and names a marker that is damaged${missing}`, async () => {
  remote(near);
  await sandbox.cora(['ship']);
  const second = join(sandbox.root, 'second');
  mkdirSync(second);
  writeFileSync(join(second, 'a'), 'a');
  const env = { CORA_VAULT: join(sandbox.root, 'vault2') };
  await sandbox.cora(['backup', 'now'], { cwd: second, env });
  expect(await sandbox.cora(['ship', '--remote', near], { cwd: second, env })).toMatchObject({ code: 0 });
  const listed = await sandbox.json(['status', '--remote', near], { cwd: '/' });
  expect(listed).toMatchObject({ code: 0 });
  expect((listed.result['remotes'] as { projects: unknown }[])[0]?.projects).toMatchObject([
    { env: 'prod', project: 'project', copies: 1, encryption: 'none', newest: { snapshot_id: backup.id, status: 'complete' } },
    { env: 'second', project: 'second', copies: 1 },
  ]);
  // In the project the configured ones are looked at, and CORA_REMOTE belongs to ship.
  expect((await sandbox.cora(['status', '--remote'], { env: { CORA_REMOTE: 'x:y' } })).stdout).toMatch(/^prod +project /m);

  const marker = join(near, 'prod', `${backup.id.slice(0, 4)}-${backup.id.slice(4, 6)}-${backup.id.slice(6, 8)}`, backup.id, 'COMPLETE.json');
  const text = readFileSync(marker);
  writeFileSync(marker, text.subarray(0, 100));
  const damaged = await sandbox.json(['status', '--remote', near], { cwd: '/' });
  expect(damaged).toMatchObject({ code: 3, problems: [{ code: 'marker_damaged', path: expect.stringContaining(backup.id) }] });
  writeFileSync(marker, text);

  expect(await sandbox.json(['status', '--remote', `${near}-none`], { cwd: '/' })).toMatchObject({ code: 12, error: { code: 'remote_missing' } });
  expect(await sandbox.json(['status', '--remote', ':local:/'], { cwd: '/' })).toMatchObject({ code: 2 });
  expect(await sandbox.json(['status', near])).toMatchObject({ code: 2 });
});
