// One snapshot: what it is and keeps, its files, its report.

import { useState } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { type ApiError, get, post } from '../api.ts';
import { chooseAll } from '../chosen.ts';
import { counted, grouped, lossText, momentOf } from '../format.ts';
import { asApiError, useLoad } from '../load.ts';
import { Name } from '../name.tsx';
import { Age, Said, SnapshotBadges, shapeOf } from '../parts/badges.tsx';
import { Command } from '../parts/command.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { href, type Route } from '../route.ts';
import type { ReportFacts, SnapshotDetail, SnapshotRow } from '../types.ts';
import type { ActionDone } from '../types-restore.ts';
import { plain } from '../visible.ts';
import { Changes } from './changes.tsx';
import { Files } from './files.tsx';

const TABS = { files: 'Files', changes: 'What changed', report: 'Report' } as const;

export function Snapshot({ route }: { readonly route: Route }) {
  const id = route.part;
  const detail = useLoad(`snapshot ${id}`, (signal) => get<SnapshotDetail>(`snapshots/${encodeURIComponent(id)}`, {}, signal));
  const tab = route.fields.get('tab') ?? 'files';
  if (detail.data === undefined)
    return (
      <>
        <h1>Snapshot</h1>
        {detail.error === undefined ? <Waiting what="Reading the snapshot" /> : <ProblemBox error={detail.error} again={detail.again} />}
      </>
    );
  const { snapshot: row, forms } = detail.data;
  const shape = shapeOf(row);
  // A backup is exported from the save of its id, whose report says what changed.
  const report = {
    ...forms.find(({ kind }) => kind === 'save')?.report,
    ...forms.find(({ kind }) => kind === 'backup')?.report,
    ...(forms.length === 1 ? forms[0]?.report : {}),
  };
  return (
    <>
      <header class="view-head">
        <p class="crumb">
          <a href={href('time')}>
            <Icon name="back" /> Time line
          </a>
        </p>
        <h1>
          <Icon name={shape.icon} /> {shape.word} · {momentOf(row.time)}
        </h1>
        <p class="head-facts">
          <code>{row.snapshot_id}</code> <Age time={row.time} /> <SnapshotBadges row={row} />
        </p>
        <Said row={row} />
        <SnapshotActions id={row.snapshot_id} />
      </header>
      <nav class="tabs" aria-label="Parts of the snapshot">
        {(['files', 'changes', 'report'] as const).map((name) => (
          <a key={name} href={href('snapshot', id, { tab: name })} {...(tab === name ? { 'aria-current': 'page' as const } : {})}>
            {TABS[name]}
          </a>
        ))}
      </nav>
      {tab === 'report' ? (
        <Report row={row} report={report} />
      ) : tab === 'changes' ? (
        <Changes id={row.snapshot_id} />
      ) : (
        <Files id={row.snapshot_id} route={route} />
      )}
    </>
  );
}

function SnapshotActions({ id }: { readonly id: string }) {
  const [state, setState] = useState<'idle' | 'busy' | 'well' | 'else'>('idle');
  const [failed, setFailed] = useState<ApiError>();
  const verify = (): void => {
    if (state === 'busy') return;
    setState('busy');
    setFailed(undefined);
    post<ActionDone>('verify', { snapshot: id })
      .then(({ complete }) => setState(complete ? 'well' : 'else'))
      .catch((error: unknown) => {
        setState('idle');
        setFailed(asApiError(error));
      });
  };
  return (
    <div class="actions">
      <button type="button" onClick={verify} aria-disabled={state === 'busy'}>
        <Icon name="verified" /> {state === 'busy' ? 'Reading back …' : 'Verify it'}
      </button>
      <a class="button" href={href('restore')} onClick={() => chooseAll(id)}>
        <Icon name="restore" /> Restore all of it …
      </a>
      <span role="status">
        {state === 'well'
          ? 'It was read back, and is whole.'
          : state === 'else'
            ? 'It was read back; something beside its content is not as it should be.'
            : ''}
      </span>
      {failed === undefined ? null : <ProblemBox error={failed} />}
    </div>
  );
}

