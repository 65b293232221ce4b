// Two texts as a unified diff: Myers' shortest edit, and where the texts are too different for that, one block against the
// other, which is a correct diff too. Pure; lines are byte strings.

const CONTEXT = 3;
/** Beyond so many edits the shortest way is not looked for any more: time and memory grow with its square. */
const MOST_EDITS = 1500;

type Edit = { readonly kind: ' ' | '-' | '+'; readonly text: string };

/** The hunks of a unified diff, without file names; empty where both are the same. */
export function unifiedDiff(before: string, after: string): string[] {
  const [a, b] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA -= 1;
    endB -= 1;
  }
  if (start === endA && start === endB) return [];
  const edits: Edit[] = [
    ...a.slice(Math.max(0, start - CONTEXT), start).map(same),
    ...editsOf(a.slice(start, endA), b.slice(start, endB)),
    ...a.slice(endA, endA + CONTEXT).map(same),
  ];
  return hunks(edits, Math.max(0, start - CONTEXT));
}

const same = (text: string): Edit => ({ kind: ' ', text });

/** Each with its newline, so that a last line without one is another line. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function editsOf(a: readonly string[], b: readonly string[]): Edit[] {
  const trace = shortest(a, b);
  if (trace === undefined) return [...a.map((text): Edit => ({ kind: '-', text })), ...b.map((text): Edit => ({ kind: '+', text }))];
  const edits: Edit[] = [];
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d--) {
    const ends = trace[d] as Int32Array;
    const at = (k: number): number => ends[k + d + 1] ?? -1;
    const k = x - y;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : at(fromK);
    const fromY = d === 0 ? 0 : fromX - fromK;
    while (x > fromX && y > fromY) {
      edits.push({ kind: ' ', text: a[--x] ?? '' });
      y -= 1;
    }
    if (d === 0) break;
    if (down) edits.push({ kind: '+', text: b[--y] ?? '' });
    else edits.push({ kind: '-', text: a[--x] ?? '' });
  }
  return edits.reverse();
}

/** For each number of edits how far each diagonal came before it; undefined where there are too many. */
function shortest(a: readonly string[], b: readonly string[]): Int32Array[] | undefined {
  const most = Math.min(a.length + b.length, MOST_EDITS);
  const far = new Int32Array(2 * most + 3);
  const trace: Int32Array[] = [];
  for (let d = 0; d <= most; d++) {
    // Diagonals -d-1 to d+1 of the state before this step.
    trace.push(far.slice(most + 1 - d - 1, most + 1 + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const center = most + 1 + k;
      const down = k === -d || (k !== d && (far[center - 1] ?? 0) < (far[center + 1] ?? 0));
      let x = d === 0 ? 0 : down ? (far[center + 1] ?? 0) : (far[center - 1] ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      far[center] = x;
      if (x >= a.length && y >= b.length) return trace;
    }
  }
  return undefined;
}

function hunks(edits: readonly Edit[], before: number): string[] {
  const out: string[] = [];
  let [lineA, lineB] = [before, before];
  for (let at = 0; at < edits.length; ) {
    if (edits[at]?.kind === ' ' && !edits.slice(at, at + CONTEXT + 1).some(({ kind }) => kind !== ' ')) {
      at += 1;
      lineA += 1;
      lineB += 1;
      continue;
    }
    let end = at;
    let quiet = 0;
    // A hunk goes on until more than twice the context is the same.
    for (let next = at; next < edits.length && quiet <= 2 * CONTEXT; next++) {
      quiet = edits[next]?.kind === ' ' ? quiet + 1 : 0;
      if (quiet === 0) end = next + 1;
    }
    const part = edits.slice(at, Math.min(edits.length, end + CONTEXT));
    const count = (kind: '-' | '+') => part.filter((edit) => edit.kind === ' ' || edit.kind === kind).length;
    const [countA, countB] = [count('-'), count('+')];
    out.push(`@@ -${range(lineA, countA)} +${range(lineB, countB)} @@`);
    for (const { kind, text } of part) {
      out.push(kind + (text.endsWith('\n') ? text.slice(0, -1) : text));
      if (!text.endsWith('\n')) out.push('\\ No newline at end of file');
    }
    lineA += countA;
    lineB += countB;
    at += part.length;
  }
  return out;
}

function range(before: number, count: number): string {
  const first = count === 0 ? before : before + 1;
  return count === 1 ? `${first}` : `${first},${count}`;
}
