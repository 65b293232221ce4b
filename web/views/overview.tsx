// The first view: is it protected, what is missing and what to type, what the last days brought.

import { useState } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { type ApiError, get, post } from '../api.ts';
import { counted, dayOf } from '../format.ts';
import { asApiError, useEvery, useLoad } from '../load.ts';
import { Age, Said, SnapshotBadges, shapeOf } from '../parts/badges.tsx';
import { Command } from '../parts/command.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { PROMISES, Ring } from '../parts/ring.tsx';
import { DayStrip } from '../parts/strip.tsx';
import { href } from '../route.ts';
import type { Health, Kept, Level, RunPage, SnapshotList, SnapshotRow, TimelineColumns } from '../types.ts';
import { plain } from '../visible.ts';

const NEWEST = 6;
/** Promises grow old without an event. */
const REFRESH_MS = 60_000;
const RUNS = 8;

export function Overview() {
  const snapshots = useLoad('newest', (signal) => get<SnapshotList>('snapshots', { limit: NEWEST }, signal));
  const columns = useLoad('timeline', (signal) => get<TimelineColumns>('timeline', {}, signal));
  const runs = useLoad('runs', (signal) => get<RunPage>('runs', { limit: RUNS }, signal));
  // The checks look at every snapshot: what is known at once comes first.
  const first = [snapshots, columns].every(({ data, error }) => data !== undefined || error !== undefined);
  const health = useLoad(first ? 'health' : undefined, (signal) => get<Health>('health', {}, signal));
  useEvery(REFRESH_MS, health.again);
  return (
    <>
      <h1 class="quiet">Overview</h1>
      {health.error === undefined ? null : <ProblemBox error={health.error} again={health.again} />}
      {health.data === undefined ? (
        health.error === undefined && <Looking newest={snapshots.data?.snapshots[0]} />
      ) : (
        <Promises health={health.data} newest={snapshots.data?.snapshots[0]} />
      )}
      <Actions />
      {health.data === undefined ? null : <Checks health={health.data} title="What to do" levels={['critical', 'warning']} />}
      <section class="card" aria-labelledby="days-title">
        <header class="card-head">
          <h2 id="days-title">The last days</h2>
          <a href={href('time')}>Whole time line</a>
        </header>
        {columns.data === undefined ? columns.loading && <Waiting what="Counting" /> : <DayStrip columns={columns.data} />}
        <p class="legend">
          <span>
            <Icon name="save" /> column: saves of a day
          </span>
          <span>
            <Icon name="backup" /> a backup
          </span>
          <span>
            <Icon name="suspect" /> something suspect
          </span>
        </p>
      </section>
      <section class="card" aria-labelledby="newest-title">
        <header class="card-head">
          <h2 id="newest-title">Newest</h2>
          {snapshots.data === undefined ? null : <span>{counted(snapshots.data.total, 'snapshot')} in the vault</span>}
        </header>
        {snapshots.error === undefined ? null : <ProblemBox error={snapshots.error} again={snapshots.again} />}
        <ul class="newest">
          {(snapshots.data?.snapshots ?? []).map((row) => (
            <li key={row.snapshot_id}>
              <NewestRow row={row} />
            </li>
          ))}
        </ul>
      </section>
      {health.data === undefined ? null : <Checks health={health.data} title="Worth knowing" levels={['note']} />}
      {runs.data === undefined || runs.data.total === 0 ? null : <LastRuns runs={runs.data} />}
    </>
  );
}

function NewestRow({ row }: { readonly row: SnapshotRow }) {
  const shape = shapeOf(row);
  return (
    <>
      <a class="newest-link" href={href('snapshot', row.snapshot_id)}>
        <Icon name={shape.icon} />
        <span>
          {shape.word}, <Age time={row.time} />
        </span>
      </a>
      <Said row={row} />
      <SnapshotBadges row={row} />
      <span class="figures">
        {typeof row.size === 'number' ? formatBytes(row.size) : ''}
        {typeof row.total_duration === 'number' ? ` in ${formatDuration(row.total_duration * 1000)}` : ''}
      </span>
    </>
  );
}

