// A remote that somebody else may write to, and a repository that somebody else wrote: what they say leads nowhere that the user
// did not name. The copies are real ones, changed and summed again as whoever holds the remote could.

import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatComplete, parseComplete } from '../src/format/complete.ts';
import { parseRow } from '../src/format/file-list.ts';
import { whyNoReport } from '../src/format/report-shape.ts';
import { findProgram } from '../src/os/run.ts';
import { sampleReport } from './support/sample-report.ts';
import { execute, isRoot, Sandbox } from './support/sandbox.ts';

const skipped = findProgram('rclone') === undefined;
const box = new Sandbox({ fast: true });
const pristine = join(box.root, 'pristine');
let id: string;
let number = 0;

const configure = (lines: string) => writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${pristine}"\nenv = "prod"\n${lines}\n`);
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

beforeAll(async () => {
  if (skipped) return;
  mkdirSync(pristine);
  mkdirSync(join(box.project, 'docs'));
  writeFileSync(join(box.project, 'docs/a.txt'), 'a');
  configure('');
  id = (await box.snapshot(['backup', 'now'])).id;
});
afterAll(() => box.remove());

const messageOf = (run: { readonly error?: object | null }) => (run.error as { message?: string } | undefined)?.message;

/** A remote of its own whose copy was changed, with sums that fit, and a machine that has nothing. */
class Forged {
  readonly root = join(box.root, `forged-${number++}`);
  readonly remote = join(this.root, 'remote');
  readonly copy: string;

  constructor() {
    mkdirSync(join(this.root, 'home'), { recursive: true });
    cpSync(pristine, this.remote, { recursive: true });
    this.copy = join(this.remote, `prod/${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}/${id}`);
  }

  listing(change: (rows: string) => string): this {
    const path = join(this.copy, 'FILES.tsv.gz');
    writeFileSync(path, gzipSync(change(gunzipSync(readFileSync(path)).toString())));
    return this;
  }

  report(change: (report: Record<string, never>) => object): this {
    const path = join(this.copy, 'REPORT.json');
    const report = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...report, ...change(report) }));
    return this;
  }

  seal(): void {
    const files = readdirSync(this.copy, { recursive: true, encoding: 'utf8' })
      .filter((name) => !['COMPLETE.json', 'SHA256SUMS.txt'].includes(name) && statSync(join(this.copy, name)).isFile())
      .sort();
    const sums = join(this.copy, 'SHA256SUMS.txt');
    writeFileSync(sums, files.map((name) => `${sha256(join(this.copy, name))}  ${name}\n`).join(''));
    const marker = join(this.copy, 'COMPLETE.json');
    writeFileSync(marker, formatComplete({ ...parseComplete(readFileSync(marker, 'utf8'), marker), sums_sha256: sha256(sums) }));
  }

  recover(vault = join(this.root, 'vault')) {
    this.seal();
    return box.json(['recover', this.remote, '--to', join(this.root, 'to/back')], {
      cwd: '/',
      env: { HOME: join(this.root, 'home'), CORA_VAULT: vault, CORA_LOG: join(this.root, 'log') },
    });
  }

  /** What lies in this machine's directory that is not ours. */
  escaped(): string[] {
    return readdirSync(this.root, { recursive: true, encoding: 'utf8' }).filter((name) => /EVIL/.test(name) && !name.startsWith('vault/'));
  }
}

const row = (type: string, path: string, link = '-', mode = '0755') => `${type}\t${mode}\t0\t0\t1795271952.000000000\t0\t-\t${path}\t${link}\n`;

test.skipIf(skipped)('a listing with a link below a link writes nothing to where it leads', async () => {
  const forged = new Forged();
  forged.listing((text) => text + row('l', 'aa', join(forged.root, 'home')) + row('l', 'aa/EVIL', '/etc'));
  const run = await forged.recover();
  expect([run.code, run.error?.code, messageOf(run)]).toEqual([21, 'damaged', expect.stringContaining('below a link')]);
  expect(forged.escaped()).toEqual([]);
});

test.skipIf(skipped)('an archive whose directory is a link moves nothing out of where it leads', async () => {
  const forged = new Forged();
  const archive = join(forged.copy, readdirSync(forged.copy).find((name) => name.endsWith('-full.tar.gz')) ?? '');
  const elsewhere = join(forged.root, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'a.txt'), 'a');
  const tree = join(forged.root, 'tree');
  await execute('/bin/sh', ['-ec', `mkdir ${tree}; tar -xzf ${archive} -C ${tree}; rm -r ${tree}/docs; ln -s ${elsewhere} ${tree}/docs`]);
  expect((await execute('tar', ['-czf', archive, '-C', tree, '.'])).code).toBe(0);
  const run = await forged.recover();
  expect([run.code, messageOf(run)]).toEqual([21, expect.stringContaining('link where the listing has the directory docs')]);
  expect(readFileSync(join(elsewhere, 'a.txt'), 'utf8')).toBe('a');
});

test.skipIf(skipped)('a report that is none makes the copy damaged, and no vault', async () => {
  const forged = new Forged().report(() => ({ project: { name: '../../x', root: '/srv' } }));
  const run = await forged.recover();
  expect([run.code, messageOf(run)]).toEqual([21, expect.stringContaining('(project.name)')]);
  expect(existsSync(join(forged.root, 'vault'))).toBe(false);
});

