// Something is gone: a part of its name is enough. Each path that ever was, and the newest snapshot that has it.

import { useState } from 'preact/hooks';
import { formatBytes } from '../../src/base/units.ts';
import { get } from '../api.ts';
import { choose } from '../chosen.ts';
import { counted } from '../format.ts';
import { whenReady } from '../load.ts';
import { Name } from '../name.tsx';
import { usePages } from '../pages.ts';
import { Age, Badge } from '../parts/badges.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { Roster, useRowHeight } from '../parts/roster.tsx';
import { go, href, pathFields, type Route, replace } from '../route.ts';
import type { FindPage, Found } from '../types.ts';
import { plainPath } from '../visible.ts';
import { SearchField } from './timeline.tsx';

const PAGE = 100;

export function Find({ route }: { readonly route: Route }) {
  const pattern = route.fields.get('q') ?? '';
  const rowHeight = useRowHeight(56, 76);
  // Without a word: what went last, first.
  const filter = pattern === '' ? { gone: 'true', sort: 'gone' } : {};
  const [isEmpty, setEmpty] = useState(false);
  const list = usePages(`find ${pattern}`, PAGE, async (offset, signal) => {
    const page = await whenReady(() => get<FindPage>('find', { q: pattern, limit: PAGE, offset, ...filter }, signal), signal);
    setEmpty(page.newest === null);
    return { items: page.found, total: page.total };
  });
  const bring = (found: Found): void => {
    choose(found.last_seen.snapshot_id, [found]);
    go(href('restore'));
  };
  return (
    <>
      <h1>Something is gone</h1>
      <p class="lead">Type a part of its name or path. Cora looks through every snapshot, and finds what was deleted as well.</p>
      <div class="filters">
        <SearchField autofocus value={pattern} label="Name or part of a path" onChange={(q) => replace(href('find', '', { q }))} />
      </div>
      {list.error === undefined ? null : <ProblemBox error={list.error} />}
      {!list.loaded && list.error === undefined ? <Waiting what="Looking through all snapshots" /> : null}
      {list.loaded ? (
        <p class="count" role="status">
          {pattern === ''
            ? list.total === 0
              ? isEmpty
                ? 'There is no snapshot yet, so nothing can be found.'
                : 'Nothing is gone: the newest snapshot has every path that ever was.'
              : `Gone, the last first: ${counted(list.total, 'path')}`
            : list.total === 0
              ? 'No snapshot has a path like that.'
              : counted(list.total, 'path')}
        </p>
      ) : null}
      {list.total === 0 ? null : (
        <div class="card flush files">
          <Roster
            label="Paths that were found"
            pages={list}
            rowHeight={rowHeight}
            onOpen={bring}
            render={(found) => <FoundRow found={found} onBring={() => bring(found)} />}
          />
        </div>
      )}
    </>
  );
}

function FoundRow({ found, onBring }: { readonly found: Found; readonly onBring: () => void }) {
  return (
    <div class="found">
      <Icon name={found.type === 'directory' ? 'directory' : 'file'} />
      <a class="file-name" href={href('path', '', pathFields(found))}>
        <Name text={found.path} of="path" />
      </a>
      <span class="badges">
        {found.gone ? (
          <Badge icon="warn" tone="warn">
            Gone
          </Badge>
        ) : null}
      </span>
      <span class="figures">{found.type === 'directory' || found.size === null ? '' : formatBytes(found.size)}</span>
      <span class="file-time">
        last seen <Age time={found.last_seen.time} />
      </span>
      <button type="button" onClick={onBring} aria-label={`Bring back ${plainPath(found.path)}`}>
        <Icon name="restore" /> <span>Bring back</span>
      </button>
    </div>
  );
}
