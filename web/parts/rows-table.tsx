// Rows of a database that only one of two versions has, a table for each of its tables.

import { counted } from '../format.ts';
import { Name } from '../name.tsx';
import type { Cell, TableDifference } from '../types.ts';

const textOf = (cell: Cell | undefined): string =>
  cell === null || cell === undefined
    ? 'NULL'
    : typeof cell === 'object'
      ? `blob ${cell.base64.slice(0, 24)}${cell.base64.length > 24 ? '…' : ''}`
      : String(cell);

export function RowsTable({ difference }: { readonly difference: TableDifference }) {
  const { table, columns, before, after, more, reason } = difference;
  const rows = [...before.map((cells) => ({ side: 'gone' as const, cells })), ...after.map((cells) => ({ side: 'come' as const, cells }))];
  return (
    <section class="rows">
      <h3>
        Table <Name text={table} />
      </h3>
      <p class="hint">
        {typeof reason === 'string'
          ? reason
          : `${counted(before.length, 'row')} only before, ${counted(after.length, 'row')} only after${more === true ? '; there are more' : ''}`}
      </p>
      {rows.length === 0 ? null : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section class="scroll" aria-label={`Rows of ${table}`} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Row</th>
                {columns.map((column) => (
                  <th scope="col" key={column}>
                    <Name text={column} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(({ side, cells }, row) => (
                <tr key={row} class={side === 'gone' ? 'row-gone' : 'row-come'}>
                  <th scope="row">{side === 'gone' ? '− before' : '+ after'}</th>
                  {columns.map((column, index) => (
                    <td key={column}>
                      <Name text={textOf(cells[index])} {...(cells[index] === null ? { of: 'null' } : {})} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </section>
  );
}
