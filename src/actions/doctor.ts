// `cora doctor`: a real save, backup, verification and restore of a probe project in a temporary
// directory, compared byte for byte, and a look at what Cora needs on this machine. Nothing of it stays.

import { randomBytes } from 'node:crypto';
import { linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytes, fromText, joinBytes } from '../base/bytes.ts';
import { defaultConfig } from '../base/config.ts';
import { type Context, SILENT } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { changeFlags, flagReason, readFlags } from '../os/chattr.ts';
import { exists, freeBytes } from '../os/files.ts';
import { findProgram } from '../os/run.ts';
import { countTable, openDatabase } from '../os/sqlite.ts';
import { listSnapshots } from '../vault/catalog.ts';
import type { VaultLocation } from '../vault/locate.ts';
import { unsealSnapshot } from '../vault/seal.ts';
import { openVault } from '../vault/vault.ts';
import { backup } from './backup.ts';
import { applyRestore } from './restore.ts';
import { planRestore } from './restore-plan.ts';
import { verify } from './verify.ts';

/** `warn`: Cora works, and something is missing; `fail`: it does not work here. */
export type Check = { readonly name: string; readonly state: 'ok' | 'warn' | 'fail'; readonly message: string };

/** Programs: what for, and whether nothing works without. */
const PROGRAMS: readonly (readonly [name: string, debianPackage: string, needed: boolean, use: string])[] = [
  ['flock', 'util-linux', true, 'the lock of the vault'],
  ['git', 'git', false, 'unpushed work in backups, the push hook'],
  ['sync', 'coreutils', false, 'writing through to the disk'],
  ['chattr', 'e2fsprogs', false, 'sealed backups'],
  ['lsattr', 'e2fsprogs', false, 'sealed backups'],
  ['xargs', 'findutils', false, 'sealed backups'],
  ['perl', 'perl-base', false, 'times to the nanosecond after a restore'],
  ['tar', 'tar', false, 'restore.sh and the fallback without Node'],
  ['gzip', 'gzip', false, 'restore.sh and the fallback without Node'],
  ['sha256sum', 'coreutils', false, 'restore.sh and the fallback without Node'],
  ['zstd', 'zstd', false, 'restore.sh of saves'],
];
const ROWS = 1000;
const LITTLE_SPACE = 1_000_000_000;

/**
 * @param location the vault around the current directory; undefined outside any project
 * @throws only what ends the run (interrupted); what does not work is a check
 */
export async function doctor(location: VaultLocation | undefined, ctx: Context): Promise<readonly Check[]> {
  const checks = PROGRAMS.map(([name, debianPackage, needed, use]): Check => {
    if (findProgram(name) !== undefined) return { name, state: 'ok', message: use };
    return { name, state: needed ? 'fail' : 'warn', message: `not installed (apt-get install ${debianPackage}); needed for ${use}` };
  });
  checks.push(await probe(ctx));
  if (location !== undefined && exists(location.path)) checks.push(...vaultChecks(location));
  return checks;
}

async function probe(ctx: Context): Promise<Check> {
  const root = mkdtempSync(join(tmpdir(), 'cora-doctor-'));
  const begun = performance.now();
  try {
    await makeProject(join(root, 'project'));
    const said = await saveAndRestore(root, { ...ctx, monitor: SILENT });
    const different = await compare(join(root, 'project'), join(root, 'back'));
    if (different !== undefined) return { name: 'probe', state: 'fail', message: `what came back is not what was saved: ${different}` };
    return { name: 'probe', state: 'ok', message: `${said}, restored and compared in ${((performance.now() - begun) / 1000).toFixed(1)} s` };
  } catch (error) {
    if (error instanceof CoraError && error.code === 'interrupted') throw error;
    return { name: 'probe', state: 'fail', message: messageOf(error) };
  } finally {
    unseal(join(root, 'vault'));
    rmSync(root, { recursive: true, force: true });
  }
}

