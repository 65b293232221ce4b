// Where the page starts. The one-time code of a printed link is taken out of the address before anything else happens.

import { render } from 'preact';
import { login } from './api.ts';
import { App } from './app.tsx';

async function start(): Promise<void> {
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  let why: string | undefined;
  if (code !== undefined) {
    history.replaceState(null, '', location.pathname);
    try {
      await login(code);
    } catch {
      why = 'That link was used already, or is older than ten minutes';
    }
  }
  const place = document.getElementById('page');
  if (place === null) return;
  place.replaceChildren();
  render(<App why={why} />, place);
}

// The link opened in a tab that has the page already changes the fragment alone.
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#code=')) location.reload();
});

void start();
