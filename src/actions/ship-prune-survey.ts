// What `cora ship --prune` may remove at a remote, as data: every copy of this vault with a reason, and directories that are no copy.
// Nothing is changed here. Of another vault nothing is ever taken, and what cannot be told for sure stays.

import type { Context } from '../base/context.ts';
import { type Pin, pinText, type Rules, rulesOf, WEEKDAYS } from '../base/retention-rules.ts';
import { COMPLETE, copyDirectory } from '../format/complete.ts';
import type { BackupType } from '../format/report.ts';
import { listSnapshots, type SnapshotRef, tryReport } from '../vault/catalog.ts';
import { parseId, timeOfId } from '../vault/layout.ts';
import { copyKey, readOffsite } from '../vault/offsite-record.ts';
import type { LockState, RemoteRecord } from '../vault/offsite-shape.ts';
import { pinsOf } from '../vault/pins.ts';
import { type Candidate, type Decision, planRetention, type RetentionPolicy } from '../vault/retention.ts';
import type { Vault } from '../vault/vault.ts';
import { isFrozen } from './lost.ts';
import { keepsVersions, lockCopy } from './offsite-lock.ts';
import { listCopies, listObjects, type Remote, type RemoteCopy } from './offsite-remote.ts';
import { pendingCopies } from './offsite-status.ts';
import type { ProjectFacts } from './open-project.ts';
import { isGood } from './report-state.ts';
import { stopIfAborted } from './settle.ts';

export type RemoteCandidate = Candidate & { readonly copy: RemoteCopy };

/** A directory of a copy without a marker: half shipped or half deleted. */
export type Leftover = {
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
  readonly goes: boolean;
  readonly reason: string;
};

export type RemotePrunePlan = {
  readonly remote: string;
  readonly env: string;
  readonly rules: Rules;
  /** Oldest first. */
  readonly decisions: readonly Decision<RemoteCandidate>[];
  readonly leftovers: readonly Leftover[];
  /** Names in the env that are neither, and are never touched. */
  readonly strange: readonly string[];
  /** Why nothing may be removed now; undefined where it may. */
  readonly refusal: { readonly message: string; readonly hint: string } | undefined;
  /** What a deletion means at this remote, where it is not plain. */
  readonly versions: string | undefined;
};

/** A directory without a marker that is younger than this may be on its way. */
const HALF_DONE = 7 * 86_400_000;
const TYPES: ReadonlySet<string> = new Set(['daily', 'weekly', 'monthly', 'manual', 'auto', 'save', 'fallback']);

/** @throws CoraError remote_failed, interrupted */
export async function planRemotePrune(project: ProjectFacts, vault: Vault, remote: Remote, ctx: Context): Promise<RemotePrunePlan> {
  const env = project.config.offsite.env ?? vault.info.name;
  const { copies, damaged } = await listCopies(remote, env);
  const objects = await listObjects(remote, env);
  const now = ctx.now();
  const known = readOffsite(vault).remotes[remote.name];
  const record = known?.env === env ? known : undefined;
  const refs = listSnapshots(vault);
  const own = copies.filter(({ complete }) => complete.vault_id === vault.info.vault_id);
  const facts = { vault, refs, record, pins: pinsOf(vault, now), sizes: sizesOf(objects, env), now };
  const { retention } = project.config;
  const rules = rulesOf(project.config.offsite.retention);
  const weekStart = WEEKDAYS.indexOf(retention.weekStarts) as RetentionPolicy['weekStart'];
  const policy: RetentionPolicy = { saves: rules, backups: rules, weekStart, maxSize: undefined, automatic: false };
  const candidates = own.map((copy, index) => candidateOf(copy, index, facts));
  const { candidates: asked, versions } = await askLocks(candidates, policy, remote, project.config.offsite.lock !== undefined, ctx);
  const { decisions: all, refusal } = planRetention(asked, policy, now);
  // Whoever may write there may put copies there that nothing here knows; they take no place of those that were proven.
  const proven = new Map(
    planRetention(
      asked.filter(({ verified }) => verified),
      policy,
      now,
    ).decisions.map((decision) => [decision.candidate, decision]),
  );
  const decisions = all.map((decision) => (decision.keep ? decision : (proven.get(decision.candidate) ?? decision)));
  const isOurs = own.length > 0 && own.length === copies.length;
  const marked = new Set([...copies, ...damaged].map(({ directory }) => directory));
  const unmarked = [...facts.sizes].filter(([directory]) => !marked.has(directory));
  return {
    remote: remote.name,
    env,
    rules,
    decisions,
    leftovers: unmarked.flatMap(([directory, size]) => leftoverOf(directory, size, env, isOurs, facts, project.config.offsite.saves) ?? []),
    strange: [...new Set([...objects.keys()].flatMap((path) => (directoryIn(path, env) === undefined ? (path.split('/')[0] ?? []) : [])))].sort(),
    refusal: refusalOf(refusal, isFrozen(vault)),
    versions,
  };
}

function refusalOf(refusal: string | undefined, frozen: boolean): RemotePrunePlan['refusal'] {
  if (frozen) return { message: 'Something critical is lost, and an old copy may be the last that has it', hint: 'cora lost' };
  return refusal === undefined
    ? undefined
    : { message: `${refusal}: nothing is removed`, hint: 'cora ship --check reads the copies; cora ship sends what is missing' };
}

type Facts = {
  readonly vault: Vault;
  readonly refs: readonly SnapshotRef[];
  readonly record: RemoteRecord | undefined;
  readonly pins: ReadonlyMap<string, Pin>;
  readonly sizes: ReadonlyMap<string, Size>;
  readonly now: number;
};

