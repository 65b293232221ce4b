// The one judge of crash and fault trials (test/faults/, `cora torture`): after a run that was killed, cut off or met an
// error, is all that was ever claimed still there, byte for byte, is nothing half visible, and does the next run work
// without help? It looks at the bare disk first, without Cora; what Cora says is believed only where the disk agrees.

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fromBuffer, fromText } from '../base/bytes.ts';
import { EXIT, messageOf } from '../base/errors.ts';
import { namesIn } from '../os/files.ts';
import { type FoundSnapshot, lookAtDisk } from './judge-disk.ts';
import { recordTree, type TreeRecord, treeDifferences, withoutTop } from './judge-tree.ts';

/** How a run ended; code null: by a signal. */
export type CoraEnd = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** `cora ARGS` in the trial's project, with the trial's vault and home. */
export type RunCora = (args: readonly string[]) => Promise<CoraEnd>;

export type Places = {
  readonly project: string;
  readonly vault: string;
  /** A directory that the judge makes, restores into, and removes. */
  readonly scratch: string;
};

export type JudgedKind = 'save' | 'backup';

/** A snapshot of before the fault, recorded while all was sound. */
export type KnownSnapshot = {
  readonly kind: JudgedKind;
  readonly id: string;
  /** sha256 of its SHA256SUMS.txt. */
  readonly sums: string;
  /** What a restore of it gives. */
  readonly tree: TreeRecord;
};

export type Expectation = {
  /** Each must be there afterwards, its bytes unchanged, and give back its tree. */
  readonly older: readonly KnownSnapshot[];
  /** `kind id` of older ones that the command may delete: afterwards wholly there or wholly gone. */
  readonly mayGo?: ReadonlySet<string>;
  /** What a restore of a new snapshot must give: one of these, each recorded from a restore; undefined: anything, but it must succeed. */
  readonly newTrees?: readonly TreeRecord[];
  /** How the command ended; undefined where nobody waited for it. */
  readonly end: CoraEnd | undefined;
  /** What the command makes: with exit code 0 or 3 it has claimed one. */
  readonly makes: JudgedKind | null;
  /** What the project must be after the next run: one of these; undefined: not looked at. */
  readonly projects?: readonly TreeRecord[];
  /** The next run, `save` where not given, and the codes with which it has worked, 0 where not given. */
  readonly next?: readonly string[];
  readonly nextCodes?: readonly number[];
  /** Paths of the project that could not be read, by the fault: a snapshot may lack them where its report names them as problems. */
  readonly mayMiss?: boolean;
  /** Restores every older one, not only the newest of each kind. */
  readonly restoreAll?: boolean;
};

export type Rule = 'lost' | 'half' | 'damaged' | 'claim' | 'next' | 'left' | 'project';
export type Violation = { readonly rule: Rule; readonly sentence: string };

type Report = (rule: Rule, sentence: string) => void;
type Named = { readonly kind: string; readonly id: string };

const { noVault: NO_VAULT, incomplete: INCOMPLETE } = EXIT;

/** Left out of every comparison of projects: the records of restores in place, and SQLite's index of a -wal, which has no content of its own. */
const OWN = (path: string): boolean => /(?:^|\/)\.cora-restore$|-shm$/.test(path);

/**
 * The project as it is now, for `projects`. Times of directories are left out: whoever opens a database in WAL mode makes
 * and removes files beside it. So are a -wal without content, and what `OWN` names.
 */
export function recordProject(project: string): TreeRecord {
  const lines = [...recordTree(project, OWN)].filter(([path, line]) => !(path.endsWith('-wal') && / 0 [0-9a-f]{64}$/.test(line)));
  return new Map(lines.map(([path, line]) => [path, line.replace(/^(directory \S+ \S+) \S+$/, '$1')]));
}

/**
 * Records all snapshots of a sound vault, each with a real restore.
 * @throws Error where the vault is not sound
 */
export async function remember(cora: RunCora, places: Places): Promise<KnownSnapshot[]> {
  const broken: string[] = [];
  const found = lookAtDisk(places.vault, (_rule, sentence) => broken.push(sentence));
  if (broken.length > 0) throw new Error(`The vault is not sound before the trial: ${broken.join('; ')}`);
  const known: KnownSnapshot[] = [];
  for (const snapshot of found) {
    known.push({ kind: snapshot.kind, id: snapshot.id, sums: snapshot.sums, tree: await restored(cora, places, snapshot) });
  }
  return known;
}

