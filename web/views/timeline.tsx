// Every save and backup, newest first, with what each one keeps. Thousands of rows are pages of the server and a window of the document.

import { useEffect, useRef, useState } from 'preact/hooks';
import { formatBytes } from '../../src/base/units.ts';
import { get } from '../api.ts';
import { clockOf, counted, dayOf } from '../format.ts';
import { useLoad } from '../load.ts';
import { usePages } from '../pages.ts';
import { Age, Said, SnapshotBadges, shapeOf } from '../parts/badges.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { Roster, useRowHeight } from '../parts/roster.tsx';
import { DayStrip } from '../parts/strip.tsx';
import { go, href, type Route, replace } from '../route.ts';
import type { SnapshotList, SnapshotRow, TimelineColumns } from '../types.ts';

const PAGE = 100;
const KINDS = [
  { value: '', word: 'All' },
  { value: 'backup', word: 'Backups' },
  { value: 'save', word: 'Saves' },
] as const;

/** What a snapshot is, or keeps: the server's marks, and its states. */
const MARKS: readonly { readonly value: string; readonly word: string }[] = [
  { value: '', word: 'Any state' },
  { value: 'sealed', word: 'Sealed' },
  { value: 'verified', word: 'Verified' },
  { value: 'unverified', word: 'Not verified' },
  { value: 'offsite', word: 'Off-site' },
  { value: 'drilled', word: 'Drilled' },
  { value: 'pinned', word: 'Pinned' },
  { value: 'labelled', word: 'Labelled' },
  { value: 'suspect', word: 'Suspect' },
  { value: 'partial', word: 'Incomplete' },
  { value: 'damaged', word: 'Damaged' },
];

const filterOf = (mark: string) => (mark === 'suspect' || mark === 'partial' ? { status: mark } : { mark });

export function Timeline({ route }: { readonly route: Route }) {
  const kind = route.fields.get('kind') ?? '';
  const search = route.fields.get('search') ?? '';
  const day = route.fields.get('day') ?? '';
  const mark = route.fields.get('mark') ?? '';
  const to = /^\d{4}-\d{2}-\d{2}$/.test(day) ? new Date(`${day}T23:59:59.999`).toISOString() : undefined;
  const list = usePages(`time ${kind} ${mark} ${search} ${to}`, PAGE, async (offset, signal) => {
    const { total, snapshots } = await get<SnapshotList>('snapshots', { limit: PAGE, offset, kind, q: search, to, ...filterOf(mark) }, signal);
    return { items: snapshots, total };
  });
  const columns = useLoad('timeline', (signal) => get<TimelineColumns>('timeline', {}, signal));
  const rowHeight = useRowHeight(52, 92);
  const change = (fields: Readonly<Record<string, string>>): void => replace(href('time', '', { kind, mark, search, day, ...fields }));
  const opensDay = (row: SnapshotRow, index: number): boolean => index === 0 || dayOf(row.time) !== dayOf(list.at(index - 1)?.time ?? row.time);
  return (
    <>
      <h1>Time line</h1>
      {columns.data === undefined ? null : (
        <nav class="card" aria-label="Days">
          <DayStrip columns={columns.data} count={45} />
        </nav>
      )}
      <search class="filters" aria-label="Snapshots">
        <SearchField value={search} label="Search by label, note or id" onChange={(text) => change({ search: text })} />
        <fieldset class="segments">
          <legend class="quiet">Kind</legend>
          {KINDS.map(({ value, word }) => (
            <label key={word}>
              <input type="radio" name="kind" checked={kind === value} onChange={() => change({ kind: value })} />
              <span>{word}</span>
            </label>
          ))}
        </fieldset>
        <select aria-label="State" value={mark} onChange={(event) => change({ mark: event.currentTarget.value })}>
          {MARKS.map(({ value, word }) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
        <label class="day-field">
          <span>Up to</span>
          <input type="date" value={day} onChange={(event) => change({ day: event.currentTarget.value })} />
        </label>
      </search>
      {list.error === undefined ? null : <ProblemBox error={list.error} />}
      {list.stale ? (
        <p>
          <button type="button" onClick={list.again}>
            There is something new: show it
          </button>
        </p>
      ) : null}
      {!list.loaded && list.error === undefined ? <Waiting what="Reading the ledger" /> : null}
      {list.loaded ? (
        <p class="count" role="status">
          {list.total === 0 ? (kind + mark + search + day === '' ? 'There is no snapshot yet.' : 'Nothing fits.') : counted(list.total, 'snapshot')}
        </p>
      ) : null}
      {list.total === 0 ? null : (
        <div class="card flush timeline">
          <Roster
            label="Snapshots, newest first"
            pages={list}
            rowHeight={rowHeight}
            onOpen={(row) => go(href('snapshot', row.snapshot_id))}
            render={(row, index) => <TimelineRow row={row} opensDay={opensDay(row, index)} />}
          />
        </div>
      )}
      <p class="legend">
        <span>
          <Icon name="backup" /> Backup: complete on its own
        </span>
        <span>
          <Icon name="save" /> Save: a point in time
        </span>
        <span>
          <Icon name="suspect" /> Suspect: made while something critical was lost
        </span>
      </p>
    </>
  );
}

function TimelineRow({ row, opensDay }: { readonly row: SnapshotRow; readonly opensDay: boolean }) {
  const shape = shapeOf(row);
  return (
    <div class={`moment moment-${shape.icon}`}>
      <span class="moment-day">{opensDay ? dayOf(row.time) : ''}</span>
      <span class="moment-node">
        <Icon name={shape.icon} />
      </span>
      <a class="moment-time" href={href('snapshot', row.snapshot_id)} tabIndex={-1}>
        <strong>{clockOf(row.time)}</strong> {shape.word}
      </a>
      <span class="moment-age">
        <Age time={row.time} />
      </span>
      <span class="moment-said">
        <Said row={row} />
        <SnapshotBadges row={row} />
      </span>
      <span class="figures">{typeof row.size === 'number' ? formatBytes(row.size) : ''}</span>
    </div>
  );
}

/** A field whose text is asked for when the typing rests. */
export function SearchField({
  value,
  label,
  onChange,
  autofocus,
}: {
  readonly value: string;
  readonly label: string;
  readonly onChange: (text: string) => void;
  readonly autofocus?: boolean;
}) {
  const [text, setText] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (document.activeElement !== field.current) setText(value);
  }, [value]);
  useEffect(() => {
    if (autofocus === true) field.current?.focus();
    return () => clearTimeout(timer.current);
  }, [autofocus]);
  const typed = (next: string): void => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(next), 250);
  };
  return (
    <label class="search-field">
      <Icon name="search" />
      <input
        ref={field}
        type="search"
        aria-label={label}
        placeholder={label}
        value={text}
        onInput={(event) => typed(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter') return;
          clearTimeout(timer.current);
          onChange(event.currentTarget.value);
        }}
        spellcheck={false}
        data-search=""
      />
    </label>
  );
}
