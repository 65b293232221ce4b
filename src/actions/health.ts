// `cora health`: is this project's protection working? It looks at what the other commands left, makes no snapshot, and answers in
// about a second however many snapshots there are. A check that cannot be made is a warning, never silence.

import type { Bytes } from '../base/bytes.ts';
import type { Config } from '../base/config.ts';
import type { Context } from '../base/context.ts';
import { CoraError, EXIT, messageOf } from '../base/errors.ts';
import type { LoggedRun } from '../os/backup-log.ts';
import { exists } from '../os/files.ts';
import { listSnapshots, tryReport } from '../vault/catalog.ts';
import { readLines } from '../vault/chain.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import { critical, type HealthCheck, type HealthGrave, ok, stateOf, warning } from './health-check.ts';
import { type Drills, drillDue, drillsIn } from './health-drill.ts';
import { offsiteHealth } from './health-offsite.ts';
import { hookAlive, lossesOpen, ownDisk, runsFailed, timersAlive, walSizes } from './health-project.ts';
import { backupAge, chainWhole, clockRight, freeSpace, goodBackups, lastVerify, newestReadable, sealsHold, sizeDrop } from './health-vault.ts';
import type { HooksPlace } from './hooks.ts';
import { backupsOverTime } from './ledger-query.ts';
import type { TimersMachine, TimersOptions } from './timers-plan.ts';
import { tortureHealth } from './torture-ledger.ts';
import { verify } from './verify.ts';

export type HealthRequest = {
  readonly project: { readonly root: Bytes; readonly name: string; readonly config: Config };
  readonly location: VaultLocation;
  readonly machine: TimersMachine & HooksPlace;
  readonly timers: TimersOptions;
  /** Milliseconds; instead of health.max_age. */
  readonly maxAge: number | undefined;
  /** Verify the newest backup wholly, and the files of every snapshot that the ledger names. */
  readonly deep: boolean;
};

export type HealthResult = {
  readonly state: 'ok' | 'warning' | 'critical';
  readonly checks: readonly HealthCheck[];
  /** The newest backups, oldest first; undefined where there is no vault. */
  readonly backups: readonly LoggedRun[] | undefined;
  readonly drills: Drills;
  readonly vault: string;
  readonly seconds: number;
};

/** Of what trends are drawn. */
const TREND = 40;
const EXIT_OF: Readonly<Record<HealthGrave, number>> = { vault: EXIT.noVault, damaged: EXIT.damaged, too_old: EXIT.tooOld };

/** The check that decides the exit code; undefined where warnings do, or nothing. */
export function gravest(checks: readonly HealthCheck[]): HealthCheck | undefined {
  const order: readonly HealthGrave[] = ['damaged', 'vault', 'too_old'];
  return order.flatMap((one) => checks.filter(({ grave }) => grave === one))[0];
}

/** 0, or the gravest of: damage, no vault, too old; 3 for warnings alone. */
export function exitOfHealth({ checks, state }: Pick<HealthResult, 'checks' | 'state'>): number {
  const grave = gravest(checks)?.grave;
  return grave !== undefined ? EXIT_OF[grave] : state === 'ok' ? EXIT.ok : EXIT.incomplete;
}

/** @throws CoraError interrupted. What is wrong is a result, not an error */
export async function health(request: HealthRequest, ctx: Context): Promise<HealthResult> {
  const begun = performance.now();
  const { location, project } = request;
  const end = (checks: readonly HealthCheck[], rest: Partial<HealthResult> = {}): HealthResult => {
    const seconds = (performance.now() - begun) / 1000;
    return {
      drills: { count: 0, succeeded: 0, last: undefined },
      backups: undefined,
      vault: location.path,
      ...rest,
      checks,
      state: stateOf(checks),
      seconds,
    };
  };
  const runs = attempt('runs', () => runsFailed(request.machine.logs, project.root, ctx.now()));
  if (!exists(location.path) && location.expectedId === undefined) {
    return end([critical('backup', 'Nothing is saved yet', 'cora backup now', 'too_old'), runs]);
  }
  let vault: Vault;
  try {
    vault = openLocated(location);
    requireOwn(vault, project);
  } catch (error) {
    const next = error instanceof CoraError && error.hint !== undefined ? error.hint : 'cora doctor';
    return end([critical('vault', messageOf(error), next, 'vault'), runs]);
  }
  // First: it brings the table in step, which may know of lines that are gone.
  const trends = await overTime(vault);
  return end([...(await checksOf(vault, request, ctx)), runs], trends);
}

