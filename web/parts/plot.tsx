// A plot with the same figures as a table: the picture is for eyes, the table for everybody. Colours are those of the page,
// light or dark; the lines differ in their dashes as well.

import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clockOf, momentOf, monthOf, shortDay } from '../format.ts';

export type Line = { readonly label: string; readonly values: readonly (number | null)[]; readonly shape?: 'line' | 'bars' | 'area' };

export type PlotProps = {
  readonly title: string;
  readonly says: string;
  /** Milliseconds since 1970, growing. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
};

const HEIGHT = 190;
/** So many points are dots as well. */
const FEW = 40;
const HALF_DAY = 43_200;
const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3]];

export function Plot({ title, says, times, lines, format }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  const dark = useDark();
  useEffect(() => {
    const node = place.current;
    if (node === null || times.length === 0) return undefined;
    const plot = new uPlot(
      optionsFor(node, times, lines, format),
      [times.map((time) => time / 1000), ...lines.map(({ values }) => [...values])],
      node,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: Math.max(120, node.clientWidth), height: HEIGHT }));
    watch.observe(node);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [times, lines, format, dark]);
  return (
    <figure class="plot card">
      <figcaption>
        <strong>{title}</strong>
        <span>{says}</span>
      </figcaption>
      {times.length === 0 ? <p class="empty">There are no figures yet.</p> : <div ref={place} class="plot-place" aria-hidden="true" />}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>The figures of “{title}” as a table</summary>
        {open && (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
          <section class="scroll" aria-label={`Figures of ${title}`} tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">Time</th>
                  {lines.map(({ label }) => (
                    <th scope="col" key={label}>
                      {label}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {times
                  .map((time, index) => (
                    <tr key={time}>
                      <th scope="row">{momentOf(time)}</th>
                      {lines.map(({ label, values }) => (
                        <td key={label}>{figure(values[index], format)}</td>
                      ))}
                    </tr>
                  ))
                  .reverse()}
              </tbody>
            </table>
          </section>
        )}
      </details>
    </figure>
  );
}

const figure = (value: number | null | undefined, format: (value: number) => string): string =>
  value === null || value === undefined ? '–' : format(value);

function optionsFor(node: HTMLElement, times: readonly number[], lines: readonly Line[], format: (value: number) => string): uPlot.Options {
  const style = getComputedStyle(node);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const colors = [color('--accent'), color('--warn'), color('--suspect')];
  const bottom = {
    space: 76,
    values: (_plot: uPlot, ticks: readonly number[], _axis: number, _space: number, step: number) => ticks.map((tick) => tickOf(tick * 1000, step)),
  };
  const few = (lines[0]?.values.length ?? 0) <= FEW;
  const axis = { stroke: color('--muted'), font, grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line'), width: 1 } };
  const bars = uPlot.paths.bars?.({ size: [0.8, 26], radius: 0.15 });
  return {
    width: Math.max(120, node.clientWidth),
    height: HEIGHT,
    padding: [10, 22, 0, 0],
    legend: { show: lines.length > 1 },
    cursor: { y: false, drag: { x: true, y: false } },
    scales: {
      x: { range: (_plot, from, to) => (times.length === 1 ? [from - HALF_DAY, from + HALF_DAY] : [from, to]) },
      y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, ...bottom },
      { ...axis, size: 66, values: (_plot, ticks) => ticks.map(format) },
    ],
    series: [
      { value: (_plot, value) => (value === null ? '' : momentOf(value * 1000)) },
      ...lines.map(({ label, shape }, index): uPlot.Series => {
        const stroke = colors[index % colors.length] ?? '#888';
        return {
          label,
          stroke,
          width: shape === 'bars' ? 0 : 2,
          dash: [...(DASHES[index % DASHES.length] ?? [])],
          points: { show: few && shape !== 'bars' },
          value: (_plot, value) => figure(value, format),
          ...(shape === 'line' ? {} : { fill: shape === 'bars' ? stroke : `color-mix(in srgb, ${stroke} 18%, transparent)` }),
          ...(shape === 'bars' && bars !== undefined ? { paths: bars } : {}),
        };
      }),
    ],
  };
}

/** A moment as short as the distance of two ticks allows; seconds. */
function tickOf(time: number, step: number): string {
  if (step >= 27 * 86_400) return monthOf(time);
  if (step >= 86_400) return shortDay(time);
  return clockOf(time);
}

function useDark(): boolean {
  const query = '(prefers-color-scheme: dark)';
  const [dark, setDark] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const look = (): void => setDark(list.matches);
    list.addEventListener('change', look);
    return () => list.removeEventListener('change', look);
  }, []);
  return dark;
}
