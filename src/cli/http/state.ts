// What the state routes and the metrics are made from: `cora health` and `cora status`, each in a process of its own, because
// they look at every snapshot in one go and the server must answer others meanwhile. Remembered for a moment: a page, its other
// tabs and a Prometheus must not make it look twice. A ledger with another end is looked at again.

import { statSync } from 'node:fs';
import { z } from 'zod';
import { goodBackups } from '../../actions/health-vault.ts';
import { type KeptPromise, type NewestBackup, promisesOf } from '../../actions/promises.ts';
import { toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { run } from '../../os/run.ts';
import { listSnapshots } from '../../vault/catalog.ts';
import { NAMES, parseId, snapshotDirectory, timeOfId } from '../../vault/layout.ts';
import { openLocated, type VaultLocation } from '../../vault/locate.ts';
import type { Project } from '../../vault/project.ts';
import { protectionsOf } from '../../vault/seal.ts';
import type { Session } from '../command.ts';

const time = z.string().transform((text) => Date.parse(text));
const lastRun = z.object({ snapshot_id: z.string(), time, ok: z.boolean() }).nullable();

/** Of docs/json.md, what is read here; all else of a document goes on as it is. */
const healthSchema = z.object({
  health: z.enum(['ok', 'warning', 'critical']),
  checks: z.array(
    z.object({ name: z.string(), level: z.enum(['ok', 'note', 'warning', 'critical']), message: z.string(), next: z.string().nullable() }),
  ),
  backups: z.array(z.object({ size: z.number().nullable(), duration: z.number().nullable(), wal_size: z.number().nullable() })).nullable(),
  drills: z.object({ count: z.number(), succeeded: z.number() }),
});

const statusSchema = z.looseObject({
  project: z.object({ name: z.string(), root: z.string() }),
  vault: z.object({ path: z.string(), exists: z.boolean(), size: z.number(), free: z.number(), same_disk: z.boolean() }),
  last_save: lastRun,
  last_backup: lastRun,
  last_verify: lastRun,
  last_drill: z.object({ snapshot_id: z.string(), time, outcome: z.string(), whole: z.boolean() }).nullable(),
  saves: z.number(),
  backups: z.number(),
  fallbacks: z.number(),
  sealed: z.number(),
  failures: z.object({ count: z.number(), pushes_without_save: z.number() }),
  losses: z.array(z.unknown()),
  warnings: z.array(z.unknown()),
  offsite: z
    .array(
      z.object({
        remote: z.string(),
        place: z.string(),
        copies: z.number(),
        unshipped: z.number(),
        current: z.boolean(),
        newest: z.object({ snapshot_id: z.string(), time }).nullable(),
      }),
    )
    .nullable(),
});

export type State = {
  readonly health: z.output<typeof healthSchema>;
  readonly status: z.output<typeof statusSchema>;
  readonly promises: readonly KeptPromise[];
  /** The result of `cora status --json`, whole. */
  readonly document: Readonly<Record<string, unknown>>;
};

/** What nobody writes down in the ledger (free space, a timer that was stopped) is at most so old. */
const LIFE_MS = 10_000;
const TIMEOUT_MS = 120_000;

/** The state now, or that of a moment ago. */
export type Watch = (session: Session) => Promise<State>;

export function openWatch(): Watch {
  let last: { readonly key: string; until: number; readonly state: Promise<State> } | undefined;
  return async (session) => {
    const { project, location } = await session.open();
    const key = keyOf(location);
    const now = performance.now();
    if (last !== undefined && last.key === key && now < last.until) return last.state;
    const state = look(project, location, session);
    // As long as it takes, and its time from then on.
    const mine = { key, until: Number.POSITIVE_INFINITY, state };
    last = mine;
    state.then(
      () => {
        mine.until = performance.now() + LIFE_MS;
      },
      () => {
        mine.until = 0;
      },
    );
    return state;
  };
}

function keyOf({ path }: VaultLocation): string {
  const stat = statSync(`${path}/${NAMES.chain}`, { throwIfNoEntry: false });
  return `${path} ${stat?.size} ${stat?.mtimeMs} ${stat?.ino}`;
}

async function look(project: Project, location: VaultLocation, session: Session): Promise<State> {
  const [health, document] = await Promise.all([ask('health', session, project), ask('status', session, project)]);
  const status = statusSchema.parse(document);
  const run = (last: z.output<typeof lastRun>) => (last === null ? undefined : { id: last.snapshot_id, time: last.time, ok: last.ok });
  const { last_drill: drill } = status;
  const promises = promisesOf({
    lastSave: run(status.last_save),
    lastBackup: run(status.last_backup),
    lastVerify: run(status.last_verify),
    lastDrill: drill === null ? undefined : { id: drill.snapshot_id, time: drill.time, ok: drill.outcome === 'ok', whole: drill.whole },
    newestBackup: newestBackup(location, status.last_backup, session.ctx.now()),
    remotes: (status.offsite ?? []).map(({ place, current, newest }) => ({
      place,
      current,
      newest: newest === null ? undefined : { id: newest.snapshot_id, time: newest.time },
    })),
    isLost: status.losses.length > 0,
    maySeal: process.getuid?.() === 0,
    maxAge: project.config.health.maxAge,
    now: session.ctx.now(),
  });
  return { health: healthSchema.parse(health), status, promises, document };
}

/** The newest good one; where none is good, the newest; undefined where it is gone. */
function newestBackup(location: VaultLocation, last: z.output<typeof lastRun>, now: number): NewestBackup | undefined {
  if (last === null) return undefined;
  const vault = openLocated(location);
  const good = last.ok ? parseId(last.snapshot_id) : goodBackups(vault, listSnapshots(vault), now, 1)[0]?.ref.id;
  const id = good ?? parseId(last.snapshot_id);
  if (id === undefined) return undefined;
  const ref = { id, kind: 'backup', directory: snapshotDirectory('backup', id), sequence: undefined } as const;
  if (statSync(`${location.path}/${ref.directory}`, { throwIfNoEntry: false }) === undefined) return undefined;
  return { id, time: timeOfId(id), isGood: good !== undefined, isNewest: last.ok, isSealed: protectionsOf(vault, [ref]).get(ref) === 'kernel' };
}

type Document = {
  readonly ok: boolean;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | null;
    readonly details: Readonly<Record<string, unknown>>;
  };
};

