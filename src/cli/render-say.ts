// Answers in one sentence, with the figures of the document that --json prints and of the ledger.

import { lstatSync } from 'node:fs';
import type { KeptOfType, LedgerFacts } from '../actions/ledger-query.ts';
import { fromText, fsPath } from '../base/bytes.ts';
import { formatAge, formatBytes, formatDuration } from '../base/units.ts';
import type { Understood } from '../language/intent.ts';
import type { Slots } from '../language/slots.ts';
import type { LoggedRun } from '../os/backup-log.ts';
import type { Session } from './command.ts';
import { counted, grouped, visible } from './render.ts';
import { lastOfPath, lostAnswer, lostWhenever, noneListed } from './render-say-path.ts';
import type { Ran } from './say-run.ts';

type Asked = Extract<Understood, { kind: 'asked' }>;
type Fields = Readonly<Record<string, unknown>>;

export type Answer = {
  readonly sentence: string;
  /** What the command itself says, where one sentence is not all of it. */
  readonly lines: readonly string[];
  /** Figures of the sentence that the command's document lacks. */
  readonly facts: Fields;
};

const OFFER = 'Say "back up now" (cora backup now) and one is made';

export async function answerOf({ clauses }: Asked, ran: readonly Ran[], session: Session): Promise<Answer> {
  const [{ intent, slots }] = clauses;
  const [only] = ran;
  if (only !== undefined && ran.length === 1) {
    if (intent === 'size' && slots.moment !== undefined && slots.path === undefined)
      return { lines: [], ...(await (await import('./say-range.ts')).sizeOfRange(slots, session)) };
    if (intent === 'size') return sizeAnswer(only, slots, session);
    if (intent === 'last' && only.step.command === 'why')
      return { sentence: lastOfPath(fields(only.outcome.result), session.ctx.now()), lines: [], facts: {} };
    if (intent === 'last' && only.step.command === 'status')
      return slots.moment === undefined ? lastAnswer(only, slots, session) : madeThen(slots.moment, slots, session);
    if (only.step.command === 'list' && list(fields(only.outcome.result), 'snapshots').length === 0) {
      const none = noneListed(slots);
      if (none !== undefined) return { sentence: none, lines: [], facts: {} };
    }
    const answer = { facts: {}, ...stepAnswer(only) };
    return intent === 'lost' && slots.moment !== undefined ? { ...answer, sentence: `${answer.sentence} ${lostWhenever(slots.moment)}` } : answer;
  }
  const answers = ran.map(stepAnswer);
  return { sentence: answers.map(({ sentence }) => sentence).join(' '), lines: answers.flatMap(({ lines }) => lines), facts: {} };
}

type StepAnswer = { readonly sentence: string; readonly lines: readonly string[] };

function stepAnswer({ step, outcome, exitCode }: Ran): StepAnswer {
  const document = fields(outcome.result);
  const alone = (sentence: string): StepAnswer => ({ sentence, lines: [] });
  const withLines = (sentence: string): StepAnswer => ({ sentence, lines: outcome.lines });
  switch (step.command) {
    case 'save':
      return exitCode === 3 ? withLines(saved(document)) : alone(saved(document));
    case 'backup auto':
      return exitCode === 0 ? alone(backedUp(document)) : withLines(backedUp(document));
    case 'backup verify':
    case 'verify':
      return verified(document, outcome.lines);
    case 'drill':
      return exitCode === 0
        ? alone(
            `Yes: ${text(document, 'snapshot_id')} was restored and compared, ${counted(number(document, 'files'), 'file')}, ${formatBytes(number(document, 'bytes'))}, in ${formatDuration(number(document, 'seconds') * 1000)}.`,
          )
        : withLines(`The drill of ${text(document, 'snapshot_id')} ended ${text(document, 'outcome')}.`);
    case 'list':
      return withLines(listed(list(document, 'snapshots'), number(document, 'total')));
    case 'health':
      return healthy(document, outcome.lines);
    case 'lost':
      return lostAnswer(document, outcome.lines);
    case 'protect': {
      const held = list(document, 'files').filter((file) => file['append_only'] === true).length;
      const sealed = list(document, 'backups').filter((backup) => backup['protection'] === 'kernel').length;
      return withLines(`Protected: ${counted(held, 'file')} append-only, ${counted(sealed, 'backup')} sealed.`);
    }
    case 'rotate': {
      const files = list(document, 'files').filter((file) => file['action'] === 'rotated');
      const moved = files.reduce((sum, file) => sum + number(file, 'removed_bytes'), 0);
      return withLines(
        files.length === 0 ? 'Nothing had to be cut.' : `Done: ${counted(files.length, 'file')} cut, ${formatBytes(moved)} moved to the vault.`,
      );
    }
    case 'why':
    case 'end':
      return { sentence: `${outcome.lines[0] ?? 'The session is saved'}.`, lines: outcome.lines.slice(1) };
    default:
      return { sentence: outcome.lines[0] ?? 'Done.', lines: outcome.lines.slice(1) };
  }
}

