// A restore plan that somebody was shown, and the right to carry out exactly that plan, once and soon: for
// assistants (cora mcp) and phrases (cora say), which must not change anything between the showing and the yes.
// Invariant: a token stands for one snapshot, one plan and one state of the live entries that it concerns;
// where any of them is another one, or ten minutes are over, nothing is restored.

import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { type Bytes, bytes, fromText, joinBytes, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, errnoOf } from '../base/errors.ts';
import { namesIn, readCacheFile, replaceFile } from '../os/files.ts';
import { onPath } from '../os/long-path.ts';
import { NAMES } from '../vault/layout.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { ProjectFacts } from './open-project.ts';
import { planRestore, type RestoreOptions, type RestorePlan } from './restore-plan.ts';

/** How long a plan may be carried out. */
export const PLAN_LIFE_MS = 10 * 60_000;

/** What a token stands for. Data alone: it can be kept as JSON. */
export type PlanTicket = {
  readonly token: string;
  /** What makes the same plan again: an exact snapshot id, paths relative to the project. */
  readonly options: RestoreOptions;
  /** Hash of the plan, and of the live entries that it concerns. */
  readonly plan: string;
  readonly tree: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
};

const TOKEN = /^plan-[0-9a-f]{16}$/;
/** A ticket's file, and what a run that was killed left of one. */
const TICKET = /^plan-[0-9a-f]{16}\.json(?:\.new)?$/;
const TICKET_MOST = 1 << 26;
const AGAIN = 'make the plan again and look at it';

/**
 * A ticket for a plan that was just made.
 * @param options what it was made from
 */
export function ticketFor(plan: RestorePlan, options: RestoreOptions, now: number): PlanTicket {
  const { here: _here, ...asked } = options;
  const colon = options.target?.indexOf(':') ?? -1;
  const inTarget = options.target === undefined || colon < 0 ? [] : [bytes(options.target.slice(colon + 1))];
  return {
    token: `plan-${randomBytes(8).toString('hex')}`,
    options: { ...asked, target: fromText(plan.id), paths: [...options.paths, ...inTarget] },
    plan: planHash(plan),
    tree: treeHash(plan),
    expires: now + PLAN_LIFE_MS,
  };
}

/**
 * The plan of a ticket, made once more and compared. The caller has taken the ticket, so that it is of no use a second time.
 * @throws CoraError refused where the ticket is too old, or snapshot, plan or live entries are no longer those that were
 * shown; what `planRestore` throws
 */
export async function planAgain(ticket: PlanTicket, project: ProjectFacts | undefined, location: VaultLocation, ctx: Context): Promise<RestorePlan> {
  // A clock that was set back must not make a plan young again.
  const left = ticket.expires - ctx.now();
  if (left <= 0 || left > PLAN_LIFE_MS)
    throw new CoraError('refused', 'The restore plan is older than ten minutes: nothing was restored', { hint: AGAIN });
  const plan = await planRestore(project, location, ticket.options, ctx);
  requireUnchanged(ticket, plan);
  return plan;
}

/**
 * That a plan and the live entries it concerns are those of the ticket: once more right before anything changes.
 * @throws CoraError refused
 */
export function requireUnchanged(ticket: PlanTicket, plan: RestorePlan): void {
  if (treeHash(plan) !== ticket.tree)
    throw new CoraError('refused', 'What the restore would replace has changed since it was planned: nothing was restored', { hint: AGAIN });
  if (planHash(plan) !== ticket.plan)
    throw new CoraError('refused', 'The restore would do something else now than it was planned to do: nothing was restored', { hint: AGAIN });
}

/**
 * For `restoreInPlace`: that nobody changed the files of the plan while they were staged and what is there was saved. Not its
 * databases, which the restore itself puts in order before they change places, and which programs write to through SQLite.
 */
export function guardOf(plan: RestorePlan): () => () => void {
  return () => {
    const before = treeHash(plan, 'files');
    return () => {
      if (treeHash(plan, 'files') === before) return;
      throw new CoraError('refused', 'What the restore would replace was changed meanwhile: nothing was restored', { hint: AGAIN });
    };
  };
}

/** Tickets of one process: those of an assistant's session or of one server, which no other one can use. */
export type TicketsOf<T> = { keep(ticket: T): void /** Only once. @throws CoraError refused */; take(token: string): T };
export type Tickets = TicketsOf<PlanTicket>;

/** At most this many plans wait for their yes; older ones make room. */
const WAITING = 100;

export function ticketsInMemory<T extends { readonly token: string } = PlanTicket>(): TicketsOf<T> {
  const waiting = new Map<string, T>();
  return {
    keep(ticket) {
      const [oldest] = waiting.keys();
      if (waiting.size >= WAITING && oldest !== undefined) waiting.delete(oldest);
      waiting.set(ticket.token, ticket);
    },
    take(token) {
      const ticket = waiting.get(token);
      waiting.delete(token);
      return ticket ?? unknown();
    },
  };
}