function Report({ row, report }: { readonly row: SnapshotRow; readonly report: ReportFacts }) {
  const figures: readonly (readonly [string, string | undefined])[] = [
    ['Files', report.total_files_processed === undefined ? undefined : grouped(report.total_files_processed)],
    ['Stands for', report.total_bytes_processed === undefined ? undefined : formatBytes(report.total_bytes_processed)],
    ['Takes in the vault', typeof row.size === 'number' ? formatBytes(row.size) : undefined],
    ['Took', report.total_duration === undefined ? undefined : formatDuration(report.total_duration * 1000)],
    ['New', report.files_new === undefined ? undefined : grouped(report.files_new)],
    ['Changed', report.files_changed === undefined ? undefined : grouped(report.files_changed)],
    ['Removed', report.files_removed === undefined ? undefined : grouped(report.files_removed)],
    ['Made by', report.trigger ?? undefined],
    ['Branch', report.git?.branch ?? undefined],
    ['Host', report.host?.hostname],
  ];
  const problems = report.problems ?? [];
  const losses = report.losses ?? [];
  return (
    <>
      {losses.length === 0 ? null : (
        <section class="box tone-suspect" aria-labelledby="losses">
          <h2 id="losses">
            <Icon name="suspect" /> Lost when this was made
          </h2>
          <ul>
            {losses.map((loss) => (
              <li key={`${loss.path} ${loss.table}`}>
                <Name text={loss.path} of="path" /> {lossText(loss)}
              </li>
            ))}
          </ul>
          <Command text="cora lost" />
        </section>
      )}
      <dl class="tiles">
        {figures.map(([name, value]) =>
          value === undefined ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <Name text={value} />
              </dd>
            </div>
          ),
        )}
      </dl>
      {problems.length === 0 ? null : (
        <section class="card" aria-labelledby="problems">
          <h2 id="problems">{counted(problems.length, 'problem')}</h2>
          <ul class="plain-list">
            {problems.map(({ message, path }) => (
              <li key={`${path} ${message}`}>
                <Icon name="warn" /> {path === undefined ? null : <Name text={path} of="path" />} {plain(message)}
              </li>
            ))}
          </ul>
        </section>
      )}
      <Databases report={report} id={row.snapshot_id} />
      <section class="card" aria-labelledby="by-hand">
        <h2 id="by-hand">The same by command</h2>
        <ul class="plain-list">
          {[`cora show ${row.snapshot_id}`, `cora verify ${row.snapshot_id} --deep`, `cora restore ${row.snapshot_id} --to DIR`].map((text) => (
            <li key={text}>
              <Command text={text} whole />
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

function Databases({ report, id }: { readonly report: ReportFacts; readonly id: string }) {
  const databases = report.databases ?? [];
  if (databases.length === 0) return null;
  return (
    <section class="card" aria-labelledby="databases">
      <h2 id="databases">{counted(databases.length, 'database')}</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="scroll" aria-label="Table of databases" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Database</th>
              <th scope="col">Check</th>
              <th scope="col">Rows</th>
              <th scope="col">Tables</th>
              <th scope="col">Size</th>
            </tr>
          </thead>
          <tbody>
            {databases.map(({ path, check_result, check, rows, tables, size }) => (
              <tr key={path}>
                <th scope="row">
                  <a href={href('path', '', { path, at: id })}>
                    <Name text={path} of="path" />
                  </a>
                </th>
                <td>{plain(check_result ?? check ?? '–')}</td>
                <td>{typeof rows === 'number' ? grouped(rows) : '–'}</td>
                <td>{tables === undefined ? '–' : grouped(Object.keys(tables).length)}</td>
                <td>{size === undefined ? '–' : formatBytes(size)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}
