// `cora drill`: proves that there is a way back, by going it: a restore into a private directory with Cora, and for a backup
// also with the vault's own restore.sh; every hash, every database, the user's own checks; the time it took and the age
// of the data against targets. Nothing of the project is touched, and the result is a line of the ledger.

import { mkdirSync } from 'node:fs';
import { bytes, fromText, isText, printable, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { Entry } from '../format/file-list.ts';
import { tryRemove } from '../os/files.ts';
import { run } from '../os/run.ts';
import { newestGood, resolveSnapshot, type SnapshotRef } from '../vault/catalog.ts';
import { NAMES } from '../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import { lockForReading, type Vault } from '../vault/vault.ts';
import { compareRestored, type DatabaseDrill, type Difference, openDatabases } from './drill-compare.ts';
import { lastCursor, recordDrill, recoveryPoint } from './drill-ledger.ts';
import type { DrillOptions, DrillResult, Measured } from './drill-result.ts';
import { chooseSample, type Sample, sampledPlan } from './drill-sample.ts';
import { openScratch, type Scratch } from './drill-scratch.ts';
import { failureText, isDamage, type StepName, Steps } from './drill-steps.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';
import { writeEntries } from './restore-write.ts';
import type { CommandHost } from './trust.ts';
import { type CheckResult, runChecks } from './user-commands.ts';
import { verify } from './verify.ts';
import type { Damage } from './verify-files.ts';

/** @throws CoraError vault_missing, vault_foreign, unknown_snapshot, ambiguous_snapshot, no_space, refused, interrupted. Damage is a result. */
export async function drill(project: Project, location: VaultLocation, options: DrillOptions, host: CommandHost, ctx: Context): Promise<DrillResult> {
  const vault = openLocated(location);
  requireOwn(vault, project);
  const lock = lockForReading(vault);
  try {
    return await new Drill(project, location, vault, chooseSnapshot(vault, options.target, ctx.now()), options, host, ctx).hold();
  } finally {
    lock?.release();
  }
}

function chooseSnapshot(vault: Vault, target: string | undefined, now: number): SnapshotRef {
  if (target !== undefined) return resolveSnapshot(vault, target, now);
  return newestGood(vault, now, { kind: 'backup' }) ?? resolveSnapshot(vault, 'latest', now);
}

/** Bytes of arguments at most, for restore.sh. */
const ARGUMENTS = 512 * 1024;
const SCRIPT_TIMEOUT = 12 * 3_600_000;

class Drill {
  readonly #project: Project;
  readonly #location: VaultLocation;
  readonly #vault: Vault;
  readonly #ref: SnapshotRef;
  readonly #options: DrillOptions;
  readonly #host: CommandHost;
  readonly #ctx: Context;
  readonly #problems: Problem[] = [];
  readonly #damaged: Damage[] = [];
  readonly #steps: Steps;

  constructor(project: Project, location: VaultLocation, vault: Vault, ref: SnapshotRef, options: DrillOptions, host: CommandHost, ctx: Context) {
    this.#project = project;
    this.#location = location;
    this.#vault = vault;
    this.#ref = ref;
    this.#options = options;
    this.#host = host;
    // Every problem is shown as it is met, and kept.
    const monitor = {
      ...ctx.monitor,
      problem: (one: Problem) => {
        this.#problems.push(one);
        ctx.monitor.problem(one);
      },
    };
    this.#ctx = { ...ctx, monitor };
    this.#steps = new Steps(this.#ctx, options.maxDuration, (error, name) => this.#failed(error, name));
  }

  async hold(): Promise<DrillResult> {
    const begun = performance.now();
    const all = await this.#plan();
    const sample = this.#sampleOf(all);
    const plan = sample === undefined || all === undefined ? all : sampledPlan(all, sample);
    const needed = (plan?.bytes ?? 0) + (plan?.work.entries.length ?? 0) * 4096;
    const { parents, asked } = this.#options.scratch;
    const scratch = openScratch(this.#vault, this.#project.root, needed, parents, asked);
    let restored: { readonly databases: readonly DatabaseDrill[]; readonly checks: readonly CheckResult[] } | undefined;
    try {
      if (plan !== undefined) {
        restored = await this.#restoreWithCora(plan, scratch);
        if (plan.kind === 'backup') await this.#script(plan, sample, scratch);
      }
    } finally {
      scratch.release();
    }
    await this.#verify();
    const restore = this.#steps.done.find(({ name, done }) => name === 'restore' && done)?.seconds;
    return this.#result({
      scratch: scratch.path,
      whole: sample === undefined,
      cursor: sample?.cursor ?? '',
      files: countFiles(plan),
      bytes: plan?.bytes ?? 0,
      totalFiles: countFiles(all),
      totalBytes: all?.bytes ?? 0,
      restore,
      databases: restored?.databases ?? [],
      checks: restored?.checks ?? [],
      seconds: (performance.now() - begun) / 1000,
    });
  }

  /** Undefined where the snapshot's listing or report cannot be read: `verify` names the file. */
  async #plan(): Promise<RestorePlan | undefined> {
    // Only a plan: where it goes is decided by what it needs.
    const to = bytes('/nonexistent/cora-drill');
    try {
      return await planRestore(
        this.#project,
        this.#location,
        { target: bytes(this.#ref.id), paths: [], to, critical: false, overwrite: undefined },
        this.#ctx,
      );
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#failed(error, 'restore');
      return undefined;
    }
  }

  #sampleOf(all: RestorePlan | undefined): Sample | undefined {
    const { sample } = this.#options;
    if (all === undefined || sample === undefined) return undefined;
    return chooseSample(all.work.entries, all.work.report, sample, lastCursor(this.#vault));
  }

  /** With Cora: the restore that is measured, the comparison, databases, the user's checks. */
  async #restoreWithCora(plan: RestorePlan, scratch: Scratch) {
    const directory = fromText(`${scratch.path}/cora`);
    const { entries, report } = plan.work;
    // As they are stored: a database that gets its journal mode again differs from its hash.
    const how = { directory, entries, finish: true, linksFrom: directory, journalModes: () => false };
    const damagedPaths = new Set<string>();
    const written = await this.#steps.run('restore', (ctx) => {
      const problem = (one: Problem) => {
        if (one.code !== 'damaged') return ctx.monitor.problem(one);
        damagedPaths.add(one.path ?? '');
        this.#damaged.push({ path: one.path ?? '', file: this.#ref.directory, reason: one.message });
      };
      return writeEntries({ ...plan, directory }, how, { ...ctx, monitor: { ...ctx.monitor, problem } });
    });
    if (written === undefined) return undefined;
    const compared = await this.#steps.run('compare', (ctx) => compareRestored(directory, entries, isLeftOut(plan, damagedPaths), ctx));
    this.#differences(compared?.differences ?? [], 'after the restore ');
    const databases = (await this.#steps.run('databases', (ctx) => openDatabases(directory, entries, report, ctx))) ?? [];
    for (const { path, error } of databases)
      if (error !== undefined) this.#damaged.push({ path: toText(path), file: this.#ref.directory, reason: `after the restore ${error}` });
    const checks = await this.#checks(toText(directory));
    if (plan.kind === 'backup') tryRemove(toText(directory));
    return { databases, checks };
  }

  /** Those of `[[checks]]` with `drill = true`, in the restored directory. */
  async #checks(directory: string): Promise<readonly CheckResult[]> {
    const checks = this.#project.config.checks.filter((check) => check.drill === true);
    if (checks.length === 0) return [];
    if (this.#options.sample !== undefined) {
      this.#problem('checks_not_run', 'The checks were not run: they need all of the snapshot, and this drill restored a part', 'warning');
      return [];
    }
    const facts = { CORA_ID: this.#ref.id, CORA_PROJECT: toText(this.#project.root), CORA_DRILL_DIR: directory };
    const results = await this.#steps.run('checks', (ctx) =>
      runChecks(this.#project, checks, { cwd: fromText(directory), host: this.#host, facts, signal: ctx.signal }),
    );
    for (const { name, ok, message } of results ?? [])
      if (!ok) this.#problem('check_failed', `The check ${name} failed on what was restored: ${message}`);
    return results ?? [];
  }

  /** The same without Cora, as somebody would who has nothing but the vault. */
  async #script(plan: RestorePlan, sample: Sample | undefined, scratch: Scratch): Promise<void> {
    if (scratch.inVault) {
      this.#problem('script_not_drilled', 'restore.sh was not tried: no directory outside of the vault has the space (--scratch DIR)', 'warning');
      return;
    }
    const named = sample === undefined ? undefined : argumentsOf(sample);
    const target = `${scratch.path}/script`;
    mkdirSync(target, { mode: 0o700 });
    const ended = await this.#steps.run('restore.sh', async (ctx) => {
      const script = `${this.#vault.root}/${NAMES.restoreScript}`;
      const args = [script, this.#ref.id, target, ...(named ?? [])];
      const ran = await run('/bin/sh', args, { cwd: scratch.path, env: { TMPDIR: scratch.path }, timeout: SCRIPT_TIMEOUT, signal: ctx.signal });
      if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
      return ran;
    });
    if (ended === undefined) return;
    const said = ended.stderr.trim().split('\n').slice(0, 5).join('; ').slice(0, 500);
    if (ended.exitCode === 21) this.#damaged.push({ path: `${this.#ref.directory}/`, file: this.#ref.directory, reason: `restore.sh: ${said}` });
    else if (ended.exitCode !== 0 && ended.exitCode !== 3)
      this.#problem('script_failed', `restore.sh ended with ${ended.exitCode ?? 'a signal'}: ${said}`);
    if (ended.exitCode !== 0 && ended.exitCode !== 3) return;
    const wanted = named === undefined ? undefined : new Set<string>(named.map((path) => fromText(path.slice(2))));
    const entries = plan.work.entries.filter(({ path, type }) => wanted === undefined || (type !== 'd' && wanted.has(path)));
    const directory = fromText(target);
    const compared = await this.#steps.run('compare restore.sh', (ctx) => compareRestored(directory, entries, isLeftOut(plan, new Set()), ctx));
    this.#differences(compared?.differences ?? [], 'after restore.sh ');
  }

  /** What the drill did not read: every file of the snapshot against its sums, past the cache. */
  async #verify(): Promise<void> {
    const verified = await this.#steps.run('verify', (ctx) => verify(this.#location, { target: this.#ref.id, deep: false }, ctx));
    // First: one damaged file of the vault may be what thousands of the project lack.
    for (const { damaged } of verified?.snapshots ?? []) this.#damaged.unshift(...damaged);
  }

  #differences(differences: readonly Difference[], when: string): void {
    for (const { path, reason } of differences) this.#damaged.push({ path: toText(path), file: this.#ref.directory, reason: when + reason });
  }

  #failed(error: unknown, name: StepName): void {
    if (isDamage(error)) this.#damaged.push({ path: `${this.#ref.directory}/`, file: this.#ref.directory, reason: messageOf(error) });
    else this.#problem('drill_step_failed', failureText(error, name));
  }

  #problem(code: string, message: string, severity: Problem['severity'] = 'error'): void {
    this.#ctx.monitor.problem({ code, message, severity });
  }

  #result(facts: Measured): DrillResult {
    const { rto: rtoTarget, rpo: rpoTarget } = this.#project.config.drill;
    const { age, worstGap } = recoveryPoint(this.#vault, this.#ctx.now());
    const seconds = (milliseconds: number | undefined) => (milliseconds === undefined ? undefined : milliseconds / 1000);
    const rto = { seconds: facts.restore, target: rtoTarget / 1000 };
    const rpo = { age: seconds(age), worstGap: seconds(worstGap), target: rpoTarget / 1000 };
    const rpoMet = rpo.age !== undefined && Math.max(rpo.age, rpo.worstGap ?? 0) <= rpo.target;
    const broken = this.#problems.some(({ severity }) => severity === 'error');
    const outcome = this.#damaged.length > 0 ? 'damaged' : this.#steps.stopped ? 'stopped' : broken ? 'failed' : 'ok';
    // A part, or one that did not come back whole, proves nothing about the time.
    const isProven = outcome === 'ok' && facts.whole && rto.seconds !== undefined;
    const rtoMet = isProven ? (rto.seconds ?? 0) <= rto.target : undefined;
    const { id, kind } = this.#ref;
    const { restore, cursor, whole } = facts;
    const targets = outcome !== 'ok' ? '-' : rtoMet === false || !rpoMet ? 'missed' : 'met';
    recordDrill(this.#vault, { id, kind, outcome, seconds: restore, whole, cursor, targets }, this.#ctx);
    return {
      id,
      kind,
      outcome,
      whole,
      files: facts.files,
      bytes: facts.bytes,
      totalFiles: facts.totalFiles,
      totalBytes: facts.totalBytes,
      steps: this.#steps.done,
      databases: facts.databases,
      checks: facts.checks,
      damaged: unique(this.#damaged),
      rto: { ...rto, met: rtoMet },
      rpo: { ...rpo, met: rpoMet },
      scratch: facts.scratch,
      seconds: facts.seconds,
      problems: this.#problems,
    };
  }
}

function countFiles(plan: RestorePlan | undefined): number {
  return plan?.work.entries.filter(({ type }) => type === 'f' || type === 'S' || type === 'h').length ?? 0;
}

/** What may be missing: what is told as damage already, the beginning of a log whose save is gone, and what only root makes. */
function isLeftOut(plan: RestorePlan, damaged: ReadonlySet<string>): (entry: Entry) => boolean {
  const capped = new Set(plan.work.report.capped.map(({ path }) => path));
  const isRoot = process.getuid?.() === 0;
  return ({ path, type }) =>
    damaged.has(toText(path)) || damaged.has(printable(path)) || capped.has(toText(path)) || (!isRoot && (type === 'c' || type === 'b'));
}

/** As many as one command line holds; names that are no text cannot be given to it. */
function argumentsOf({ paths }: Sample): string[] {
  const named: string[] = [];
  let length = 0;
  for (const path of paths) {
    length += path.length + 16;
    if (length > ARGUMENTS) break;
    if (isText(path)) named.push(`./${toText(path)}`);
  }
  return named;
}

function unique(damaged: readonly Damage[]): Damage[] {
  return [...new Map(damaged.map((one) => [`${one.path}\0${one.file}\0${one.reason}`, one])).values()];
}