test('what a report may not say', () => {
  const git = { sha: '', branch: null, detached: false, remotes: [] };
  const [database] = [{ path: 'a.db', stored: 'copy', journal_mode: 'wal', rows: 1, size: 1 }];
  expect(whyNoReport(sampleReport())).toBe(undefined);
  expect(whyNoReport({ ...sampleReport(), git: { ...git, bundle: 'app.bundle' }, databases: [database] })).toBe(undefined);
  for (const [key, change] of [
    ['git.bundle', { git: { ...git, bundle: '../../../etc/passwd' } }],
    ['git.sha', { git: { ...git, sha: '--index-output=/x' } }],
    ['sequence', { sequence: '7' }],
    ['sequence', { sequence: 2 ** 53 }],
    ['databases', { databases: null }],
    ['databases.0.path', { databases: [{ ...database, path: '../a.db' }] }],
    ['project.root', { project: { name: 'app', root: 'srv' } }],
    ['backup_start', { backup_start: 'never' }],
  ] as const)
    expect(whyNoReport({ ...sampleReport(), ...change }), key).toBe(key);
});

test.skipIf(skipped)('a vault that had the backup knows that a forged copy of it is none', async () => {
  const forged = new Forged().report(() => ({ note: 'forged' }));
  const vault = join(forged.root, 'vault');
  cpSync(box.vault, vault, { recursive: true });
  if (isRoot) await execute('chattr', ['-R', '-f', '-i', vault]);
  rmSync(join(vault, id), { recursive: true });
  const meta = join(vault, 'VAULT.json');
  writeFileSync(meta, readFileSync(meta, 'utf8').replaceAll(box.project, join(forged.root, 'gone')));
  const run = await forged.recover(vault);
  expect([run.code, messageOf(run)]).toEqual([21, expect.stringContaining('the ledger of')]);
});

test.skipIf(skipped)('a marker of gigabytes is named and not fetched; one of odd values is no copy', async () => {
  const forged = new Forged();
  const other = forged.copy.replace(id, `${id.slice(0, 15)}-abcdef0`);
  mkdirSync(other);
  writeFileSync(join(other, 'COMPLETE.json'), '');
  truncateSync(join(other, 'COMPLETE.json'), 5 * 1024 ** 3);
  const run = await box.json(['recover', forged.remote, '--list'], { cwd: '/' });
  const { copies, damaged } = run.result as { copies: object[]; damaged: { reason: string }[] };
  expect([copies.length, damaged.map(({ reason }) => reason)]).toEqual([1, [expect.stringContaining('more bytes than a marker')]]);
  const complete = JSON.parse(readFileSync(join(forged.copy, 'COMPLETE.json'), 'utf8'));
  for (const change of [{ chain: { ...complete.chain, sequence: 2 ** 53 - 1 } }, { host: 'x'.repeat(5000) }, { shipped_at: 'soon' }])
    expect(() => parseComplete(JSON.stringify({ ...complete, ...change }), 'x'), JSON.stringify(change).slice(0, 40)).toThrow(/not valid/);
});

test.skipIf(skipped)('copies that nothing here knows of, newer than ours, let ship --prune take none of ours', async () => {
  const remote = join(box.root, 'shared');
  const record = join(box.vault, 'ledger/offsite.json');
  const before = readFileSync(record, 'utf8');
  const year = Number(id.slice(0, 4)) - 1;
  const ids = ['0101', '0201', '0301'].map((day) => `${year}${day}-000000-abcdef0`);
  cpSync(pristine, remote, { recursive: true });
  const known = JSON.parse(before).remotes[pristine];
  const ours = known.copies[`backup ${id}`];
  for (const one of ids) {
    const to = join(remote, 'prod', `${one.slice(0, 4)}-${one.slice(4, 6)}-${one.slice(6, 8)}`, one);
    cpSync(join(remote, 'prod', `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`, id), to, { recursive: true });
    const marker = join(to, 'COMPLETE.json');
    const start = `${one.slice(0, 4)}-${one.slice(4, 6)}-01T00:00:00Z`;
    writeFileSync(
      marker,
      formatComplete({ ...parseComplete(readFileSync(marker, 'utf8'), marker), snapshot_id: one, backup_start: start, type: 'daily' }),
    );
    if (one === ids[0]) known.copies[`backup ${one}`] = { ...ours, id: one, marker_sha256: sha256(marker) };
  }
  writeFileSync(record, JSON.stringify({ schema: 1, remotes: { [remote]: known } }));
  writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${remote}"\nenv = "prod"\nretention = { last = 2 }\n`);
  const run = await box.json(['ship', '--prune']);
  const [{ would_delete: remove, kept: keep }] = (run.result as { remotes: [Record<'would_delete' | 'kept', { snapshot_id: string }[]>] }).remotes;
  expect([remove.map((one) => one.snapshot_id), keep.map((one) => one.snapshot_id).sort()]).toEqual([[ids[1]], [ids[0], ids[2], id]]);
  writeFileSync(record, before);
  configure('');
});

test.skipIf(skipped)("a repository's file cannot name keys or a configuration of rclone, which runs programs", async () => {
  const proof = join(box.root, 'EVIL-ran');
  const conf = join(box.project, 'r.conf');
  writeFileSync(conf, `[w]\ntype = webdav\nurl = http://127.0.0.1:9/\nvendor = other\nbearer_token_command = touch ${proof}\n`);
  for (const key of ['rclone_config', 'credentials']) {
    writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "w:x"\n${key} = "${conf}"\n`);
    const run = await box.json(['ship']);
    expect([run.code, messageOf(run)]).toEqual([2, expect.stringContaining(`offsite.${key}`)]);
  }
  expect(existsSync(proof)).toBe(false);
  rmSync(conf);
  configure('');
});

test('rows of a listing that lead out of the project are malformed', () => {
  for (const path of ['..', '../a', 'a/../b', '/a', 'a//b', './a', 'a/', 'a/.'])
    expect(() => parseRow(row('d', path).trim()), path).toThrow(/leads out/);
  for (const path of ['.', '..a', 'a..', '.a/..b', '...']) expect(parseRow(row('d', path).trim()).path).toBe(path);
});
