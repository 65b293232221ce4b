// A unified diff as two columns, the older text left. Lines that went and lines that came stand side by side; what was removed or
// added is said in words too. On a narrow screen the columns become one.

import type { ComponentChildren } from 'preact';
import { type Half, hunksOf } from '../hunks.ts';
import { Name } from '../name.tsx';

const MOST_LINES = 4000;

export function DiffText({
  unified,
  before,
  after,
}: {
  readonly unified: string;
  readonly before: ComponentChildren;
  readonly after: ComponentChildren;
}) {
  const hunks = hunksOf(unified);
  let left = MOST_LINES;
  const shown = hunks.map((hunk) => {
    const pairs = hunk.pairs.slice(0, Math.max(0, left));
    left -= hunk.pairs.length;
    return { ...hunk, pairs };
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <section class="scroll diff" aria-label="What differs" tabIndex={0}>
      <table>
        <colgroup>
          <col class="diff-number" />
          <col />
          <col class="diff-number" />
          <col />
        </colgroup>
        <thead>
          <tr>
            <th scope="col" colSpan={2}>
              {before}
            </th>
            <th scope="col" colSpan={2}>
              {after}
            </th>
          </tr>
        </thead>
        {shown.map(({ head, pairs }) => (
          <tbody key={head}>
            <tr class="diff-head">
              <td colSpan={4}>{head}</td>
            </tr>
            {pairs.map((pair) => (
              <tr key={`${pair.before?.number} ${pair.after?.number}`} class={pair.same ? 'diff-same' : 'diff-changed'}>
                <HalfCells half={pair.before} kind={pair.same ? 'same' : 'gone'} />
                <HalfCells half={pair.after} kind={pair.same ? 'same' : 'come'} />
              </tr>
            ))}
          </tbody>
        ))}
      </table>
      {left < 0 ? <p class="hint">More lines differ than are shown here.</p> : null}
    </section>
  );
}

function HalfCells({ half, kind }: { readonly half: Half; readonly kind: 'same' | 'gone' | 'come' }) {
  if (half === undefined) return <td class="diff-none" colSpan={2} />;
  const text = <Name text={half.text === '' ? ' ' : half.text} />;
  return (
    <>
      <td class="diff-number">{half.number}</td>
      <td class={`diff-line diff-${kind}`}>
        {kind === 'same' ? text : kind === 'gone' ? <del>{text}</del> : <ins>{text}</ins>}
        {kind === 'same' ? null : <span class="quiet">{kind === 'gone' ? ' (removed)' : ' (added)'}</span>}
      </td>
    </>
  );
}