/** Tickets between two commands, in the vault's caches: a plan that one run printed and another one carries out. */
export function ticketsInVault(vaultRoot: string, now: number): Tickets {
  const directory = `${vaultRoot}/${NAMES.cache}/plans`;
  const path = (token: string) => `${directory}/${token}.json`;
  return {
    keep(ticket) {
      // A link in its place leads to files of somebody else.
      if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) rmSync(directory, { force: true });
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      for (const name of namesIn(directory).filter((one) => TICKET.test(one))) {
        const old = lstatSync(`${directory}/${name}`, { throwIfNoEntry: false });
        if (old !== undefined && Math.abs(now - old.mtimeMs) > PLAN_LIFE_MS) rmSync(`${directory}/${name}`, { force: true });
      }
      replaceFile(path(ticket.token), JSON.stringify(ticket), false);
    },
    take(token) {
      // Only what this user wrote here: what somebody else laid down was shown to nobody.
      const status = TOKEN.test(token) ? lstatSync(path(token), { throwIfNoEntry: false }) : undefined;
      if (status?.isFile() !== true || status.uid !== process.geteuid?.()) return unknown();
      const text = readCacheFile(path(token), TICKET_MOST)?.toString();
      if (text === undefined) return unknown();
      try {
        // Of two runs at the same moment one removes it; the other one has nothing.
        rmSync(path(token));
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return unknown();
        throw error;
      }
      return parseTicket(text, token) ?? unknown();
    },
  };
}

/** A cache may hold anything; what is not a ticket of this form is none. */
function parseTicket(text: string, token: string): PlanTicket | undefined {
  try {
    const value = JSON.parse(text) as Partial<PlanTicket> | null;
    const whole =
      value?.token === token &&
      typeof value.plan === 'string' &&
      typeof value.tree === 'string' &&
      typeof value.expires === 'number' &&
      typeof value.options?.target === 'string' &&
      Array.isArray(value.options.paths);
    return whole ? (value as PlanTicket) : undefined;
  } catch {
    return undefined;
  }
}

function unknown(): never {
  throw new CoraError('refused', 'No restore plan waits under this token: nothing was restored', {
    hint: 'a token is good for one restore, for ten minutes, where it was made; make the plan again',
  });
}

/** All that a plan would do, entry by entry, and from which content. */
function planHash(plan: RestorePlan): string {
  const { ref, report, entries, refused, whole } = plan.work;
  const hash = createHash('sha256');
  const add = (...fields: readonly unknown[]) => hash.update(`${JSON.stringify(fields)}\n`);
  add(
    plan.id,
    plan.kind,
    ref.kind,
    report.vault_id,
    report.sequence,
    report.previous,
    report.backup_start,
    plan.directory,
    plan.inPlace,
    plan.modes,
    whole,
  );
  for (const { action, path, size } of plan.changes) add(action, path, size);
  for (const { type, mode, uid, gid, mtime, size, sha256, path, link, pieces } of entries)
    add(
      type,
      mode,
      uid,
      gid,
      String(mtime),
      size,
      sha256,
      path,
      link,
      pieces === undefined ? undefined : createHash('sha256').update(pieces).digest('hex'),
    );
  add(plan.extras, plan.liveDatabases, refused);
  return hash.digest('hex');
}

/** A database's newest rows may be in these alone. */
const SIDECARS = ['-wal', '-journal'];

/** What stands now where the plan would write, or move something away. */
function treeHash(plan: RestorePlan, what: 'all' | 'files' = 'all'): string {
  const hash = createHash('sha256');
  const look = (path: Bytes, kind: 'entry' | 'sidecar' = 'entry') => {
    const stat = onPath(joinBytes(plan.directory, path), (reachable) => lstatSync(reachable, { throwIfNoEntry: false, bigint: true }));
    if (stat === undefined || (kind === 'sidecar' && stat.size === 0n)) hash.update(`${JSON.stringify([path])}\n`);
    // A directory's time tells of entries that do not concern us; its change of owner or mode does.
    else if (stat.isDirectory()) hash.update(`${JSON.stringify([path, 'd', ...[stat.mode, stat.uid, stat.gid].map(String)])}\n`);
    else hash.update(`${JSON.stringify([path, ...[stat.mode, stat.uid, stat.gid, stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino].map(String)])}\n`);
  };
  const databases = new Set(plan.liveDatabases);
  const paths = [...plan.work.entries, ...plan.changes].map((entry) => entry.path);
  for (const path of new Set([...paths, ...plan.extras])) if (what === 'all' || !databases.has(path)) look(path);
  if (what === 'all') for (const path of databases) for (const suffix of SIDECARS) look(bytes(path + suffix), 'sidecar');
  hash.update(toText(plan.directory));
  return hash.digest('hex');
}
