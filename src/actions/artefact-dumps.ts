// The outputs of command artefacts, made before a capture begins and without the vault's lock (a dump may
// take an hour). Each lies in a staging directory until the capture has stored it. Invariant: an output
// counts only where its command ended with 0 and gave at least `min_size`; else it is a named problem.

import { createHash } from 'node:crypto';
import { closeSync, createReadStream, fstatSync, openSync, rmSync } from 'node:fs';
import { type Artefact, artefactPath } from '../base/artefact.ts';
import { type Bytes, fromText, fsPath, toText } from '../base/bytes.ts';
import type { Context, Problem } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { UserCommand } from '../base/user-command.ts';
import { openStage, type Stage, type Vault } from '../vault/vault.ts';
import type { ProjectFacts } from './open-project.ts';
import { type CommandHost, trusted } from './trust.ts';
import { runUserCommand } from './user-commands.ts';

/** Which artefacts a run takes besides those that it takes anyway, and which not. */
export type ArtefactChoice = {
  readonly with?: readonly string[];
  readonly without?: readonly string[];
  /** Who runs commands; without it none is run. */
  readonly host?: CommandHost;
};

/** The output of one command, or why there is none. */
export type Dump = {
  readonly artefact: Artefact;
  /** RFC 3339. */
  readonly capturedAt: string;
  readonly file?: { readonly path: Bytes; readonly size: number; readonly sha256: string };
  readonly problem?: Problem;
};

/** What was decided and made before the capture. */
export type ArtefactRun = {
  readonly choice: ArtefactChoice;
  readonly dumps: readonly Dump[];
};

/** A run that starts no command. */
export const NO_ARTEFACTS: ArtefactRun = { choice: {}, dumps: [] };

/** True where a run leaves the artefact out because nobody asked for it, or somebody asked to leave it out. */
export function isLeftOut({ name, optional }: Artefact, choice: ArtefactChoice): boolean {
  return choice.without?.includes(name) === true || (optional && choice.with?.includes(name) !== true);
}

/**
 * Runs the commands that are due, then `use` with their outputs, and takes those away.
 * @param due true for a backup: every command that is not left out; else only those that are named
 * @param open gives the vault, unlocked; called only where a command runs
 * @throws CoraError usage for a name that no artefact has; interrupted
 */
export async function withDumps<T>(
  project: ProjectFacts,
  choice: ArtefactChoice,
  due: boolean,
  open: () => Vault,
  ctx: Context,
  use: (run: ArtefactRun) => Promise<T>,
): Promise<T> {
  const { artefacts } = project.config;
  const unknown = [...(choice.with ?? []), ...(choice.without ?? [])].find((name) => !artefacts.some((one) => one.name === name));
  if (unknown !== undefined) {
    const names = artefacts.map(({ name }) => name).join(', ');
    throw new CoraError('usage', `No artefact is called ${unknown}`, {
      hint: names === '' ? 'name it in [[artefacts]] of cora.toml' : `there is ${names}`,
    });
  }
  const wanted = artefacts.filter((one) => one.command !== undefined && !isLeftOut(one, choice) && (due || choice.with?.includes(one.name) === true));
  if (wanted.length === 0) return use({ choice, dumps: [] });
  const stage = openStage(open());
  try {
    const dumps: Dump[] = [];
    for (const artefact of wanted) {
      const dump = await makeDump(project, artefact, choice.host, stage, ctx);
      if (dump.problem !== undefined) ctx.monitor.problem(dump.problem);
      dumps.push(dump);
    }
    return await use({ choice, dumps });
  } finally {
    stage.release();
  }
}

async function makeDump(project: ProjectFacts, artefact: Artefact, host: CommandHost | undefined, stage: Stage, ctx: Context): Promise<Dump> {
  const capturedAt = new Date(ctx.now()).toISOString();
  const failed = (message: string): Dump => ({
    artefact,
    capturedAt,
    problem: {
      code: 'artefact_failed',
      path: toText(artefactPath(artefact.name)),
      message: `The artefact ${artefact.name} is not in this snapshot: ${message} (cora list ${toText(artefactPath(artefact.name))} shows what holds it)`,
      severity: 'error',
    },
  });
  if (host === undefined || artefact.command === undefined) return failed('this run may not start commands');
  let command: ReturnType<typeof trusted<UserCommand>>;
  try {
    command = trusted(project, artefact.command, host);
  } catch (error) {
    // A backup is worth having without it; the person learns how to allow it.
    if (!(error instanceof CoraError) || error.code !== 'refused') throw error;
    return failed(`${messageOf(error)}; ${error.hint ?? ''}`);
  }
  ctx.monitor.note(`Artefact ${artefact.name}: running its command`);
  const path = `${stage.path}/${artefact.name}`;
  const fd = openSync(path, 'wx', 0o600);
  try {
    const facts = { CORA_PROJECT: toText(project.root), CORA_ARTEFACT: artefact.name };
    const { ok, message, output } = await runUserCommand(command, {
      ...{ cwd: project.root, host, facts, stdout: fd, timeout: artefact.timeout, signal: ctx.signal },
    });
    const { size } = fstatSync(fd);
    const why = ok ? tooSmall(size, artefact.minSize) : `its command ${message}${lastLine(output)}`;
    if (why !== undefined) {
      rmSync(path);
      return failed(why);
    }
    return { artefact, capturedAt, file: { path: fromText(path), size, sha256: await hashOfFile(fromText(path)) } };
  } finally {
    closeSync(fd);
  }
}

function tooSmall(size: number, least: number): string | undefined {
  return size >= least ? undefined : `its command gave ${formatBytes(size)}, less than min_size (${formatBytes(least)})`;
}

function lastLine(output: string): string {
  const last = output.split('\n').at(-1) ?? '';
  return last === '' ? '' : `: ${last.slice(0, 300)}`;
}

/** sha256 of a file, 64 hex digits. */
export async function hashOfFile(path: Bytes): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(fsPath(path))) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
