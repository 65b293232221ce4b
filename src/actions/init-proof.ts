// The end of `cora init`: one file and one database of the new save are restored for real, beside the
// project, and compared. A restore that was not seen to work is not claimed.

import { chmodSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { type Bytes, bytes, fromBuffer, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { DatabaseReport, Report } from '../format/report.ts';
import { onPath } from '../os/long-path.ts';
import { checkCopy } from '../os/sqlite.ts';
import { readReport, resolveSnapshot } from '../vault/catalog.ts';
import { loadEntries } from '../vault/listing.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import type { ProjectFacts } from './open-project.ts';
import { applyRestore } from './restore.ts';
import { planRestore } from './restore-plan.ts';

export type RestoreProof = {
  /** The report of the snapshot that was proven, also where init made no new one. */
  readonly report: Report;
  /** Restored and equal byte for byte; undefined where there is no file, or none that stood still. */
  readonly file: Bytes | undefined;
  readonly bytes: number;
  /** Restored, sound, and with as many rows in each table as the save counted. */
  readonly database: Bytes | undefined;
  readonly rows: number;
  /** Of restore and comparison. */
  readonly seconds: number;
};

/** Enough to prove something, and quick. */
const PROOF_MAX = 64 << 20;

/**
 * @param id of the save
 * @throws CoraError validation_failed where what comes back is not what was saved; what a restore throws
 */
export async function proveRestore(project: ProjectFacts, location: VaultLocation, id: string, ctx: Context): Promise<RestoreProof> {
  const vault = openLocated(location);
  const ref = resolveSnapshot(vault, id, ctx.now(), { kind: 'save' });
  const report = readReport(vault, ref);
  const database = chooseDatabase(report);
  const file = chooseFile(project.root, vault, ref, report);
  const begun = performance.now();
  const proof = { report, file: undefined, bytes: 0, database: undefined, rows: 0, seconds: 0 };
  const paths = [...(file === undefined ? [] : [file]), ...(database === undefined ? [] : [pathOf(database)])];
  if (paths.length === 0) return proof;
  const stage = openStage(vault);
  try {
    const to = fromText(`${stage.path}/restored`);
    const plan = await planRestore(project, location, { target: fromText(id), paths, to, critical: false, overwrite: undefined }, ctx);
    const restored = await applyRestore(plan, ctx);
    const wrong = restored.problems.find(({ severity }) => severity === 'error');
    if (restored.damaged > 0 || wrong !== undefined) throw failed(wrong?.path ?? toText(paths[0] ?? bytes('')), wrong?.message ?? 'damaged');
    const compared = file === undefined ? undefined : compareFile(joinBytes(project.root, file), joinBytes(to, file), report);
    const rows = database === undefined ? 0 : await compareDatabase(database, joinBytes(to, pathOf(database)));
    return {
      report,
      file: compared === undefined ? undefined : file,
      bytes: compared ?? 0,
      database: database === undefined ? undefined : pathOf(database),
      rows,
      seconds: (performance.now() - begun) / 1000,
    };
  } finally {
    makeRemovable(fromText(stage.path));
    stage.release();
  }
}

/** Directories come back with the modes they had, and what lies in a read-only one cannot be deleted. */
function makeRemovable(directory: Bytes): void {
  onPath(directory, (path) => chmodSync(path, 0o700));
  for (const entry of onPath(directory, (path) => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))) {
    if (entry.isDirectory()) makeRemovable(joinBytes(directory, fromBuffer(entry.name)));
  }
}

const pathOf = (database: DatabaseReport) =>
  database.path_base64 === undefined ? fromText(database.path) : bytes(Buffer.from(database.path_base64, 'base64').toString('latin1'));

/** The smallest one with rows, so that something is compared. */
function chooseDatabase({ databases }: Report): DatabaseReport | undefined {
  const copies = databases.filter(({ stored }) => stored === 'copy').toSorted((a, b) => a.size - b.size);
  return copies.find(({ rows }) => rows > 0) ?? copies[0];
}

/** A critical file where there is one, else the largest that is quick; one that has not changed since the save. */
function chooseFile(root: Bytes, vault: Vault, ref: Parameters<typeof loadEntries>[1], report: Report): Bytes | undefined {
  const databases = new Set(report.databases.map(({ path }) => path));
  const critical = new Set(report.critical);
  const saved = Date.parse(report.backup_start);
  const files = loadEntries(vault, ref).filter(({ type, size, path }) => type === 'f' && size <= PROOF_MAX && !databases.has(toText(path)));
  // What init wrote itself proves least.
  const rank = (path: Bytes) => (critical.has(toText(path)) ? 2 : path === 'cora.toml' ? 0 : 1);
  files.sort((a, b) => rank(b.path) - rank(a.path) || b.size - a.size);
  return files.find(({ path, size }) => {
    const live = onPath(joinBytes(root, path), (reachable) => lstatSync(reachable, { throwIfNoEntry: false }));
    return live?.isFile() === true && live.size === size && live.mtimeMs < saved && live.ctimeMs < saved;
  })?.path;
}

/** Bytes compared; undefined where the live file changed since it was chosen. */
function compareFile(live: Bytes, restored: Bytes, report: Report): number | undefined {
  const [is, was] = [onPath(live, (path) => readFileSync(path)), onPath(restored, (path) => readFileSync(path))];
  if (is.equals(was)) return was.length;
  if (onPath(live, (path) => lstatSync(path)).ctimeMs >= Date.parse(report.backup_start)) return undefined;
  throw failed(toText(live), 'its bytes are not those of the live file');
}

async function compareDatabase(database: DatabaseReport, restored: Bytes): Promise<number> {
  const check = await checkCopy(Buffer.from(restored, 'latin1'), 'integrity_check');
  if (check.result !== 'ok') throw failed(database.path, check.result);
  const names = new Set([...Object.keys(database.tables), ...Object.keys(check.tables)]);
  for (const name of names) {
    if (check.tables[name] !== database.tables[name])
      throw failed(database.path, `table ${name} has ${check.tables[name] ?? 'no'} rows and had ${database.tables[name] ?? 'none'}`);
  }
  return check.rows;
}

function failed(path: string, reason: string): CoraError {
  return new CoraError('validation_failed', `The restore of ${path} was tried and failed: ${reason}`, {
    hint: "check the vault's disk (dmesg), then: cora verify --deep",
  });
}
