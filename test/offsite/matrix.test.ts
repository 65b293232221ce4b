// Every kind of remote, with one small file, one of 300 MB (several parts on S3) and 2,000 small ones, in the clear and encrypted: shipped,
// read back, and recovered on what counts as another machine, byte for byte. The real servers are Ceph's and Swift's S3.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { heavy } from '../support/heavy.ts';
import { claimed, configureOffsite, copyPath, ENV, fillProject } from '../support/offsite.ts';
import { bucketRemote, cryptRemote, localRemote, type Remote, servedRemote, whyNoRclone } from '../support/remotes.ts';
import { execute, isRoot, Sandbox } from '../support/sandbox.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
const whyNoAge = ['age', 'age-keygen'].some((name) => findProgram(name) === undefined) ? 'age is missing' : undefined;

const START: Readonly<Record<string, (sandbox: Sandbox) => Promise<Remote> | Remote | string>> = {
  ceph: (sandbox) => started(sandbox, 'ceph'),
  swift: (sandbox) => started(sandbox, 'swift'),
  webdav: (sandbox) => servedRemote(sandbox, 'webdav'),
  sftp: (sandbox) => servedRemote(sandbox, 'sftp'),
  crypt: cryptRemote,
  local: localRemote,
};

function started(sandbox: Sandbox, kind: 'ceph' | 'swift'): Promise<Remote> | string {
  const server = heavy(kind);
  return typeof server === 'string' ? server : bucketRemote(sandbox, kind, server);
}

type Size = { readonly what: string; readonly bytes: number; readonly files: number };
const SIZES: readonly Size[] = [
  { what: '1 MB', bytes: 1_000_000, files: 3 },
  { what: '2,000 small files', bytes: 0, files: 2000 },
  { what: '300 MB', bytes: 300_000_000, files: 3 },
];

/** What runs without CORA_TEST_SLOW=1: everything small, and of the rest what differs most: objects by the thousand, and parts. */
const OFTEN: Readonly<Record<string, readonly string[]>> = {
  '2,000 small files': ['ceph plain', 'local plain', 'webdav encrypted'],
  '300 MB': ['ceph plain', 'ceph encrypted'],
};

describe.each(SIZES)('$what', (size) => {
  let sandbox: Sandbox;
  let id = '';
  let identity = '';
  let recipient = '';

  beforeAll(async () => {
    sandbox = new Sandbox();
    fillProject(sandbox, size);
    configureOffsite(sandbox, []);
    if (whyNoAge === undefined) {
      identity = join(sandbox.root, 'key.txt');
      execFileSync('age-keygen', ['-o', identity], { stdio: 'ignore' });
      recipient = execFileSync('age-keygen', ['-y', identity]).toString().trim();
    }
    ({ id } = await sandbox.snapshot(['backup', 'now', '--no-ship']));
  });
  afterAll(() => sandbox.remove());

  test.for(Object.keys(START).flatMap((kind) => (['plain', 'encrypted'] as const).map((mode) => ({ kind, mode }))))(
    '$kind, $mode: shipped, read back, recovered, the same bytes',
    async ({ kind, mode }, context) => {
      if (whyNoRclone !== undefined) return context.skip(whyNoRclone);
      if (mode === 'encrypted' && whyNoAge !== undefined) return context.skip(whyNoAge);
      if (!slow && OFTEN[size.what]?.includes(`${kind} ${mode}`) === false) return context.skip('with CORA_TEST_SLOW=1');
      const remote = await START[kind]?.(sandbox);
      if (remote === undefined || typeof remote === 'string') return context.skip(remote ?? '');
      const times: number[] = [];
      const timed = async (args: readonly string[], options = {}) => {
        const start = performance.now();
        const run = await sandbox.cora(args, options);
        times.push(Math.round(performance.now() - start) / 1000);
        expect([run.code, run.stderr]).toEqual([0, expect.anything()]);
        return run;
      };
      try {
        configureOffsite(sandbox, [remote], 'after_backup = false', ...(mode === 'plain' ? [] : [`recipients = ["${recipient}"]`]));
        await timed(['ship']);
        expect(claimed(sandbox, remote)).toEqual([id]);
        const there = await remote.files(copyPath(id));
        expect(there).toContain('COMPLETE.json');
        expect(there).toContain(mode === 'plain' ? 'project-full.tar.gz' : 'archive.tar.gz.age');
        if (mode === 'encrypted') expect(there.join()).not.toMatch(/big\.bin|project/);
        await timed(['ship', '--check']);

        const elsewhere = join(sandbox.root, 'elsewhere');
        mkdirSync(elsewhere);
        const env = { CORA_VAULT: join(elsewhere, 'vault'), CORA_LOG: '', XDG_STATE_HOME: join(elsewhere, 'state') };
        const target = join(elsewhere, 'project');
        const keys = mode === 'plain' ? [] : ['--identity', identity];
        await timed(['recover', remote.spec, '--latest', '--env', ENV, '--to', target, ...keys], { env, cwd: elsewhere });
        rmSync(join(sandbox.project, 'cora.toml'));
        rmSync(join(target, 'cora.toml'));
        const difference = await execute('diff', ['-r', '--no-dereference', sandbox.project, target]);
        expect(difference).toEqual({ code: 0, stdout: '', stderr: '' });
        // Seconds of ship, check and recover, for who wants them.
        if (process.env['CORA_TEST_TIMES'] !== undefined)
          writeFileSync(process.env['CORA_TEST_TIMES'], `${size.what} ${kind} ${mode} ${times.join(' ')}\n`, { flag: 'a' });
      } finally {
        await remote.stop();
        // What was recovered has a vault that is sealed.
        const left = ['elsewhere', 'crypt', 'disk'].map((name) => join(sandbox.root, name)).filter((path) => existsSync(path));
        if (isRoot) await execute('chattr', ['-R', '-f', '-ia', '--', ...left]);
        await execute('rm', ['-rf', '--', ...left]);
        writeFileSync(join(sandbox.project, 'cora.toml'), '');
        rmSync(join(sandbox.vault, 'ledger', 'offsite.json'), { force: true });
      }
    },
  );
});