function saved(document: Fields): string {
  const id = text(document, 'snapshot_id');
  if (text(document, 'outcome') !== 'saved')
    return `Nothing changed since the save ${id} (${formatAge(number(document, 'age_seconds') * 1000)}), so it is all there.`;
  return `Done: ${[formatBytes(number(document, 'total_bytes_processed')), ...records(rowsOf(document)), formatDuration(number(document, 'total_duration') * 1000)].join(', ')} (save ${id}).`;
}

function backedUp(document: Fields): string {
  const id = text(document, 'snapshot_id');
  if (text(document, 'outcome') !== 'made')
    return `The newest backup is ${id} (${formatAge(number(document, 'age_seconds') * 1000)}), and none was due.`;
  const parts = [formatBytes(number(document, 'size')), ...records(rowsOf(document)), formatDuration(number(document, 'total_duration') * 1000)];
  const status = text(document, 'status');
  return `Done${status === 'complete' ? '' : ` (${status.toUpperCase()})`}: ${parts.join(', ')} (backup ${id}).`;
}

const rowsOf = (document: Fields): number => list(document, 'databases').reduce((sum, database) => sum + number(database, 'rows'), 0);
const records = (rows: number): string[] => (rows === 0 ? [] : [counted(rows, 'record')]);

function verified(document: Fields, lines: readonly string[]): StepAnswer {
  const snapshots = list(document, 'snapshots');
  const bad = snapshots.filter((snapshot) => snapshot['ok'] !== true);
  const bytes = snapshots.reduce((sum, snapshot) => sum + number(snapshot, 'bytes'), 0);
  const what =
    snapshots.length === 1 ? `${text(snapshots[0] ?? {}, 'kind')} ${text(snapshots[0] ?? {}, 'snapshot_id')}` : counted(snapshots.length, 'snapshot');
  if (bad.length > 0) return { sentence: `No: ${counted(bad.length, 'snapshot')} of ${grouped(snapshots.length)} damaged.`, lines };
  const rest = number(document, 'remaining');
  return {
    sentence: `Verified: ${what}, ${formatBytes(bytes)} read back without a fault in ${formatDuration(number(document, 'seconds') * 1000)}${rest > 0 ? `; ${grouped(rest)} not reached` : ''}.`,
    lines: [],
  };
}

/** "7 daily (1.2 GB), 4 weekly (680 MB)" of the rows that are listed. */
function listed(rows: readonly Fields[], total: number): string {
  if (rows.length === 0) return `There is none yet. ${OFFER}.`;
  const groups = new Map<string, { count: number; bytes: number }>();
  for (const row of rows) {
    const isBackup = (row['kinds'] as readonly unknown[] | undefined)?.includes('save') !== true || text(row, 'type') !== 'save';
    const type = isBackup ? text(row, 'type') : 'save';
    const group = groups.get(type) ?? { count: 0, bytes: 0 };
    groups.set(type, { count: group.count + 1, bytes: group.bytes + number(row, 'size') });
  }
  const parts = [...groups].map(([type, { count, bytes }]) => `${named(type, count)} (${formatBytes(bytes)})`);
  return `${parts.join(', ')}${rows.length < total ? `, of ${grouped(total)} in all` : ''}.`;
}

function named(type: string, count: number): string {
  return type === 'save' ? counted(count, 'save') : type === 'manual' ? counted(count, 'manual backup') : `${grouped(count)} ${type}`;
}

