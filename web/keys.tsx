// Single keys that lead to views. They never fire while somebody types, and can be turned off (a voice program says letters too).

import { useEffect, useState } from 'preact/hooks';
import { Dialog } from './parts/dialog.tsx';
import { go, href } from './route.ts';

const KEYS: readonly { readonly key: string; readonly does: string }[] = [
  { key: '?', does: 'These keys' },
  { key: 'o', does: 'Overview' },
  { key: 't', does: 'Time line' },
  { key: 'f', does: 'Find what is gone' },
  { key: 's', does: 'Storage' },
  { key: 'r', does: 'Restore' },
  { key: '/', does: 'The search field of the view' },
  { key: '↓ ↑ Home End', does: 'Walk through a list' },
  { key: 'Enter', does: 'Open the row' },
  { key: 'Space', does: 'Choose the row for a restore' },
  { key: 'Esc', does: 'Close, or leave a field' },
];

const VIEWS: Readonly<Record<string, string>> = { o: 'overview', t: 'time', f: 'find', s: 'storage', r: 'restore' };
const OFF = 'cora-keys-off';

export type Keys = { readonly shown: boolean; readonly show: () => void; readonly hide: () => void };

export function useKeys(): Keys {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const node = event.target;
      const typing =
        node instanceof HTMLElement && node.closest('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]') !== null;
      if (event.key === 'Escape' && typing) node.blur();
      if (typing || document.querySelector('dialog[open]') !== null || sessionStorage.getItem(OFF) !== null) return;
      const view = VIEWS[event.key];
      if (event.key === '?') setShown(true);
      else if (event.key === '/') document.querySelector<HTMLElement>('[data-search]')?.focus();
      else if (view !== undefined) go(href(view));
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  return { shown, show: () => setShown(true), hide: () => setShown(false) };
}

export function KeysDialog({ keys }: { readonly keys: Keys }) {
  const [off, setOff] = useState(sessionStorage.getItem(OFF) !== null);
  const turn = (on: boolean): void => {
    if (on) sessionStorage.removeItem(OFF);
    else sessionStorage.setItem(OFF, '1');
    setOff(!on);
  };
  return (
    <Dialog title="Keys" onClose={keys.hide}>
      <dl class="keys">
        {KEYS.map(({ key, does }) => (
          <div key={key}>
            <dt>
              {key.split(' ').map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input type="checkbox" checked={!off} onChange={(event) => turn(event.currentTarget.checked)} />
        <span>Single keys lead to views</span>
      </label>
    </Dialog>
  );
}