/**
 * Judges what a trial left. Makes the next run, so the vault is a run older afterwards.
 * @returns what was broken, empty where every promise was kept
 * @throws Error only where the harness itself is broken
 */
export async function judge(cora: RunCora, places: Places, expected: Expectation): Promise<Violation[]> {
  const violations: Violation[] = [];
  const report: Report = (rule, sentence) => violations.push({ rule, sentence });
  const found = lookAtDisk(places.vault, report);
  const fresh = compareOlder(found, expected, report);
  await compareList(cora, found, report);
  checkClaim(expected, found, report);
  for (const snapshot of fresh)
    await checkRestore(cora, places, snapshot, expected.newTrees, report, expected.mayMiss === true ? named(snapshot) : []);
  await checkNext(cora, places, expected, report);
  return violations;
}

/** Older ones are there with the same bytes; gives those that are new. */
function compareOlder(found: readonly FoundSnapshot[], { older, mayGo }: Expectation, report: Report): FoundSnapshot[] {
  for (const known of older) {
    const now = found.find((snapshot) => isSame(snapshot, known));
    if (now === undefined && mayGo?.has(`${known.kind} ${known.id}`) !== true) report('lost', `the older ${known.kind} ${known.id} is gone`);
    if (now !== undefined && now.sums !== known.sums) report('damaged', `the older ${known.kind} ${known.id} has other sums than before`);
  }
  return found.filter((snapshot) => !older.some((known) => isSame(snapshot, known)));
}

function isSame(a: Named, b: Named): boolean {
  return a.kind === b.kind && a.id === b.id;
}

/** What is listed is on the disk and the reverse. */
async function compareList(cora: RunCora, found: readonly FoundSnapshot[], report: Report): Promise<void> {
  const end = await cora(['list', '--json']);
  // Before the first run has made the vault there is none to list.
  if (end.code === NO_VAULT && found.length === 0) return;
  const listed = resultOf(end)?.['snapshots'];
  if (end.code !== 0 || !Array.isArray(listed)) return report('next', `list ended with ${end.code}: ${lastLine(end)}`);
  const names = listed.flatMap((row: { snapshot_id: string; kinds: string[] }) => row.kinds.map((kind) => `${kind} ${row.snapshot_id}`));
  const there = found.map(({ kind, id }) => `${kind} ${id}`);
  for (const name of names) if (!there.includes(name)) report('half', `the ${name} is listed and not on the disk`);
  for (const name of there) if (!names.includes(name)) report('lost', `the ${name} is on the disk and not listed`);
}

/** A run that ended well has what it says it made. */
function checkClaim({ end, makes }: Expectation, found: readonly FoundSnapshot[], report: Report): void {
  if (end === undefined || makes === null || (end.code !== 0 && end.code !== INCOMPLETE)) return;
  const id = resultOf(end)?.['snapshot_id'];
  if (typeof id !== 'string') report('claim', `it ended with ${end.code} and named no snapshot`);
  else if (!found.some((snapshot) => snapshot.id === id && snapshot.kind === makes))
    report('claim', `it claimed the ${makes} ${id}, which is not there`);
}

/** A restore of a snapshot gives one of the trees. */
async function checkRestore(
  cora: RunCora,
  places: Places,
  snapshot: FoundSnapshot,
  trees: readonly TreeRecord[] | undefined,
  report: Report,
  missing: readonly string[] = [],
): Promise<void> {
  try {
    const tree = await restored(cora, places, snapshot);
    if (trees === undefined) return;
    const nearest = nearestOf(trees, tree, (path) => missing.some((name) => name === '.' || path === name || path.startsWith(`${name}/`))) ?? [
      'none was expected',
    ];
    if (nearest.length > 0) report('damaged', `the ${snapshot.kind} ${snapshot.id} gives back something else: ${some(nearest)}`);
  } catch (error) {
    report('damaged', `the ${snapshot.kind} ${snapshot.id} cannot be restored: ${messageOf(error)}`);
  }
}

