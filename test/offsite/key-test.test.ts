// `cora key test`: a real encrypted copy at a real remote, opened with the key as a person keeps it. What is damaged, missing or
// made for another key is told apart, and only what opened is recorded.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram, runSync } from '../../src/os/run.ts';
import { keyTestAt } from '../support/key-flow.ts';
import { cryptRemote, s3Remote, servedRemote, whyNoRclone } from '../support/remotes.ts';
import { Sandbox } from '../support/sandbox.ts';

const missing = ['rclone', 'tar'].find((name) => findProgram(name) === undefined);

const SLOW = process.env['CORA_TEST_SLOW'] === '1';

describe.skipIf(missing !== undefined)(`cora key test${missing === undefined ? '' : ` (skipped: ${missing} is missing)`}`, () => {
  const box = new Sandbox();
  const remote = join(box.root, 'nas');
  const identity = join(box.home, '.config/cora/keys/project.txt');
  let copy = '';
  let secret = '';
  const chain = () => readFileSync(join(box.vault, 'ledger/chain.log'), 'utf8');

  beforeAll(async () => {
    mkdirSync(remote);
    writeFileSync(
      join(box.project, 'big.bin'),
      Buffer.alloc(2_000_000, 'not zeros, and it must not compress to nothing').map((byte, at) => (byte * at) % 251),
    );
    writeFileSync(join(box.project, '.env'), 'PASSWORD=x\n');
    writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${remote}"\n`);
    const { recipient } = (await box.json(['key', 'new'])).result as { readonly recipient: string };
    secret = /^AGE-SECRET-KEY.*$/m.exec(readFileSync(identity, 'utf8'))?.[0] ?? '';
    expect((await box.json(['key', 'test'])).error.code).toBe('not_found');
    writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${remote}"\nrecipients = ["${recipient}"]\n`);
    const { id } = await box.snapshot(['backup', 'now']);
    copy = join(remote, 'vault', `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`, id);
    if (!existsSync(copy)) copy = join(remote, readdirSync(remote)[0] ?? '', `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`, id);
    expect(readdirSync(copy)).toContain('COMPLETE.json');
  });
  afterAll(() => box.remove());

  test('opens the newest copy, and says so in the ledger', async () => {
    const run = await box.json(['key', 'test']);
    expect(run.code, JSON.stringify(run)).toBe(0);
    const [only] = run.result['tests'] as readonly {
      readonly recorded: boolean;
      readonly objects: readonly { name: string; bytes: number; whole: boolean }[];
    }[];
    expect(only?.recorded).toBe(true);
    expect(only?.objects.find(({ name }) => name === 'records.tar.age')?.whole).toBe(true);
    expect(only?.objects.find(({ name }) => name === 'archive.tar.gz.age')).toMatchObject({ whole: false, bytes: 262_144 });
    expect(chain()).toMatch(/ key-test \d{8}-\d{6}-nogit .*%2Chead\n$/);
    expect(readFileSync(join(box.vault, 'ledger/offsite.json'), 'utf8')).toContain('"opened_at"');
    expect((await box.cora(['verify', '--chain'])).code).toBe(0);
  });

  test('--deep opens everything', async () => {
    const run = await box.json(['key', 'test', '--deep']);
    const [only] = run.result['tests'] as readonly { readonly objects: readonly { readonly whole: boolean }[] }[];
    expect(only?.objects.every(({ whole }) => whole)).toBe(true);
    expect(chain()).toMatch(/%2Call\n$/);
  });

  test('works on a machine without project, vault or configuration, from the paper key', async () => {
    const elsewhere = join(box.root, 'other-machine');
    mkdirSync(elsewhere);
    const paper = join(elsewhere, 'typed.txt');
    writeFileSync(paper, (await box.cora(['key', 'show', '--secret'])).stdout, { mode: 0o600 });
    const env = { HOME: elsewhere, CORA_VAULT: join(elsewhere, 'no-vault') };
    const run = await box.json(['key', 'test', '--remote', remote, '--identity', paper], { cwd: '/', env });
    expect(run.code, JSON.stringify(run)).toBe(0);
    expect(run.result['tests']).toMatchObject([{ recorded: false }]);
    expect(existsSync(join(elsewhere, 'no-vault'))).toBe(false);
    mkdirSync(join(elsewhere, '.config/cora/keys'), { recursive: true });
    expect((await box.json(['key', 'test', '--remote', remote], { cwd: '/', env })).error.code).toBe('not_found');
    const kept = join(elsewhere, '.config/cora/keys/any-name.txt');
    copyFileSync(paper, kept);
    writeFileSync(join(elsewhere, '.config/cora/keys/notes.txt'), 'no key', { mode: 0o600 });
    const found = await box.json(['key', 'test', '--remote', remote], { cwd: '/', env });
    expect(found.result['tests']).toMatchObject([{ identity: kept }]);
    expect(found.problems).toMatchObject([{ code: 'identity_skipped', severity: 'warning' }]);
  });

  test('another key is refused, and nothing is recorded', async () => {
    const other = join(box.root, 'other.txt');
    await box.cora(['key', 'new', '--out', other]);
    const before = chain();
    const run = await box.json(['key', 'test', '--identity', other]);
    expect(`${run.code} ${run.error.code}`).toBe('20 key_wrong');
    expect(chain()).toBe(before);
  });

  const CASES = [
    ['altered at its head', 'archive.tar.gz.age', (path: string) => alter(path, 300), [], 21],
    ['altered far behind', 'archive.tar.gz.age', (path: string) => alter(path, -1000), ['--deep'], 21],
    ['cut', 'archive.tar.gz.age', (path: string) => truncateSync(path, 100_000), [], 21],
    ['missing', 'archive.tar.gz.age', (path: string) => rmSync(path), [], 21],
    ['altered', 'records.tar.age', (path: string) => alter(path, -1), [], 21],
    ['missing', 'records.tar.age', (path: string) => rmSync(path), [], 21],
    ['empty', 'critical.tar.age', (path: string) => truncateSync(path, 0), [], 21],
  ] as const;
  // The quick run has what an S3 server answers, below.
  test.skipIf(!SLOW).each(CASES)(
    `an object that is %s is found: %s${SLOW ? '' : ' (skipped: CORA_TEST_SLOW is not 1)'}`,
    async (_what, name, damage, flags, code) => {
      const path = join(copy, name);
      const kept = join(box.root, 'kept');
      copyFileSync(path, kept);
      const before = chain();
      damage(path);
      const run = await box.json(['key', 'test', ...flags]);
      copyFileSync(kept, path);
      expect(`${run.code} ${run.error.code}`).toBe(`${code} damaged`);
      expect(JSON.stringify(run)).toContain(name);
      expect(chain()).toBe(before);
    },
  );

  test('a remote that is not there ends with 12', async () => {
    expect((await box.cora(['key', 'test', '--remote', join(box.root, 'unmounted')])).code).toBe(12);
  });

  test('the secret is in no file of the vault, the remote, the log or the project, and nothing stays behind', () => {
    const found = runSync('/bin/grep', ['-rlF', secret.slice(0, 40), box.vault, remote, box.project, join(box.root, 'cora.log')]);
    expect(found.stdout.toString()).toBe('');
    expect(readdirSync(join(box.vault, '.stage')).filter((name) => name.startsWith('run-'))).toEqual([]);
  });
});

function alter(path: string, at: number): void {
  const content = readFileSync(path);
  const place = at < 0 ? content.length + at : at;
  content[place] = (content[place] ?? 0) ^ 1;
  writeFileSync(path, content);
}

const SERVED = ['s3', 'crypt', 'webdav', 'sftp'] as const;

describe.skipIf(whyNoRclone !== undefined)(`at remotes${whyNoRclone === undefined ? '' : ` (skipped: ${whyNoRclone})`}`, () => {
  test.each(SERVED.filter((kind) => SLOW || kind === 's3'))('%s: whole, altered, cut off and gone are told apart', async (kind) => {
    const sandbox = new Sandbox();
    const remote = kind === 's3' ? await s3Remote(sandbox) : kind === 'crypt' ? cryptRemote(sandbox) : await servedRemote(sandbox, kind);
    try {
      await keyTestAt(remote, sandbox);
    } finally {
      await remote.stop();
      await sandbox.remove();
    }
  });
});
