// A list of any length: only the rows that can be seen are in the document. One row is in the order of Tab; the arrows, Home, End
// and the page keys walk through the others. Invariant: the row that has the focus is never taken away.

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Pages } from '../pages.ts';

export type RosterProps<T> = {
  readonly label: string;
  readonly pages: Pages<T>;
  readonly rowHeight: number;
  readonly render: (item: T, index: number) => ComponentChildren;
  /** Enter, and a click on the row that hit nothing of its own. */
  readonly onOpen?: (item: T) => void;
  /** Space. */
  readonly onToggle?: (item: T) => void;
};

const AROUND = 8;

export function Roster<T>({ label, pages, rowHeight, render, onOpen, onToggle }: RosterProps<T>) {
  const { total } = pages;
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  const [active, setActive] = useState(0);
  const focusing = useRef(false);
  const current = Math.min(active, Math.max(0, total - 1));

  const look = (): void => {
    const node = box.current;
    if (node !== null) setSeen({ top: node.scrollTop, height: node.clientHeight });
  };
  useEffect(() => {
    look();
    const watch = new ResizeObserver(look);
    if (box.current !== null) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);

  const from = Math.max(0, Math.floor(seen.top / rowHeight) - AROUND);
  const to = Math.min(total, Math.ceil((seen.top + seen.height) / rowHeight) + AROUND);
  const { look: tell } = pages;
  useEffect(() => tell(from, to), [from, to, total]);
  useEffect(() => {
    setActive(0);
    if (box.current !== null) box.current.scrollTop = 0;
  }, [pages.name]);

  const indexes = new Set<number>(total === 0 ? [] : [current]);
  for (let index = from; index < to; index += 1) indexes.add(index);

  useLayoutEffect(() => {
    if (!focusing.current) return;
    focusing.current = false;
    box.current?.querySelector<HTMLElement>(`[data-index="${current}"]`)?.focus({ preventScroll: true });
  });

  const walk = (index: number): void => {
    const node = box.current;
    const target = Math.max(0, Math.min(total - 1, index));
    focusing.current = true;
    setActive(target);
    if (node === null) return;
    if (target * rowHeight < node.scrollTop) node.scrollTop = target * rowHeight;
    else if ((target + 1) * rowHeight > node.scrollTop + node.clientHeight) node.scrollTop = (target + 1) * rowHeight - node.clientHeight;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(seen.height / rowHeight) - 1);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: total - 1,
    };
    const step = steps[event.key];
    const item = pages.at(current);
    // A control inside the row has its own Enter and Space.
    const own = event.target instanceof HTMLElement && event.target.closest('a, button, input, label') !== null;
    if (step !== undefined) walk(step);
    else if (item !== undefined && event.key === 'Enter' && !own && onOpen !== undefined) onOpen(item);
    else if (item !== undefined && event.key === ' ' && !own && onToggle !== undefined) onToggle(item);
    else return;
    event.preventDefault();
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: its rows have the focus, and their keys come up to it
    <div class="roster" ref={box} onScroll={look} onKeyDown={onKeyDown}>
      <ul class="roster-all" aria-label={label} style={{ height: `${Math.max(total, 1) * rowHeight}px` }}>
        {[...indexes]
          .sort((a, b) => a - b)
          .map((index) => {
            const item = pages.at(index);
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys
              <li
                key={index}
                class="roster-row"
                data-index={index}
                aria-posinset={index + 1}
                aria-setsize={total}
                tabIndex={index === current ? 0 : -1}
                style={{ top: `${index * rowHeight}px`, height: `${rowHeight}px` }}
                onFocus={() => setActive(index)}
                onClick={(event) => {
                  if (item === undefined || (event.target instanceof HTMLElement && event.target.closest('a, button, input, label') !== null)) return;
                  setActive(index);
                  onOpen?.(item);
                }}
              >
                {item === undefined ? <span class="roster-wait">…</span> : render(item, index)}
              </li>
            );
          })}
      </ul>
    </div>
  );
}

/** The height of a row, by the width of the window: names wrap on a phone. */
export function useRowHeight(wide: number, narrow: number): number {
  const query = '(max-width: 640px)';
  const [small, setSmall] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const look = (): void => setSmall(list.matches);
    list.addEventListener('change', look);
    return () => list.removeEventListener('change', look);
  }, []);
  return small ? narrow : wide;
}
