// The files of one snapshot: a directory at a time, or what a search finds anywhere in it. What is ticked can be brought back.

import { formatBytes } from '../../src/base/units.ts';
import { get, pathQuery } from '../api.ts';
import { choose, isChosen, keyOfPath, toggle, useChosen } from '../chosen.ts';
import { counted, momentOf } from '../format.ts';
import { Name } from '../name.tsx';
import { usePages } from '../pages.ts';
import { Icon, type IconName } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { Roster, useRowHeight } from '../parts/roster.tsx';
import { go, href, pathFields, pathOf, type Route, replace } from '../route.ts';
import type { PathRef, TreeEntry, TreePage } from '../types.ts';
import { plainPath } from '../visible.ts';
import { SearchField } from './timeline.tsx';

const PAGE = 200;

export function Files({ id, route }: { readonly id: string; readonly route: Route }) {
  const here = pathOf(route.fields);
  const search = route.fields.get('q') ?? '';
  const chosen = useChosen();
  const rowHeight = useRowHeight(42, 60);
  const list = usePages(`files ${id} ${keyOfPath(here)} ${search}`, PAGE, async (offset, signal) => {
    const base = `snapshots/${encodeURIComponent(id)}`;
    const page =
      search === ''
        ? await get<TreePage>(`${base}/tree`, { ...pathQuery(here), limit: PAGE, offset }, signal)
        : await get<TreePage>(`${base}/search`, { q: search, limit: PAGE, offset }, signal);
    return { items: page.entries, total: page.total };
  });
  const open = (entry: TreeEntry): void =>
    go(entry.type === 'directory' ? href('snapshot', id, pathFields(entry)) : href('path', '', { ...pathFields(entry), at: id }));
  const picked = chosen.snapshot === id ? chosen.paths : [];
  return (
    <section class="stack" aria-labelledby="files-title">
      <h2 id="files-title" class="quiet">
        Files
      </h2>
      <div class="filters">
        <SearchField
          value={search}
          label="Search the files of this snapshot"
          onChange={(q) => replace(href('snapshot', id, { ...pathFields(here), q }))}
        />
      </div>
      {search === '' ? <Crumbs id={id} here={here} /> : null}
      {list.error === undefined ? null : <ProblemBox error={list.error} />}
      {!list.loaded && list.error === undefined ? <Waiting what="Reading the listing" /> : null}
      {list.loaded ? (
        <p class="count" role="status">
          {list.total === 0 ? (search === '' ? 'This directory is empty.' : 'No name has that.') : counted(list.total, 'entry', 'entries')}
        </p>
      ) : null}
      {list.total === 0 ? null : (
        <div class="card flush files">
          <Roster
            label="Files"
            pages={list}
            rowHeight={rowHeight}
            onOpen={open}
            onToggle={(entry) => toggle(id, entry)}
            render={(entry) => (
              <FileRow
                entry={entry}
                whole={search !== ''}
                ticked={isChosen(chosen, id, entry)}
                address={addressOf(id, entry)}
                onTick={() => toggle(id, entry)}
              />
            )}
          />
        </div>
      )}
      {picked.length === 0 ? null : (
        <section class="tray" aria-label="Chosen for a restore">
          <span role="status">{counted(picked.length, 'entry', 'entries')} chosen</span>
          <button type="button" onClick={() => choose(id, [])}>
            Choose none
          </button>
          <a class="button primary" href={href('restore')}>
            <Icon name="restore" /> Bring back …
          </a>
        </section>
      )}
    </section>
  );
}

const addressOf = (id: string, entry: TreeEntry): string =>
  entry.type === 'directory' ? href('snapshot', id, pathFields(entry)) : href('path', '', { ...pathFields(entry), at: id });

const ICONS: Readonly<Record<string, IconName>> = { directory: 'directory', link: 'link' };

type FileRowProps = {
  readonly entry: TreeEntry;
  readonly whole: boolean;
  readonly ticked: boolean;
  readonly address: string;
  readonly onTick: () => void;
};

function FileRow({ entry, whole, ticked, address, onTick }: FileRowProps) {
  const shown = whole ? entry.path : (entry.name ?? entry.path.slice(entry.path.lastIndexOf('/') + 1));
  return (
    <div class="file">
      <input type="checkbox" checked={ticked} onChange={onTick} tabIndex={-1} aria-label={`Choose ${plainPath(shown)}`} />
      <Icon name={ICONS[entry.type] ?? 'file'} />
      <a href={address} tabIndex={-1} class="file-name">
        <Name text={shown} of="path" />
        {entry.type === 'directory' ? <span aria-hidden="true">/</span> : null}
        <span class="quiet">, {entry.type}</span>
      </a>
      <span class="figures">
        {entry.type === 'directory'
          ? typeof entry.children === 'number'
            ? counted(entry.children, 'entry', 'entries')
            : ''
          : entry.size === null
            ? ''
            : formatBytes(entry.size)}
      </span>
      <span class="file-time">{entry.mtime === null ? '' : momentOf(entry.mtime)}</span>
    </div>
  );
}

/** The way down to a directory. Where a part is not UTF-8 its bytes are not known here: the way back is one step. */
function Crumbs({ id, here }: { readonly id: string; readonly here: PathRef }) {
  const parts = here.path === '' || here.path === '.' ? [] : here.path.split('/');
  const exact = here.path_base64 === undefined;
  return (
    <nav class="crumbs" aria-label="Directory">
      <a href={href('snapshot', id)}>project</a>
      {parts.map((part, index) => (
        <span key={parts.slice(0, index + 1).join('/')}>
          <span aria-hidden="true"> / </span>
          {exact && index < parts.length - 1 ? (
            <a href={href('snapshot', id, { path: parts.slice(0, index + 1).join('/') })}>
              <Name text={part} of="path" />
            </a>
          ) : (
            <span {...(index === parts.length - 1 ? { 'aria-current': 'page' as const } : {})}>
              <Name text={part} of="path" />
            </span>
          )}
        </span>
      ))}
    </nav>
  );
}