function healthy(document: Fields, lines: readonly string[]): StepAnswer {
  const checks = list(document, 'checks');
  const bad = checks.filter(({ level }) => level === 'critical' || level === 'warning');
  const [worst] = [...bad.filter(({ level }) => level === 'critical'), ...bad];
  if (worst === undefined) {
    const age = checks.find(({ name }) => name === 'backup');
    return { sentence: `All is well: ${visible(text(age ?? {}, 'message').replace(/^T/, 't') || 'nothing needs attention')}.`, lines: [] };
  }
  const needsBackup = bad.some(({ next }) => typeof next === 'string' && /cora backup/.test(next));
  return {
    sentence: `${counted(bad.length, 'thing needs', 'things need')} attention: ${visible(text(worst, 'message'))}.${needsBackup ? ` ${OFFER}.` : ''}`,
    lines,
  };
}

async function sizeAnswer({ outcome }: Ran, slots: Slots, session: Session): Promise<Answer> {
  const document = fields(outcome.result);
  const vault = fields(document['vault']);
  const free = number(vault, 'free');
  if (slots.left === true)
    return {
      sentence: `${formatBytes(free)} are left on the vault's disk; the vault takes ${formatBytes(number(vault, 'size'))}.`,
      lines: [],
      facts: {},
    };
  if (slots.path !== undefined || (slots.largest === true && slots.kind === undefined)) return fileSizes(document, slots, session);
  const ledger = await facts(session);
  const newest = slots.which !== 'latest' ? undefined : slots.kind === 'save' ? ledger?.lastSave : ledger?.lastBackup;
  if (newest?.sizeBytes != null && newest.snapshotId !== null)
    return { sentence: `${formatBytes(newest.sizeBytes)} (${newest.kind} ${newest.snapshotId}).`, lines: [], facts: { last: runDocument(newest) } };
  const kept = ledger?.kept ?? [];
  const wanted =
    slots.kind === 'backup' ? kept.filter(({ type }) => type !== 'save') : slots.kind === 'save' ? kept.filter(({ type }) => type === 'save') : kept;
  if (wanted.length === 0) return { sentence: `There is none yet. ${OFFER}.`, lines: [], facts: { kept: [] } };
  const parts = wanted.toSorted((a, b) => tier(a) - tier(b)).map(({ type, count, bytes }) => `${named(type, count)} (${formatBytes(bytes)})`);
  return {
    sentence: `${parts.join(', ')}; the vault takes ${formatBytes(number(vault, 'size'))}, and ${formatBytes(free)} are left on its disk.`,
    lines: [],
    facts: { kept: wanted.map(({ type, count, bytes, oldest, newest }) => ({ type, count, size: bytes, oldest: rfc(oldest), newest: rfc(newest) })) },
  };
}

const TIERS = ['daily', 'weekly', 'monthly', 'manual', 'auto', 'save'];
const tier = ({ type }: KeptOfType): number => (TIERS.indexOf(type) + TIERS.length + 1) % (TIERS.length + 1);
const rfc = (time: number): string => new Date(time).toISOString();

function fileSizes(document: Fields, slots: Slots, session: Session): Answer {
  if (slots.path === undefined) {
    const large = list(document, 'large_files').slice(0, slots.count ?? 5);
    if (large.length === 0) return { sentence: 'No file is over the large-file limit (large_file in docs/configuration.md).', lines: [], facts: {} };
    const parts = large.map((file) => `${visible(text(file, 'path'))} (${formatBytes(number(file, 'size'))})`);
    return { sentence: `The largest: ${parts.join(', ')}.`, lines: [], facts: {} };
  }
  const size = lstatSync(fsPath(session.absolute(fromText(slots.path))), { throwIfNoEntry: false })?.size;
  return {
    sentence:
      size === undefined
        ? `${visible(slots.path)} is not there now; cora list -- ${visible(slots.path)} shows where it was.`
        : `${visible(slots.path)} has ${formatBytes(size)} now.`,
    lines: [],
    facts: { path: slots.path, size: size ?? null },
  };
}

