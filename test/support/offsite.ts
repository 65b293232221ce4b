// A project with a remote, and what Cora claims of its copies: the record, the ledger, and what lies at the remote.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect } from 'vitest';
import type { Remote } from './remotes.ts';
import type { S3Server } from './s3-server.ts';
import type { Run, Sandbox } from './sandbox.ts';

/** The directory below the remote that these projects use. */
export const ENV = 'prod';

/** Written before `[offsite]` in each cora.toml: the files of `fillProject` are of those that a backup keeps plain, each an object. */
const CRITICAL = `[critical]\npatterns = ["data/file*"]\n`;

/** What of the off-site settings a test wants besides `remote` and `env`, as lines of TOML. */
export function configureOffsite(sandbox: Sandbox, remotes: readonly { readonly spec: string }[], ...lines: readonly string[]): void {
  const remote = JSON.stringify(remotes.map(({ spec }) => spec));
  writeFileSync(
    join(sandbox.project, 'cora.toml'),
    `${CRITICAL}[offsite]\nremote = ${remote}\nenv = "${ENV}"\n${lines.map((line) => `${line}\n`).join('')}`,
  );
  sandbox.own(join(sandbox.project, 'cora.toml'));
}

/** Something to lose: a few files with names that hurt, and `bytes` that no compression makes less. */
export function fillProject(sandbox: Sandbox, { bytes, files = 3 }: { readonly bytes: number; readonly files?: number }): void {
  const directory = join(sandbox.project, 'data');
  mkdirSync(directory, { recursive: true });
  const step = 32 << 20;
  const big = join(directory, 'big.bin');
  writeFileSync(big, '');
  for (let left = bytes; left > 0; left -= step) writeFileSync(big, randomBytes(Math.min(step, left)), { flag: 'a' });
  for (let i = 0; i < files; i++) writeFileSync(join(directory, `file ${i} 'é.txt`), `content ${i}\n`);
}

/** The ids that the record says are at a remote. */
export function claimed(sandbox: Sandbox, remote: Pick<Remote, 'spec'>): string[] {
  const file = join(sandbox.vault, 'ledger', 'offsite.json');
  if (!existsSync(file)) return [];
  const record = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly remotes: Readonly<Record<string, { readonly copies: Record<string, { id: string }> }>>;
  };
  return Object.values(record.remotes[remote.spec]?.copies ?? {})
    .map(({ id }) => id)
    .sort();
}

/** The ids of the ledger's lines of copies, in its order. */
export function shipLines(sandbox: Sandbox): string[] {
  const text = readFileSync(join(sandbox.vault, 'ledger', 'chain.log'), 'utf8');
  return [...text.matchAll(/^.*\bship\b.*$/gm)].map(([line]) => /\b\d{8}-\d{6}-\w+(?:-\d+)?\b/.exec(line)?.[0] ?? line);
}

/** Where a copy lies below its remote. */
export function copyPath(id: string): string {
  return `${ENV}/${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}/${id}`;
}

/** What a test that knows its remote from within gives: every object below a path, with its bytes. */
export type Look = (path: string) => ReadonlyMap<string, Buffer>;

export function lookLocally(remote: Pick<Remote, 'spec'>): Look {
  return (path) => {
    const found = new Map<string, Buffer>();
    const top = join(remote.spec, path);
    if (!existsSync(top)) return found;
    for (const entry of readdirSync(top, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (entry.isFile()) found.set(relative(top, file), readFileSync(file));
    }
    return found;
  };
}

export function lookInBucket({ server, bucket }: { readonly server: S3Server; readonly bucket: string }): Look {
  return (path) => {
    const keys = server.keys(bucket).filter((key) => key.startsWith(`${path}/`));
    return new Map(keys.map((key) => [key.slice(path.length + 1), server.read(bucket, key)]));
  };
}

/** It failed at the remote: exit 12 with one sentence and no secret in it, and nothing is claimed anywhere. */
export function expectNothingClaimed(sandbox: Sandbox, remote: Remote, run: Run, words: RegExp, look: Look): void {
  expect([run.code, run.stderr]).toEqual([12, expect.stringMatching(words)]);
  expect(run.stderr.split('\n').filter((line) => line.startsWith('cora: '))).toHaveLength(1);
  expect(run.stderr).not.toMatch(/\n\s+at /);
  for (const secret of remote.secrets) expect(run.stdout + run.stderr).not.toContain(secret);
  expect(claimed(sandbox, remote)).toEqual([]);
  expect(shipLines(sandbox)).toEqual([]);
  expect([...look(ENV).keys()].filter((path) => path.endsWith('COMPLETE.json'))).toEqual([]);
}

/** It is claimed, and lies there: every file of the backup, byte for byte, and the marker. */
export function expectShipped(sandbox: Sandbox, remote: Pick<Remote, 'spec'>, id: string, look: Look): void {
  expect(claimed(sandbox, remote)).toContain(id);
  expect(shipLines(sandbox)).toContain(id);
  const local = lookLocally({ spec: sandbox.vault })(id);
  const there = new Map(look(copyPath(id)));
  const marker = JSON.parse(there.get('COMPLETE.json')?.toString() ?? 'null') as { readonly snapshot_id?: string } | null;
  expect(marker?.snapshot_id).toBe(id);
  there.delete('COMPLETE.json');
  expect([...there.keys()].sort()).toEqual([...local.keys()].sort());
  for (const [path, bytes] of local) expect([path, there.get(path)?.equals(bytes)]).toEqual([path, true]);
}