type Size = { readonly files: number; readonly bytes: number };

function candidateOf(copy: RemoteCopy, index: number, facts: Facts): RemoteCandidate {
  const { complete, directory } = copy;
  const { snapshot_id: id, kind } = complete;
  const { vault, refs, record, pins, sizes, now } = facts;
  const ref = refs.find((one) => one.kind === kind && one.id === id);
  const report = ref === undefined ? undefined : tryReport(vault, ref);
  const size = sizes.get(directory);
  const isWhole = size !== undefined && size.files >= complete.files && size.bytes >= complete.bytes;
  const pin = pins.get(id);
  const recorded = record?.copies[copyKey({ kind, id })];
  const isAltered = recorded !== undefined && recorded.marker_sha256 !== copy.sha256;
  return {
    copy,
    id,
    kind,
    // Copies of snapshots that the vault has no more are in no ledger; their order is that of the moments they stand for.
    sequence: index + 1,
    time: Date.parse(complete.backup_start),
    timezone: report?.timezone ?? 'UTC',
    state: isWhole && !isAltered ? stateOf(complete.status, report !== undefined && isGood(report)) : 'damaged',
    type: TYPES.has(complete.type) ? (complete.type as BackupType) : 'manual',
    byHand: complete.type === 'manual',
    verified: recorded !== undefined && !isAltered,
    hold: pin !== undefined ? pinText(pin) : complete.labelled ? 'has a label' : undefined,
    need: kind === 'save' ? 'saves need what earlier ones hold: their copies stay' : lockText(recorded?.lock, now),
  };
}

function stateOf(status: 'complete' | 'partial' | 'suspect', good: boolean): Candidate['state'] {
  if (status === 'suspect') return 'suspect';
  return status === 'complete' || good ? 'good' : 'incomplete';
}

function lockText(lock: LockState | undefined, now: number): string | undefined {
  if (lock?.state !== 'locked' || !(Date.parse(lock.until) > now)) return undefined;
  return `locked there until ${lock.until.slice(0, 10)}`;
}

/** Of those that would go the remote itself is asked: a lock may have been set, or made longer, by somebody else. */
async function askLocks(candidates: readonly RemoteCandidate[], policy: RetentionPolicy, remote: Remote, wanted: boolean, ctx: Context) {
  const going = planRetention(candidates, policy, ctx.now()).decisions.filter(({ keep }) => !keep);
  const needs = new Map<RemoteCandidate, string>();
  let versions = remote.type === 'b2' ? `${remote.name} keeps old versions` : undefined;
  for (const { candidate } of going) {
    stopIfAborted(ctx);
    const { directory, complete } = candidate.copy;
    const lock = await lockCopy(remote, { directory, objects: complete.files + 1, now: ctx.now(), until: undefined });
    const held = lockText(lock, ctx.now());
    if (held !== undefined) needs.set(candidate, held);
    else if (lock.state === 'unknown' && wanted) needs.set(candidate, `whether it is locked there cannot be told: ${lock.why}`);
    if (keepsVersions(lock)) versions = `${remote.name} keeps old versions`;
  }
  const asked = candidates.map((candidate) => {
    const need = needs.get(candidate);
    return need === undefined ? candidate : { ...candidate, need };
  });
  return { candidates: asked, versions };
}

const DIRECTORY = /^((?:progress\/)?\d{4}-\d{2}-\d{2}\/([^/]+))\/./;

/** The copy's directory that an object of the env belongs to; undefined for what Cora does not put there. */
function directoryIn(path: string, env: string): string | undefined {
  const match = DIRECTORY.exec(path);
  const id = parseId(match?.[2] ?? '');
  if (match?.[1] === undefined || id === undefined) return undefined;
  const kind = path.startsWith('progress/') ? 'save' : 'backup';
  const directory = `${env}/${match[1]}`;
  return copyDirectory(env, kind, id) === directory ? directory : undefined;
}

/** Objects of each directory, the marker apart. */
function sizesOf(objects: ReadonlyMap<string, number>, env: string): Map<string, Size> {
  const sizes = new Map<string, Size>();
  for (const [path, bytes] of objects) {
    const directory = directoryIn(path, env);
    if (directory === undefined) continue;
    const size = sizes.get(directory) ?? { files: 0, bytes: 0 };
    const isMarker = path.endsWith(`/${COMPLETE}`) && `${env}/${path}` === `${directory}/${COMPLETE}`;
    sizes.set(directory, isMarker ? size : { files: size.files + 1, bytes: size.bytes + bytes });
  }
  return sizes;
}

function leftoverOf(directory: string, size: Size, env: string, isOurs: boolean, facts: Facts, saves: boolean): Leftover | undefined {
  const id = parseId(directory.slice(directory.lastIndexOf('/') + 1));
  if (id === undefined) return undefined;
  const kinds = directory.startsWith(`${env}/progress/`) ? (['save', 'fallback'] as const) : (['backup'] as const);
  const leftover = (goes: boolean, reason: string): Leftover => ({ directory, ...size, goes, reason });
  if (!isOurs) return leftover(false, 'half a copy, and nobody knows whose');
  if (pendingCopies(facts.refs, facts.record, saves).some((ref) => ref.id === id && kinds.some((kind) => kind === ref.kind)))
    return leftover(false, 'half a copy: cora ship goes on with it');
  if (kinds.some((kind) => facts.record?.retired?.includes(copyKey({ kind, id })) === true))
    return leftover(true, 'the rest of a copy that was removed before');
  if (facts.now - timeOfId(id) < HALF_DONE) return leftover(false, 'half a copy, younger than 7 days');
  return leftover(true, 'half a copy, older than 7 days, and the vault has no such snapshot to ship');
}
