// The deep check of a backup, once its files have their hashes: the archive decodes to its end, and
// every plain copy of a database passes SQLite's own check.

import { readFileSync } from 'node:fs';
import { type Bytes, bytes, fromText, toBuffer, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { parseSums } from '../format/checksums.ts';
import { requireProgram, run } from '../os/run.ts';
import { checkCopy } from '../os/sqlite.ts';
import { type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import type { Vault } from '../vault/vault.ts';
import type { Damage } from './verify-files.ts';

const ARCHIVE_TIMEOUT = 6 * 3_600_000;

export async function checkBackupDeeply(vault: Vault, ref: SnapshotRef, ctx: Context): Promise<Damage[]> {
  const directory = `${vault.root}/${ref.directory}`;
  const damaged: Damage[] = [];
  // Raw copies are what they were: SQLite's check failed on the live database already.
  const raw = new Set(
    (tryReport(vault, ref)?.databases ?? []).filter(({ stored }) => stored === 'raw').map((database) => `${NAMES.db}/${database.path}`),
  );
  for (const { path } of parseSums(readFileSync(`${directory}/${NAMES.sums}`))) {
    const file = toText(bytes(`${ref.directory}/${path}`));
    if (path.endsWith('-full.tar.gz')) {
      const gzip = requireProgram('gzip', 'gzip');
      const result = await run(gzip, ['-t', '--', `${directory}/${toText(path)}`], { timeout: ARCHIVE_TIMEOUT, signal: ctx.signal });
      if (result.exitCode !== 0) damaged.push({ path: file, file, reason: `gzip -t: ${result.stderr.trim()}` });
    }
    if (path.startsWith(`${NAMES.db}/`) && !raw.has(toText(path)))
      damaged.push(...(await checkDatabase(toBuffer(bytes(`${fromText(directory)}/${path}`)), path, file)));
  }
  return damaged;
}

async function checkDatabase(absolute: Uint8Array, path: Bytes, file: string): Promise<Damage[]> {
  const shown = toText(bytes(path.slice(NAMES.db.length + 1)));
  try {
    const { result } = await checkCopy(absolute, 'integrity_check');
    return result === 'ok' ? [] : [{ path: shown, file, reason: `db_integrity_check_failed: ${result}` }];
  } catch (error) {
    return [{ path: shown, file, reason: `db_open_failed: ${messageOf(error)}` }];
  }
}
