// What one snapshot changed against the one before it.

import { formatBytes } from '../../src/base/units.ts';
import { get } from '../api.ts';
import { keyOfPath } from '../chosen.ts';
import { counted, grouped, momentOf } from '../format.ts';
import { useLoad } from '../load.ts';
import { Name } from '../name.tsx';
import { usePages } from '../pages.ts';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { Roster, useRowHeight } from '../parts/roster.tsx';
import { go, href, pathFields } from '../route.ts';
import type { ChangePage } from '../types.ts';

const PAGE = 200;
type Change = ChangePage['files'][number];

const SIGNS: Readonly<Record<string, string>> = { created: '+', changed: '~', deleted: '−' };

export function Changes({ id }: { readonly id: string }) {
  const address = `snapshots/${encodeURIComponent(id)}/changes`;
  const facts = useLoad(`changes ${id}`, (signal) => get<ChangePage>(address, { limit: 1 }, signal), { follow: false });
  const rowHeight = useRowHeight(42, 60);
  const before = facts.data?.before ?? undefined;
  const list = usePages(before === undefined ? undefined : `changed ${id}`, PAGE, async (offset, signal) => {
    const page = await get<ChangePage>(address, { limit: PAGE, offset }, signal);
    return { items: page.files, total: page.total };
  });
  const compare = (file: Change): string => href('path', '', { ...pathFields(file), a: before?.snapshot_id, b: id });
  if (facts.error !== undefined) return <ProblemBox error={facts.error} again={facts.again} />;
  if (facts.data === undefined) return <Waiting what="Comparing" />;
  if (before === undefined) return <p class="empty">It is the oldest snapshot: there is nothing before it.</p>;
  const { created, changed, deleted, databases } = facts.data;
  return (
    <section class="stack" aria-labelledby="changes-title">
      <h2 id="changes-title" class="quiet">
        What changed
      </h2>
      <p class="count">
        Since <a href={href('snapshot', before.snapshot_id)}>{momentOf(before.time)}</a>: {grouped(created)} new, {grouped(changed)} changed,{' '}
        {grouped(deleted)} gone
        {databases.length === 0 ? '' : `, ${counted(databases.length, 'database')}`}
      </p>
      {databases.length === 0 ? null : (
        <ul class="card plain-list">
          {databases.map((database) => (
            <li key={keyOfPath(database)}>
              <Icon name="database" />{' '}
              <a href={href('path', '', { ...pathFields(database), a: before.snapshot_id, b: id })}>
                <Name text={database.path} of="path" />
              </a>{' '}
              {database.change}, rows {rowsText(database.rows.before)} → {rowsText(database.rows.after)}
            </li>
          ))}
        </ul>
      )}
      {list.error === undefined ? null : <ProblemBox error={list.error} />}
      {list.total === 0 ? null : (
        <div class="card flush files">
          <Roster
            label="Files that changed"
            pages={list}
            rowHeight={rowHeight}
            onOpen={(file) => go(compare(file))}
            render={(file) => <ChangeRow file={file} address={compare(file)} />}
          />
        </div>
      )}
    </section>
  );
}

const rowsText = (rows: number | null): string => (rows === null ? '–' : grouped(rows));

function ChangeRow({ file, address }: { readonly file: Change; readonly address: string }) {
  const of = file.after ?? file.before;
  return (
    <div class={`file change change-${file.change}`}>
      <span class="change-sign" aria-hidden="true">
        {SIGNS[file.change] ?? ''}
      </span>
      <Icon name={of?.type === 'directory' ? 'directory' : 'file'} />
      <a href={address} tabIndex={-1} class="file-name">
        <Name text={file.path} of="path" />
        {file.renamed_from === undefined ? null : (
          <>
            {' '}
            from <Name text={file.renamed_from} of="path" />
          </>
        )}
      </a>
      <span class="figures">{of === null || of.size === null || of.type === 'directory' ? '' : formatBytes(of.size)}</span>
      <span class="file-time">{file.change === 'deleted' ? 'gone' : file.change === 'created' ? 'new' : `changed: ${file.aspects.join(', ')}`}</span>
    </div>
  );
}
