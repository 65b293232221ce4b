// The last days side by side: a column as high as the day's saves, a hexagon above it for its backups, a triangle where something was
// suspect. A day leads to its place on the time line.

import { formatBytes } from '../../src/base/units.ts';
import { lastDays } from '../days.ts';
import { counted, shortDay } from '../format.ts';
import { href } from '../route.ts';
import type { TimelineColumns } from '../types.ts';

export function DayStrip({ columns, count = 30 }: { readonly columns: TimelineColumns; readonly count?: number }) {
  const shown = lastDays(columns, count, Date.now());
  const highest = Math.max(1, ...shown.map(({ saves }) => saves));
  return (
    <ol class="strip" aria-label="Days">
      {shown.map((day) => {
        const suspect = day.suspect > 0;
        const words = [
          shortDay(`${day.day}T12:00:00`),
          counted(day.saves, 'save'),
          counted(day.backups, 'backup'),
          ...(suspect ? ['something suspect'] : []),
          `${formatBytes(day.bytes)} stored`,
        ].join(', ');
        return (
          <li key={day.day}>
            <a href={href('time', '', { day: day.day })} title={words} class={day.saves + day.backups === 0 ? 'strip-day strip-none' : 'strip-day'}>
              <svg viewBox="0 0 16 76" aria-hidden="true" preserveAspectRatio="xMidYMax meet">
                {suspect && <path class="mark-suspect" d="M8 0 14 10.500H2Z" />}
                {day.backups > 0 && <path class="mark-backup" d="M8 12l5.200 3v6L8 24l-5.200-3v-6Z" />}
                {day.saves > 0 && (
                  <rect
                    class="mark-save"
                    x="3"
                    y={74 - Math.max(3, (46 * day.saves) / highest)}
                    width="10"
                    height={Math.max(3, (46 * day.saves) / highest)}
                    rx="2"
                  />
                )}
                <rect class="mark-base" x="1" y="74.500" width="14" height="1.500" />
              </svg>
              <span class="quiet">{words}</span>
            </a>
          </li>
        );
      })}
    </ol>
  );
}