async function checksOf(vault: Vault, { project, location, machine, timers, maxAge, deep }: HealthRequest, ctx: Context): Promise<HealthCheck[]> {
  const now = ctx.now();
  const { root, config } = project;
  const refs = listSnapshots(vault);
  const lines = readLines(vault.root).flatMap(({ line }) => line ?? []);
  const good = goodBackups(vault, refs, now, 2);
  const newestBackup = refs.findLast(({ kind }) => kind === 'backup');
  const newest = refs.at(-1);
  const newestReport = newest === undefined ? undefined : tryReport(vault, newest);
  return [
    attempt('backup', () => backupAge(vault, refs, good[0], maxAge ?? config.health.maxAge, now)),
    attempt('readable', () => newestReadable(vault, newestBackup)),
    ...(deep && newestBackup !== undefined ? [await verified(location, newestBackup.id, ctx)] : []),
    attempt('chain', () => chainWhole(vault, ctx, deep)),
    attempt('verify', () => lastVerify(lines, refs)),
    attempt('losses', () => lossesOpen(vault, refs)),
    attempt('size', () => sizeDrop(vault, good)),
    attempt('space', () => freeSpace(vault, config.health.minFree)),
    attempt('seal', () => sealsHold(vault, refs)),
    attempt('clock', () => clockRight(refs, now)),
    attempt('wal', () => walSizes(root, newestReport, config.health.maxWal)),
    attempt('drill', () => drillDue(vault, refs, lines, good[0]?.report ?? newestReport, config.health.drillEvery, now)),
    ...attemptAll('torture', () => tortureHealth(vault, now)),
    attempt('hook', () => hookAlive(vault, root, machine, now)),
    attempt('timers', () => timersAlive(vault, machine, { project, location }, timers, now)),
    attempt('disk', () => ownDisk(vault, root)),
    ...attemptAll('offsite', () => offsiteHealth({ vault, root, config, places: placesOf(machine), refs, now }, maxAge ?? config.health.maxAge)),
  ];
}

async function verified(location: VaultLocation, id: string, ctx: Context): Promise<HealthCheck> {
  const { snapshots } = await verify(location, { target: id, deep: true }, ctx);
  const damaged = snapshots.flatMap((snapshot) => snapshot.damaged);
  const [first] = damaged;
  if (first === undefined) return ok('deep', `${id}: every byte was read from the disk and is what it was`);
  const more = damaged.length > 1 ? `, and ${damaged.length - 1} more` : '';
  return critical('deep', `${id} is damaged: ${first.path}: ${first.reason}${more}`, `cora verify ${id} --deep`, 'damaged');
}

async function overTime(vault: Vault): Promise<Partial<HealthResult>> {
  const drills = drillsIn(readLines(vault.root).flatMap(({ line }) => line ?? []));
  try {
    return { drills, backups: await backupsOverTime(vault, TREND) };
  } catch {
    return { drills };
  }
}

const placesOf = ({ home, env }: TimersMachine) => ({ home, credentialsDirectory: env('CREDENTIALS_DIRECTORY') });

function attemptAll(name: string, checks: () => HealthCheck[]): HealthCheck[] {
  let all: HealthCheck[] = [];
  const failed = attempt(name, () => {
    all = checks();
    return ok(name, '');
  });
  return failed.level === 'ok' ? all : [failed];
}

function attempt(name: string, check: () => HealthCheck): HealthCheck {
  try {
    return check();
  } catch (error) {
    if (error instanceof CoraError && error.code === 'interrupted') throw error;
    const next = error instanceof CoraError && error.hint !== undefined ? error.hint : 'cora doctor';
    return warning(name, `This could not be checked: ${messageOf(error)}`, next);
  }
}
