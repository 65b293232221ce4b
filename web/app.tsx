// The frame around every view: who asks for the token, where the views are, what runs now, and the keys.

import { useEffect, useRef, useState } from 'preact/hooks';
import { announcementsId } from './announce.ts';
import { forgetToken, onRefused, token } from './api.ts';
import { KeysDialog, useKeys } from './keys.tsx';
import { listen } from './live.ts';
import { Boundary } from './parts/boundary.tsx';
import { Icon, type IconName } from './parts/icons.tsx';
import { href, type Route, useRoute } from './route.ts';
import { RunBar } from './run-bar.tsx';
import { Find } from './views/find.tsx';
import { Overview } from './views/overview.tsx';
import { PathView } from './views/path.tsx';
import { RestoreView } from './views/restore.tsx';
import { Snapshot } from './views/snapshot.tsx';
import { StorageView } from './views/storage.tsx';
import { Timeline } from './views/timeline.tsx';
import { TokenPrompt } from './views/token.tsx';

const VIEWS: readonly { readonly view: string; readonly word: string; readonly icon: IconName }[] = [
  { view: 'overview', word: 'Overview', icon: 'overview' },
  { view: 'time', word: 'Time line', icon: 'time' },
  { view: 'find', word: 'Find', icon: 'search' },
  { view: 'storage', word: 'Storage', icon: 'storage' },
  { view: 'restore', word: 'Restore', icon: 'restore' },
];

const PARENTS: Readonly<Record<string, string>> = { snapshot: 'time', path: 'find' };

export function App({ why }: { readonly why: string | undefined }) {
  const [open, setOpen] = useState(token() !== null);
  const [reason, setReason] = useState(why);
  useEffect(() => {
    onRefused(() => {
      setReason('The server does not know that token any more');
      setOpen(false);
    });
  }, []);
  return (
    <>
      {open ? <Shell onLeave={() => setOpen(false)} /> : <TokenPrompt why={reason} onDone={() => setOpen(true)} />}
      <div id={announcementsId} class="quiet" role="status" aria-live="polite" />
    </>
  );
}

function Shell({ onLeave }: { readonly onLeave: () => void }) {
  const route = useRoute();
  const keys = useKeys();
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    const stop = new AbortController();
    void listen(stop.signal);
    return () => stop.abort();
  }, []);
  const place = `${route.view}/${route.part}`;
  const before = useRef(place);
  useEffect(() => {
    // A new view begins at its top, for eyes and for a screen reader; a state of the same view moves nothing.
    const title = VIEWS.find(({ view }) => view === (PARENTS[route.view] ?? route.view))?.word ?? 'Cora';
    document.title = `${title} · Cora`;
    if (before.current === place) return;
    before.current = place;
    scrollTo(0, 0);
    if (!(document.activeElement instanceof HTMLInputElement)) main.current?.focus({ preventScroll: true });
  }, [place, route.view]);
  const leave = (): void => {
    forgetToken();
    onLeave();
  };
  const shown = PARENTS[route.view] ?? route.view;
  return (
    <div class="shell">
      {/* biome-ignore lint/a11y/useValidAnchor: it leads within the page, whose fragment says the view */}
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={href('overview')} aria-label="Cora, overview">
          <Icon name="overview" /> <span>Cora</span>
        </a>
        <nav aria-label="Views" class="views">
          {VIEWS.map(({ view, word, icon }) => (
            <a key={view} href={href(view)} {...(view === shown ? { 'aria-current': 'page' as const } : {})}>
              <Icon name={icon} /> <span>{word}</span>
            </a>
          ))}
        </nav>
        <div class="top-end">
          <button type="button" onClick={keys.show} aria-label="Keys">
            <Icon name="keys" /> <span>Keys</span>
          </button>
          <button type="button" onClick={leave}>
            Lock
          </button>
        </div>
      </header>
      <RunBar />
      <main id="content" ref={main} tabIndex={-1}>
        <Boundary key={place}>
          <View route={route} />
        </Boundary>
      </main>
      {keys.shown ? <KeysDialog keys={keys} /> : null}
    </div>
  );
}

function View({ route }: { readonly route: Route }) {
  if (route.view === 'time') return <Timeline route={route} />;
  if (route.view === 'snapshot') return <Snapshot key={route.part} route={route} />;
  if (route.view === 'path') return <PathView key={route.fields.get('b64') ?? route.fields.get('path') ?? ''} route={route} />;
  if (route.view === 'find') return <Find route={route} />;
  if (route.view === 'storage') return <StorageView />;
  if (route.view === 'restore') return <RestoreView />;
  return <Overview />;
}