async function lastAnswer({ outcome }: Ran, slots: Slots, session: Session): Promise<Answer> {
  const document = fields(outcome.result);
  const now = session.ctx.now();
  const age = (time: number) => `${formatAge(now - time)} (${rfc(time).slice(0, 16).replace('T', ' ')} UTC)`;
  const simple = (sentence: string): Answer => ({ sentence, lines: [], facts: {} });
  if (slots.kind === 'verify' || slots.kind === 'drill') {
    const last = fields(document[slots.kind === 'drill' ? 'last_drill' : 'last_verify']);
    const what = slots.kind === 'drill' ? 'drill' : 'verification';
    if (last['time'] === undefined) return simple(`There was no ${what} yet: cora ${slots.kind}.`);
    return simple(
      `The last ${what} was ${age(Date.parse(text(last, 'time')))}, of ${text(last, 'snapshot_id')}: ${last['ok'] === true ? 'all well' : 'it found faults'}.`,
    );
  }
  if (slots.kind === 'offsite') return simple(offsiteSentence(document, age));
  const ledger = await facts(session);
  const run = slots.kind === 'save' ? ledger?.lastSave : ledger?.lastBackup;
  const what = slots.kind === 'save' ? 'save' : 'backup';
  if (run === undefined) return { sentence: `There was no ${what} yet. ${OFFER}.`, lines: [], facts: { last: null } };
  return { sentence: runSentence(run, what, age, now), lines: [], facts: { last: runDocument(run) } };
}

/** "did we back up today?" */
async function madeThen(moment: string, slots: Slots, session: Session): Promise<Answer> {
  const { rangeOf, snapshotsIn } = await import('./say-range.ts');
  const range = await rangeOf(slots, session.ctx.now());
  const made = await snapshotsIn(range, slots, session);
  const newest = made.at(-1);
  const facts = { count: made.length, from: rfc(range.from), to: rfc(range.to) };
  const what = slots.kind === 'save' || slots.kind === 'backup' ? slots.kind : 'snapshot';
  if (newest === undefined) return { sentence: `No: there is no ${what} of ${visible(moment)}. ${OFFER}.`, lines: [], facts };
  const age = formatAge(session.ctx.now() - newest.time);
  return {
    sentence: `Yes: ${counted(made.length, what)}, the last one ${age} (${newest.id}, ${formatBytes(newest.storedBytes)}).`,
    lines: [],
    facts,
  };
}

const DAY_AND_HALF = 129_600_000;

function runSentence(run: LoggedRun, what: string, age: (time: number) => string, now: number): string {
  const figures = [
    ...(run.sizeBytes === null ? [] : [formatBytes(run.sizeBytes)]),
    ...records(run.rows ?? 0),
    ...(run.durationMs === null ? [] : [formatDuration(run.durationMs)]),
  ];
  const found = run.kind === 'unchanged' ? ', and found nothing changed' : figures.length === 0 ? '' : `: ${figures.join(', ')}`;
  const old = what === 'backup' && now - run.createdAt > DAY_AND_HALF ? ` That is long ago. ${OFFER}.` : '';
  return `The last ${what} was ${age(run.createdAt)}${found}${run.snapshotId === null ? '' : ` (${run.snapshotId})`}.${old}`;
}

function runDocument(run: LoggedRun): Fields {
  const { snapshotId, kind, type, sizeBytes, rows, documents, durationMs, createdAt } = run;
  return {
    snapshot_id: snapshotId,
    kind,
    type,
    time: rfc(createdAt),
    size: sizeBytes,
    rows,
    documents,
    duration: durationMs === null ? null : durationMs / 1000,
  };
}

function offsiteSentence(document: Fields, age: (time: number) => string): string {
  const parts = list(document, 'offsite').flatMap((remote) => {
    const last = fields(remote['newest']);
    const time = Date.parse(text(last, 'time'));
    return Number.isNaN(time) ? [] : [`${visible(text(remote, 'remote'))}: ${age(time)}`];
  });
  return parts.length === 0 ? 'No copy is off-site yet: cora ship, docs/offsite.md.' : `The last copy off-site: ${parts.join(', ')}.`;
}

async function facts(session: Session): Promise<LedgerFacts | undefined> {
  const { location } = await session.open();
  const [{ ledgerFacts }, { openLocated }, { exists }] = await Promise.all([
    import('../actions/ledger-query.ts'),
    import('../vault/locate.ts'),
    import('../os/files.ts'),
  ]);
  return exists(`${location.path}/VAULT.json`) ? ledgerFacts(openLocated(location)) : undefined;
}

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (document: Fields, key: string): string => (typeof document[key] === 'string' ? (document[key] as string) : '');
const number = (document: Fields, key: string): number => (typeof document[key] === 'number' ? (document[key] as number) : 0);
const list = (document: Fields, key: string): readonly Fields[] => (Array.isArray(document[key]) ? document[key].map(fields) : []);