/** The next run works without help, all verifies after it, the older ones give back what they did, and nothing is left over. */
async function checkNext(cora: RunCora, places: Places, expected: Expectation, report: Report): Promise<void> {
  const { next = ['save'], nextCodes = [0] } = expected;
  const end = await cora([...next, '--json']);
  if (end.code === null || !nextCodes.includes(end.code)) report('next', `the next run (${next.join(' ')}) ended with ${end.code}: ${lastLine(end)}`);
  const verified = await cora(['verify', '--all', '--deep', '--chain', '--json']);
  const noneYet = verified.code === NO_VAULT && namesIn(places.vault).length === 0;
  if (verified.code !== 0 && !noneYet) report('damaged', `verify ended with ${verified.code} after the next run: ${lastLine(verified)}`);
  const found = lookAtDisk(places.vault, (rule, sentence) => report(rule, `after the next run ${sentence}`));
  await compareList(cora, found, report);
  const newest = new Map(expected.older.map((known) => [expected.restoreAll === true ? known.id : known.kind, known]));
  for (const known of newest.values()) {
    const snapshot = found.find((one) => isSame(one, known));
    if (snapshot !== undefined) await checkRestore(cora, places, snapshot, [known.tree], report);
    else if (expected.mayGo?.has(`${known.kind} ${known.id}`) !== true)
      report('lost', `the older ${known.kind} ${known.id} is gone after the next run`);
  }
  if (expected.projects !== undefined) {
    const now = recordProject(places.project);
    const nearest = nearestOf(expected.projects, now) ?? [];
    if (nearest.length > 0) report('project', `the project is neither as before nor as after: ${some(nearest)}`);
  }
  for (const path of leftIn(places.vault)) report('left', `${path} is left after the next run`);
}

/** What a run that ended leaves in a vault's working places. */
function leftIn(vault: string): string[] {
  // Of one name for ever and written anew by the next commit: these cannot grow.
  const left = namesIn(`${vault}/.stage`).filter((name) => name !== 'intent' && name !== 'intent.new');
  return [
    ...left.map((name) => `.stage/${name}`),
    ...namesIn(`${vault}/.trash`).map((name) => `.trash/${name}`),
    ...namesIn(vault).filter((name) => name.endsWith('.new')),
    ...namesIn(`${vault}/ledger`)
      .filter((name) => name === 'pruning.json' || name === 'rotating.json')
      .map((name) => `ledger/${name}`),
  ];
}

/** @throws Error with what restore said */
async function restored(cora: RunCora, { scratch }: Places, snapshot: FoundSnapshot): Promise<TreeRecord> {
  const to = `${scratch}/restored`;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  try {
    const end = await cora(['restore', snapshot.directory, '--to', to, '--yes', '--json']);
    if (end.code !== 0) throw new Error(`restore ended with ${end.code}: ${lastLine(end)}`);
    return withoutTop(recordTree(to));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What differs from the tree that it is most like; undefined where there is none. `mayMiss`: a path that need not be there. */
function nearestOf(trees: readonly TreeRecord[], tree: TreeRecord, mayMiss: (path: string) => boolean = () => false): string[] | undefined {
  const differences = trees.map((wanted) => treeDifferences(new Map([...wanted].filter(([path]) => tree.has(path) || !mayMiss(path))), tree));
  return differences.sort((a, b) => a.length - b.length)[0];
}

/** The paths that a snapshot's report names as errors. */
function named({ directory }: FoundSnapshot): string[] {
  try {
    const { problems } = JSON.parse(readFileSync(`${directory}/REPORT.json`, 'utf8')) as {
      problems: { severity: string; path?: string; path_base64?: string }[];
    };
    return problems
      .filter(({ severity }) => severity === 'error')
      .map(({ path, path_base64: exact }) => (exact === undefined ? fromText(path ?? '') : fromBuffer(Buffer.from(exact, 'base64'))));
  } catch {
    // It has been said already that the report is not whole.
    return [];
  }
}

function resultOf(end: CoraEnd): Record<string, unknown> | undefined {
  return documentOf(end)?.result;
}

function documentOf(end: CoraEnd): { readonly result?: Record<string, unknown>; readonly error?: { readonly message?: string } } | undefined {
  try {
    return JSON.parse(end.stdout) as { result?: Record<string, unknown> };
  } catch {
    return undefined;
  }
}

/** The sentence of an error, else the end of what it said. */
function lastLine(end: CoraEnd): string {
  return documentOf(end)?.error?.message ?? end.stderr.trim().split('\n').at(-1) ?? '';
}

function some(lines: readonly string[]): string {
  return `${lines.slice(0, 3).join('; ')}${lines.length > 3 ? `; and ${lines.length - 3} more` : ''}`;
}