/** The result of a command of ours that only looks. What health finds is a result, also where it is an error of the command. */
async function ask(command: 'health' | 'status', session: Session, project: Project): Promise<Readonly<Record<string, unknown>>> {
  const { machine, globals, ctx } = session;
  const vault = globals.vault === undefined ? [] : ['--vault', toText(globals.vault)];
  const { stdout, stderr } = await run(machine.launcher, [command, '--json', ...vault], {
    cwd: toText(project.root),
    env: environmentOf(machine.environment),
    timeout: TIMEOUT_MS,
    signal: ctx.signal,
  });
  if (ctx.signal.aborted) throw new CoraError('interrupted', 'Interrupted');
  const document = parsed(stdout.toString());
  const result = document?.result ?? (command === 'health' ? document?.error?.details : undefined);
  if (result !== undefined && (command === 'status' || 'health' in result)) return result;
  const { message, hint } = document?.error ?? { message: `cora ${command} gave no answer: ${stderr.slice(-300)}`, hint: null };
  throw new CoraError(document?.error?.code === 'vault_missing' ? 'vault_missing' : 'io', message, { hint: hint ?? `cora ${command}` });
}

function parsed(text: string): Document | undefined {
  try {
    return JSON.parse(text) as Document;
  } catch {
    return undefined;
  }
}

/** Without what systemd meant for this process alone. */
function environmentOf(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value === undefined || name.startsWith('LISTEN_') ? [] : [[name, value]])),
  );
}