/** A file of each kind that has ever been trouble. */
async function makeProject(project: string): Promise<void> {
  mkdirSync(join(project, 'deep/er'), { recursive: true });
  writeFileSync(join(project, 'AI_WORK_LOG.md'), 'one line\n'.repeat(1000));
  writeFileSync(join(project, '.env'), 'KEY=value\n');
  writeFileSync(join(project, 'deep/er/random.bin'), randomBytes(300_000));
  writeFileSync(join(project, 'empty'), '');
  writeFileSync(join(project, ' odd\n"name"'), 'odd\n');
  symlinkSync('../AI_WORK_LOG.md', join(project, 'deep/link'));
  linkSync(join(project, '.env'), join(project, 'deep/hard'));
  const database = await openDatabase(join(project, 'app.db'));
  try {
    database.pragma('journal_mode = WAL');
    database.exec('CREATE TABLE probe (n INTEGER, text TEXT)');
    const insert = database.prepare('INSERT INTO probe VALUES (?, ?)');
    database.transaction(() => {
      for (let n = 0; n < ROWS; n++) insert.run(n, `row ${n}`);
    })();
  } finally {
    database.close();
  }
}

async function saveAndRestore(root: string, ctx: Context): Promise<string> {
  const project = { root: fromText(join(root, 'project')), name: 'probe', config: defaultConfig };
  const location: VaultLocation = { path: join(root, 'vault'), source: 'explicit', expectedId: undefined, memory: undefined };
  const made = await backup(project, location, { mode: 'now', trigger: 'doctor' }, ctx);
  if (made.problems.length > 0) throw new CoraError('validation_failed', made.problems[0]?.message ?? 'the backup has problems');
  const verified = await verify(location, { target: 'all', deep: true }, ctx);
  const damaged = verified.snapshots.flatMap((snapshot) => snapshot.damaged)[0];
  if (damaged !== undefined) throw new CoraError('validation_failed', `${damaged.path}: ${damaged.reason}`);
  const plan = await planRestore(
    project,
    location,
    { target: fromText(made.id), paths: [], to: fromText(join(root, 'back')), critical: false, overwrite: undefined },
    ctx,
  );
  const restored = await applyRestore(plan, ctx);
  if (restored.problems.some(({ severity }) => severity === 'error'))
    throw new CoraError('validation_failed', restored.problems[0]?.message ?? 'the restore has problems');
  return made.seal?.protection === 'kernel' ? 'saved, backed up and sealed' : 'saved and backed up';
}

/** The first difference as text. */
async function compare(project: string, back: string): Promise<string | undefined> {
  const names = (root: string) =>
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => !/^app\.db-(wal|shm)$/.test(name))
      .toSorted();
  if (names(project).join('\0') !== names(back).join('\0')) return 'the names differ';
  for (const name of names(project)) {
    const [one, two] = [join(project, name), join(back, name)];
    const [before, after] = [lstatSync(one), lstatSync(two)];
    if (before.mode !== after.mode) return `the mode of ${JSON.stringify(name)}`;
    if (before.isSymbolicLink()) {
      if (readlinkSync(one) !== readlinkSync(two)) return `the target of ${name}`;
    } else if (before.isFile() && name !== 'app.db' && !readFileSync(one).equals(readFileSync(two))) return `the content of ${JSON.stringify(name)}`;
  }
  const rows = await countTable(join(back, 'app.db'), 'probe');
  return rows === ROWS ? undefined : `the database has ${rows ?? 'no'} rows of ${ROWS}`;
}

function unseal(vaultPath: string): void {
  if (!exists(vaultPath)) return;
  try {
    const vault = openVault(vaultPath);
    for (const ref of listSnapshots(vault)) if (ref.kind === 'backup') unsealSnapshot(vault, ref);
  } catch {
    // A vault that was never finished holds nothing sealed.
  }
}

function vaultChecks({ path }: VaultLocation): Check[] {
  const checks: Check[] = [];
  const free = freeBytes(path);
  checks.push({
    name: 'space',
    state: free < LITTLE_SPACE ? 'warn' : 'ok',
    message: `${free > 2 ** 52 ? 'no limit' : formatBytes(free)} free for ${path}`,
  });
  const file = joinBytes(fromText(path), bytes('.cache/doctor'));
  try {
    writeFileSync(`${path}/.cache/doctor`, 'probe', { mode: 0o600 });
    const failure = changeFlags('+i', [file]);
    const held = readFlags([file])[0]?.immutable === true;
    changeFlags('-i', [file]);
    rmSync(`${path}/.cache/doctor`, { force: true });
    checks.push({ name: 'vault', state: 'ok', message: `${path} can be written` });
    const message = held ? 'backups here are sealed by the kernel' : `backups here are not sealed: ${flagReason(failure ?? 'unsupported')}`;
    checks.push({ name: 'seal', state: held ? 'ok' : 'warn', message });
  } catch (error) {
    checks.push({ name: 'vault', state: 'fail', message: `${path} cannot be written: ${messageOf(error)}` });
  }
  return checks;
}
