// Something is gone: a part of its name is enough. Each path that ever was, and the newest snapshot that has it.

import { formatBytes } from '../../src/base/units.ts';
import { get } from '../api.ts';
import { choose, keyOfPath } from '../chosen.ts';
import { counted, idOf, timeOf } from '../format.ts';
import { usePages } from '../load.ts';
import { Name } from '../name.tsx';
import { Age, Badge } from '../parts/badges.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { Roster, useRowHeight } from '../parts/roster.tsx';
import { go, href, pathFields, type Route, replace } from '../route.ts';
import type { FindPage, Found } from '../types.ts';
import { plain } from '../visible.ts';
import { SearchField } from './timeline.tsx';

const PAGE = 100;

export function Find({ route }: { readonly route: Route }) {
  const pattern = route.fields.get('q') ?? '';
  const rowHeight = useRowHeight(56, 96);
  const list = usePages(pattern === '' ? undefined : `find ${pattern}`, async (after, signal) => {
    const page = await get<FindPage>('find', { pattern, limit: PAGE, after }, signal);
    return { items: page.found, total: page.total, next: page.next };
  });
  const bring = (found: Found): void => {
    choose(idOf(found.last), [found]);
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
      {pattern !== '' && !list.loaded && list.loading ? <Waiting what="Looking through all snapshots" /> : null}
      {list.loaded ? (
        <p class="count" role="status">
          {list.total === 0 ? 'No snapshot has a path like that.' : counted(list.total, 'path')}
        </p>
      ) : null}
      {list.items.length === 0 ? null : (
        <div class="card flush files">
          <Roster
            label="Paths that were found"
            items={list.items}
            total={list.total}
            rowHeight={rowHeight}
            keyOf={keyOfPath}
            onOpen={bring}
            onEnd={list.more}
            render={(found) => <FoundRow found={found} onBring={() => bring(found)} />}
          />
        </div>
      )}
    </>
  );
}

function FoundRow({ found, onBring }: { readonly found: Found; readonly onBring: () => void }) {
  const time = found.time ?? timeOf(found.last);
  return (
    <div class="found">
      <Icon name={found.type === 'directory' ? 'directory' : 'file'} />
      <a class="file-name" href={href('path', '', pathFields(found))}>
        <Name text={found.path} of="path" />
      </a>
      <span class="badges">
        {found.present === false ? (
          <Badge icon="warn" tone="warn">
            Gone
          </Badge>
        ) : null}
      </span>
      <span class="figures">{typeof found.size === 'number' ? formatBytes(found.size) : ''}</span>
      <span class="file-time">
        {time === undefined ? null : (
          <>
            last seen <Age time={time} />
          </>
        )}
      </span>
      <button type="button" onClick={onBring} aria-label={`Bring back ${plain(found.path)}`}>
        <Icon name="restore" /> Bring back
      </button>
    </div>
  );
}
