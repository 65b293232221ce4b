// A copy in the clear as `cora ship` makes it (docs/format.md), put together by hand: tests of the way back do not rest on the way there.

import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMPLETE, type Complete, copyDirectory, formatComplete } from '../../src/format/complete.ts';
import { readHead } from '../../src/vault/chain.ts';

const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

/** Copies a snapshot's directory below a remote directory and writes its marker. @returns the copy's directory */
export function copyByHand(vault: string, snapshot: string, remote: string, env: string, changes: Partial<Complete> = {}): string {
  const report = JSON.parse(readFileSync(join(snapshot, 'REPORT.json'), 'utf8')) as Record<string, never>;
  const { vault_id, name } = JSON.parse(readFileSync(join(vault, 'VAULT.json'), 'utf8')) as { vault_id: string; name: string };
  const kind = report['kind'] as Complete['kind'];
  const target = join(remote, copyDirectory(env, kind, report['snapshot_id'] ?? ''));
  mkdirSync(target, { recursive: true });
  cpSync(snapshot, target, { recursive: true, preserveTimestamps: true });
  const files = readdirSync(target, { recursive: true, encoding: 'utf8' }).filter((path) => statSync(join(target, path)).isFile());
  const { sequence, hash } = readHead(vault);
  const complete: Complete = {
    format: 1,
    vault_id,
    project: name,
    host: 'old-machine',
    env,
    snapshot_id: report['snapshot_id'] ?? '',
    kind,
    type: report['type'] ?? '',
    status: report['status'] ?? 'complete',
    labelled: report['label'] !== null,
    backup_start: report['backup_start'] ?? '',
    shipped_at: new Date().toISOString(),
    cora: '0',
    encryption: 'none',
    recipients: [],
    sums_sha256: sha256(readFileSync(join(target, 'SHA256SUMS.txt'))),
    chain: { sequence, hash },
    files: files.length,
    bytes: files.reduce((sum, path) => sum + statSync(join(target, path)).size, 0),
    objects: [],
    ...changes,
  };
  writeFileSync(join(target, COMPLETE), formatComplete(complete));
  return target;
}
