// The first view: is it protected, what is missing and what to type, what the last days brought.

import { useState } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { type ApiError, get, post } from '../api.ts';
import { choose, chooseAll } from '../chosen.ts';
import { counted, lossText } from '../format.ts';
import { asApiError, useEvery, useLoad } from '../load.ts';
import { Name } from '../name.tsx';
import { Age, Said, SnapshotBadges, shapeOf } from '../parts/badges.tsx';
import { Command } from '../parts/command.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { DayStrip } from '../parts/strip.tsx';
import { go, href } from '../route.ts';
import type { Health, LossPage, RunPage, SnapshotList, SnapshotRow, TimelineColumns } from '../types.ts';
import type { ActionDone } from '../types-restore.ts';
import { plain, plainPath } from '../visible.ts';
import { Checks, Looking, Promises } from './promises.tsx';

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
      <Losses />
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
            <span class="hint ran-message" {...(message === null ? {} : { title: plain(message) })}>
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

/** What the newest save found lost: the way back is one button away. */
function Losses() {
  const lost = useLoad('lost', (signal) => get<LossPage>('lost', {}, signal));
  const losses = lost.data?.losses ?? [];
  if (losses.length === 0) return null;
  return (
    <section class="box tone-bad" aria-labelledby="lost-title">
      <h2 id="lost-title">
        <Icon name="bad" /> Lost since the last good save
      </h2>
      <ul class="losses">
        {losses.map((loss) => (
          <li key={`${loss.path} ${loss.table}`}>
            <span>
              <Name text={loss.path} of="path" /> {lossText(loss)}
            </span>
            {loss.last_good === undefined ? null : (
              <button
                type="button"
                class="primary"
                aria-label={`Bring back ${plainPath(loss.path)}`}
                onClick={() => {
                  if (loss.path === '.') chooseAll(loss.last_good ?? '');
                  else choose(loss.last_good ?? '', [loss]);
                  go(href('restore'));
                }}
              >
                <Icon name="restore" /> Bring back
              </button>
            )}
            <span class="hint">
              Or say that it is meant: <Command text={loss.accept} whole />
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
  const [said, setSaid] = useState('');
  const start = (path: string, body: Readonly<Record<string, unknown>>): void => {
    setBusy(path);
    setSaid('');
    setFailed(undefined);
    post<ActionDone>(path, body)
      .then((done) => setSaid(saidOf(path, done)))
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
      <span role="status">{said}</span>
      {failed === undefined ? null : <ProblemBox error={failed} />}
    </section>
  );
}

function saidOf(path: string, { outcome, complete, problems }: ActionDone): string {
  if (!complete) return `Done, with ${counted(problems.length, 'problem')}: the newest snapshot tells of them.`;
  if (path === 'verify') return 'It was read back, and is whole.';
  return outcome === 'unchanged' ? 'Nothing has changed since the newest save.' : 'Done.';
}