function LastRuns({ runs }: { readonly runs: RunPage }) {
  return (
    <section class="card" aria-labelledby="runs-title">
      <header class="card-head">
        <h2 id="runs-title">Last runs</h2>
        {runs.failed === 0 ? null : <span>{counted(runs.failed, 'run')} on record failed</span>}
      </header>
      <ul class="newest">
        {runs.runs.map(({ time, command, trigger, level, seconds, message, snapshot_id }) => (
          <li key={`${time} ${command}`} class={`ran ran-${level}`}>
            <span class="newest-link">
              <Icon
                name={level === 'error' ? 'bad' : level === 'warn' ? 'warn' : 'verified'}
                label={level === 'error' ? 'failed' : level === 'warn' ? 'with a warning' : 'well'}
              />
              <span>
                {plain(command)}, <Age time={time} />
              </span>
            </span>
            <span class="hint">
              {message === null ? snapshot_id === null ? '' : <a href={href('snapshot', snapshot_id)}>{snapshot_id}</a> : plain(message)}
            </span>
            <span class="hint">{trigger === null ? '' : trigger === 'manual' ? 'by hand' : `by ${plain(trigger)}`}</span>
            <span class="figures">{seconds === null ? '' : formatDuration(seconds * 1000)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Promises({ health, newest }: { readonly health: Health; readonly newest: SnapshotRow | undefined }) {
  const durable = health.promises.find(({ name }) => name === 'durable');
  return (
    <section class="card promises" aria-labelledby="promises-title">
      <Ring promises={health.promises} level={health.level} below={newest === undefined ? '' : `last: ${dayOf(newest.time).toLowerCase()}`} />
      <div>
        <h2 id="promises-title">{sentenceOf(health, durable)}</h2>
        <ul class="promise-list">
          {health.promises.map((one) => (
            <PromiseLine key={one.name} one={one} />
          ))}
        </ul>
      </div>
    </section>
  );
}

/** The checks take a moment on a long history; what is known at once is told at once. */
function Looking({ newest }: { readonly newest: SnapshotRow | undefined }) {
  return (
    <section class="card promises looking" aria-label="Promises">
      <div class="ring">
        <svg viewBox="0 0 200 200" aria-hidden="true">
          <circle class="arc arc-unknown" cx="100" cy="100" r="84" />
        </svg>
      </div>
      <div>
        <h2>
          {newest === undefined ? (
            'Looking at the vault'
          ) : (
            <>
              The newest {shapeOf(newest).word.toLowerCase()} is from <Age time={newest.time} />
            </>
          )}
        </h2>
        <Waiting what="Checking the five promises" />
      </div>
    </section>
  );
}

function sentenceOf({ level, checks }: Health, durable: Kept | undefined): string {
  if (durable?.kept !== true) return 'What you have now is not saved.';
  const failing = checks.filter((check) => check.level === 'warning' || check.level === 'critical').length;
  if (level === 'critical') return 'Do this first: something needs you now.';
  return failing === 0 ? 'All is well: nothing needs you now.' : `Your work is saved. ${counted(failing, 'thing needs', 'things need')} a look.`;
}

function PromiseLine({ one }: { readonly one: Kept }) {
  const { title, icon, means } = PROMISES[one.name];
  const state = one.kept === true ? 'kept' : one.kept === false ? 'not kept' : 'not yet';
  return (
    <li class={`promise promise-${one.kept === true ? 'kept' : one.kept === false ? 'broken' : 'unknown'}`}>
      <span class="promise-icon">
        <Icon name={one.kept === true ? icon : one.kept === false ? 'bad' : 'unknown'} />
      </span>
      <span class="promise-text">
        <strong>{title}</strong> <span class="state">{state}</span>
        <span class="means">{plain(one.text) || means}</span>
        {one.kept === true || one.next === null ? null : <Command text={one.next} />}
      </span>
      <span class="promise-age">{one.at === null ? '' : <Age time={one.at} />}</span>
    </li>
  );
}

function Checks({ health, title, levels }: { readonly health: Health; readonly title: string; readonly levels: readonly Level[] }) {
  const shown = levels.flatMap((level) => health.checks.filter((check) => check.level === level));
  if (shown.length === 0) return null;
  const id = `checks-${levels[0]}`;
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <ul class="warnings">
        {shown.map(({ name, level, message, next }) => (
          <li key={`${name} ${message}`} class={`warning warning-${level}`}>
            <Icon name={level === 'critical' ? 'bad' : level === 'warning' ? 'warn' : 'unknown'} label={level} />
            <span>
              <span>{plain(message)}</span>
              {typeof next === 'string' && next !== '' ? <Command text={next} /> : null}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const ACTIONS = [
  { path: 'save', word: 'Save now', busy: 'Saving', body: {} },
  { path: 'backup', word: 'Back up now', busy: 'Backing up', body: {} },
  { path: 'verify', word: 'Verify the newest', busy: 'Reading back', body: {} },
] as const;

/** What can be done without a thought: none of it changes the project. */
function Actions() {
  const [busy, setBusy] = useState<string>();
  const [failed, setFailed] = useState<ApiError>();
  const start = (path: string, body: Readonly<Record<string, unknown>>): void => {
    setBusy(path);
    setFailed(undefined);
    post(path, body)
      .catch((error: unknown) => setFailed(asApiError(error)))
      .finally(() => setBusy(undefined));
  };
  return (
    <section class="actions" aria-label="Actions">
      {ACTIONS.map(({ path, word, busy: doing, body }) => (
        <button
          key={path}
          type="button"
          class={path === 'save' ? 'primary' : ''}
          aria-disabled={busy !== undefined}
          onClick={() => busy === undefined && start(path, body)}
        >
          {busy === path ? `${doing} …` : word}
        </button>
      ))}
      <a class="button" href={href('find')}>
        <Icon name="search" /> Something is gone
      </a>
      {failed === undefined ? null : <ProblemBox error={failed} />}
    </section>
  );
}
