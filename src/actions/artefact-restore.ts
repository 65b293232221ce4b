// Hands a command artefact of a snapshot to its restore command. What the server holds now is dumped into a
// save first; what is handed over was read back and compared with its hash before the command starts.

import { closeSync, openSync } from 'node:fs';
import { type Artefact, artefactPath } from '../base/artefact.ts';
import { type Bytes, fromText, fsPath, joinBytes, toText } from '../base/bytes.ts';
import { type Context, type Problem, SILENT } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { UserCommand } from '../base/user-command.ts';
import type { ArtefactReport, Report } from '../format/report.ts';
import { listSnapshots, readReport, resolveSnapshot, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { timeOfId } from '../vault/layout.ts';
import { openLocated, type VaultLocation } from '../vault/locate.ts';
import { openStage, type Vault } from '../vault/vault.ts';
import { hashOfFile } from './artefact-dumps.ts';
import type { ProjectFacts } from './open-project.ts';
import { applyRestore } from './restore.ts';
import { planRestore } from './restore-plan.ts';
import { save } from './save.ts';
import { type CommandHost, requireTrusted, type Trusted, trusted } from './trust.ts';
import { type CheckResult, runChecks, runUserCommand } from './user-commands.ts';

export type ArtefactRestorePlan = {
  readonly artefact: Artefact;
  readonly command: Trusted<UserCommand>;
  /** The snapshot that it comes from. */
  readonly id: string;
  readonly report: ArtefactReport;
  readonly vault: Vault;
};

/**
 * @param target a snapshot's name, or undefined for the newest that holds it and is no loss (SUSPECT) and no save before a restore
 * @throws CoraError usage, refused (not trusted), unknown_snapshot, not_found
 */
export function planArtefactRestore(
  project: ProjectFacts,
  location: VaultLocation,
  { name, target }: { readonly name: string; readonly target: string | undefined },
  host: CommandHost,
  ctx: Context,
): ArtefactRestorePlan {
  const artefact = project.config.artefacts.find((one) => one.name === name);
  if (artefact?.command === undefined || artefact.restore === undefined) {
    const names = project.config.artefacts.filter(({ restore }) => restore !== undefined).map((one) => one.name);
    const why = artefact === undefined ? `No artefact is called ${name}` : `The artefact ${name} has no restore command`;
    throw new CoraError('usage', why, {
      hint:
        artefact?.path === undefined ? `there is ${names.join(', ') || 'none with a restore command'}` : `cora restore ID ${toText(artefact.path)}`,
    });
  }
  const command = trusted(project, artefact.restore, host);
  requireTrusted(project, [artefact.command, ...project.config.checks], host);
  const vault = openLocated(location);
  const found = target === undefined ? newestWith(vault, name, ctx.now()) : heldBy(vault, resolveSnapshot(vault, target, ctx.now()), name);
  return { artefact, command, vault, ...found };
}

type Found = { readonly id: string; readonly report: ArtefactReport };

function newestWith(vault: Vault, name: string, now: number): Found {
  for (const ref of listSnapshots(vault).reverse()) {
    const report = timeOfId(ref.id) > now + 120_000 ? undefined : tryReport(vault, ref);
    // What a restore saved before it began is mostly what was to be undone.
    const held = report === undefined || report.status === 'suspect' || report.trigger === 'restore' ? undefined : artefactOf(report, name);
    if (held !== undefined) return { id: ref.id, report: held };
  }
  throw new CoraError('not_found', `No snapshot holds the artefact ${name}`, { hint: `make one: cora save --with ${name}` });
}

function heldBy(vault: Vault, ref: SnapshotRef, name: string): Found {
  const report = artefactOf(readReport(vault, ref), name);
  if (report !== undefined) return { id: ref.id, report };
  throw new CoraError('not_found', `${ref.id} does not hold the artefact ${name}`, {
    hint: `cora list ${toText(artefactPath(name))} shows what does`,
  });
}

function artefactOf({ artefacts }: Report, name: string): ArtefactReport | undefined {
  return artefacts?.find((one) => one.name === name && one.ok && one.kind === 'command' && one.captured_at !== null);
}

export type ArtefactRestoreResult = {
  readonly name: string;
  readonly id: string;
  readonly capturedAt: string | null;
  readonly bytes: number;
  /** The save that holds what was there before; undefined where none was wanted. */
  readonly safety: string | undefined;
  readonly checks: readonly CheckResult[];
  readonly seconds: number;
  readonly problems: readonly Problem[];
};

/**
 * @param preSnapshot false: what is there now is not dumped first
 * @throws CoraError validation_failed where the restore command fails, or what is there now cannot be dumped; damaged; interrupted
 */
export async function applyArtefactRestore(
  project: ProjectFacts,
  location: VaultLocation,
  plan: ArtefactRestorePlan,
  { preSnapshot, host }: { readonly preSnapshot: boolean; readonly host: CommandHost },
  ctx: Context,
): Promise<ArtefactRestoreResult> {
  const begun = performance.now();
  const { artefact, id } = plan;
  const stage = openStage(plan.vault);
  try {
    // Taken out before the save below may clean anything up, and before anything is changed.
    const file = await takeOut(location, plan, fromText(`${stage.path}/out`), ctx);
    const safety = preSnapshot ? await saveBefore(project, location, plan, host, ctx) : undefined;
    const facts = { CORA_PROJECT: toText(project.root), CORA_ARTEFACT: artefact.name, CORA_ID: id };
    const fd = openSync(fsPath(file), 'r');
    let ended: Awaited<ReturnType<typeof runUserCommand>>;
    try {
      ended = await runUserCommand(plan.command, {
        ...{ cwd: project.root, host, facts, stdin: fd, timeout: artefact.timeout, signal: ctx.signal },
      });
    } finally {
      closeSync(fd);
    }
    const back = safety === undefined ? 'what was there before was not saved' : `cora artefact restore ${artefact.name} ${safety}`;
    if (!ended.ok) {
      throw new CoraError('validation_failed', `The restore command of ${artefact.name} ${ended.message}: ${lastLines(ended.output)}`, {
        hint: safety === undefined ? back : `mend that and try again, or go back: ${back}`,
        details: { snapshot_id: id, safety_snapshot_id: safety ?? null },
      });
    }
    const checks = await runChecks(project, project.config.checks, { cwd: project.root, host, facts, signal: ctx.signal });
    const problems = checks
      .filter(({ ok }) => !ok)
      .map(
        ({ name, message }): Problem => ({ code: 'check_failed', message: `The check ${name} failed: ${message}; back: ${back}`, severity: 'error' }),
      );
    for (const problem of problems) ctx.monitor.problem(problem);
    const seconds = (performance.now() - begun) / 1000;
    return { name: artefact.name, id, capturedAt: plan.report.captured_at, bytes: plan.report.bytes, safety, checks, seconds, problems };
  } finally {
    stage.release();
  }
}

/** The output as a file of ours, compared with what the report says of it. */
async function takeOut(location: VaultLocation, { id, artefact, report }: ArtefactRestorePlan, to: Bytes, ctx: Context): Promise<Bytes> {
  const path = artefactPath(artefact.name);
  const restore = await planRestore(undefined, location, { target: fromText(id), paths: [path], to, critical: false, overwrite: undefined }, ctx);
  const { damaged } = await applyRestore(restore, ctx);
  const file = joinBytes(to, path);
  if (damaged === 0 && (await hashOfFile(file)) === report.sha256) return file;
  throw new CoraError('damaged', `The artefact ${artefact.name} in ${id} is damaged: nothing was restored`, {
    hint: `cora list ${toText(path)} shows what else holds it`,
  });
}

async function saveBefore(
  project: ProjectFacts,
  location: VaultLocation,
  { artefact, id }: ArtefactRestorePlan,
  host: CommandHost,
  ctx: Context,
): Promise<string> {
  const note = `before the artefact ${artefact.name} of ${id} was restored`;
  // That something is lost is why a person restores; it is in that save's own report.
  const quiet: Context = { ...ctx, monitor: { ...SILENT, phase: ctx.monitor.phase, progress: ctx.monitor.progress } };
  const artefacts = { with: [artefact.name], host };
  const saved = await save(project, location, { label: 'pre-restore-safety', note, trigger: 'restore', artefacts }, quiet);
  const failed = saved.problems.find(({ code, path }) => code === 'artefact_failed' && path === toText(artefactPath(artefact.name)));
  if (failed === undefined) return saved.id;
  throw new CoraError('validation_failed', `What is there now could not be dumped, so nothing was restored: ${failed.message}`, {
    hint: 'mend that, or go without a way back to it: --no-pre-snapshot',
  });
}

function lastLines(output: string): string {
  return output.split('\n').slice(-3).join('; ').slice(0, 500);
}
