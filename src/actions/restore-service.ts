// A restore in place with the user's own commands around it: stop, restore, start, checks, and the way back
// where they fail. Invariant: what was stopped is started again, however the restore ended.

import { toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import type { UserCommand } from '../base/user-command.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';
import { type InPlaceOptions, type InPlaceResult, restoreInPlace } from './restore-in-place.ts';
import type { RestorePlan } from './restore-plan.ts';
import { applyUndo, planUndo, type UndoOptions, type UndoPlan } from './restore-undo.ts';
import { type CommandHost, requireTrusted, trusted, trustState } from './trust.ts';
import { type CheckResult, runChecks, runUserCommand } from './user-commands.ts';

export type ServiceOptions = Omit<InPlaceOptions, 'beforeSwap'> & {
  /** True where a person said that it is stopped: then nothing is stopped or started. */
  readonly alreadyStopped: boolean;
  /** Asked when checks fail: true takes the restore back. */
  readonly rollBack: (failed: readonly CheckResult[]) => Promise<boolean>;
};

export type ServiceResult = InPlaceResult & { readonly checks: readonly CheckResult[]; readonly rolledBack: boolean };

/** Whether a stop command will run for this plan: then nobody has to say that databases are free. */
function willStop(project: Pick<Project, 'config'>, plan: RestorePlan, options: Pick<ServiceOptions, 'databases' | 'alreadyStopped'>): boolean {
  const concerned = plan.work.whole || plan.liveDatabases.length > 0;
  return project.config.restore.stop !== undefined && concerned && options.databases === 'stopped' && !options.alreadyStopped;
}

/**
 * @throws CoraError refused where a command is not trusted or the stop command fails (nothing changed); what `restoreInPlace` throws
 */
export async function restoreWithService(
  project: Project,
  location: VaultLocation,
  plan: RestorePlan,
  options: ServiceOptions,
  host: CommandHost,
  ctx: Context,
): Promise<ServiceResult> {
  const stops = willStop(project, plan, options);
  const service = new Service(project, plan.id, host, ctx);
  if (stops) service.requireTrust();
  let result: InPlaceResult;
  try {
    result = await restoreInPlace(project, location, plan, { ...options, host, beforeSwap: stops ? () => service.stop() : undefined }, ctx);
  } finally {
    await service.start();
  }
  const checks = plan.work.whole || plan.liveDatabases.length > 0 ? await service.check() : [];
  const failed = checks.filter(({ ok }) => !ok);
  if (failed.length === 0 || !(await options.rollBack(failed)))
    return { ...result, problems: [...result.problems, ...service.problems], checks, rolledBack: false };
  await undoWithService(planUndo(project.root), service, stops, { project, location, host, preSnapshot: options.preSnapshot }, ctx);
  return { ...result, problems: [...result.problems, ...service.problems], checks, rolledBack: true };
}

/**
 * `cora restore --undo`, with the service stopped meanwhile.
 * @param stops false where a person said that it is stopped, or nothing that it uses changes places
 * @throws CoraError refused where a command is not trusted or fails; what `applyUndo` throws
 */
export async function undoProject(
  project: Project,
  plan: UndoPlan,
  stops: boolean,
  options: Pick<UndoOptions, 'location' | 'preSnapshot'>,
  host: CommandHost,
  ctx: Context,
): Promise<readonly Problem[]> {
  const service = new Service(project, plan.id, host, ctx);
  if (stops) service.requireTrust();
  const unsaved = await undoWithService(plan, service, stops, { ...options, project, host }, ctx);
  return [...unsaved, ...service.problems];
}

async function undoWithService(plan: UndoPlan, service: Service, stops: boolean, options: UndoOptions, ctx: Context): Promise<readonly Problem[]> {
  try {
    if (stops) await service.stop();
    return await applyUndo(plan, options, ctx);
  } finally {
    await service.start();
  }
}

/** The user's commands, and whether what they stop is stopped. */
class Service {
  readonly problems: Problem[] = [];
  readonly #project: Project;
  readonly #host: CommandHost;
  readonly #ctx: Context;
  readonly #facts: Readonly<Record<string, string>>;
  #stopped = false;

  constructor(project: Project, id: string, host: CommandHost, ctx: Context) {
    this.#project = project;
    this.#host = host;
    this.#ctx = ctx;
    this.#facts = { CORA_ID: id, CORA_PROJECT: toText(project.root) };
  }

  requireTrust(): void {
    const { stop, start } = this.#project.config.restore;
    requireTrusted(
      this.#project,
      [stop, start].filter((one) => one !== undefined),
      this.#host,
    );
  }

  /** @throws CoraError refused where it fails */
  async stop(): Promise<void> {
    const { stop } = this.#project.config.restore;
    if (stop === undefined) return;
    this.#stopped = true;
    const { ok, message, output } = await this.#run(stop);
    if (ok) return;
    throw new CoraError('refused', `The command that stops the service (restore.stop) ${message}${lastLine(output)}; nothing was changed`, {
      hint: 'stop it by hand and add --confirm-service-stopped',
    });
  }

  /** Starts what was stopped; that it fails is told, and does not undo a restore. */
  async start(): Promise<void> {
    const { start } = this.#project.config.restore;
    if (!this.#stopped || start === undefined) return;
    this.#stopped = false;
    try {
      const { ok, message, output } = await this.#run(start);
      if (!ok) this.#problem('start_failed', `The command that starts the service (restore.start) ${message}${lastLine(output)}`);
    } catch (error) {
      this.#problem('start_failed', `The command that starts the service (restore.start) was not run: ${messageOf(error)}`);
    }
  }

  async check(): Promise<readonly CheckResult[]> {
    const { checks } = this.#project.config;
    const barred = checks.find((check) => trustState(this.#project, check, this.#host) !== 'trusted');
    if (barred !== undefined) {
      this.#problem('checks_not_run', `The checks of ${barred.from} were not run: nobody has allowed them on this machine (cora trust)`, 'warning');
      return [];
    }
    const results = await runChecks(this.#project, checks, {
      cwd: this.#project.root,
      host: this.#host,
      facts: this.#facts,
      signal: this.#ctx.signal,
    });
    for (const { name, ok, message } of results) if (!ok) this.#problem('check_failed', `The check ${name} failed: ${message}`);
    return results;
  }

  async #run(command: UserCommand) {
    const { commandTimeout: timeout } = this.#project.config.restore;
    return runUserCommand(trusted(this.#project, command, this.#host), { cwd: this.#project.root, host: this.#host, facts: this.#facts, timeout });
  }

  #problem(code: string, message: string, severity: Problem['severity'] = 'error'): void {
    const problem = { code, message, severity };
    this.problems.push(problem);
    this.#ctx.monitor.problem(problem);
  }
}

function lastLine(output: string): string {
  const last = output.trim().split('\n').at(-1) ?? '';
  return last === '' ? '' : ` (${last.slice(0, 200)})`;
}
