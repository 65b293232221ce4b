// Text that fits the terminal: how wide it is there, tables whose columns give way, and long lines broken between
// words. Pure. Invariant: a command to be typed (`cora ...`) is never broken, so that what is copied is whole.

/** Columns that a text takes in a terminal: marks that combine take none, East Asian signs and emoji two. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

const WIDE =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u;

/** The text, its end given up for `…` where it is wider. */
export function cutText(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (displayWidth(kept + segment) > width - 1) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

export type TableFit = {
  /** Columns of the terminal; undefined where the table may be as wide as it is (a file, a pipe). */
  readonly width: number | undefined;
  /** Columns that are left out where there is no room, the first one first. */
  readonly dispensable: readonly number[];
};

/** What is left of the last column before another one is left out. */
const LAST_LEAST = 12;

/** Columns aligned with two spaces between; `right` names those of numbers. Where it has to fit the last column is cut. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set(), fit?: TableFit): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, displayWidth(cell));
    });
  const last = widths.length - 1;
  const shown = new Set(widths.keys());
  if (fit?.width !== undefined) {
    const needed = () =>
      [...shown].reduce((sum, column) => sum + (column === last ? Math.min(widths[last] ?? 0, LAST_LEAST) : (widths[column] ?? 0)) + 2, -2);
    for (const column of fit.dispensable) if (needed() > fit.width) shown.delete(column);
    const others = [...shown].reduce((sum, column) => sum + (column === last ? 0 : (widths[column] ?? 0) + 2), 0);
    widths[last] = Math.min(widths[last] ?? 0, Math.max(1, fit.width - others));
  }
  return rows.map((row) =>
    row
      .flatMap((cell, column) => {
        if (!shown.has(column)) return [];
        const width = widths[column] ?? 0;
        const text = column === last && fit?.width !== undefined ? cutText(cell, width) : cell;
        const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
        return [right.has(column) ? space + text : text + space];
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Lines no wider than the terminal, broken between words, what follows below its own column. */
export function wrapLines(lines: readonly string[], width: number): string[] {
  return lines.flatMap((line) => line.split('\n')).flatMap((line) => (displayWidth(line) <= width ? [line] : wrapLine(line, width)));
}

/** Less is no column. */
const NARROWEST = 20;

function wrapLine(line: string, width: number): string[] {
  const indent = hangingIndent(line, width);
  const lines: string[] = [];
  let current = line.slice(0, indent);
  let empty = true;
  for (const word of wordsOf(line.slice(indent))) {
    if (word === '' && current.trim() === '') continue;
    if (!empty && displayWidth(current) + 1 + displayWidth(word) > width) {
      lines.push(current);
      current = ' '.repeat(indent) + word;
    } else current += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, current];
}

/** Where the text of a line begins: behind its last gap of two spaces, or its first word with a value beside it. */
function hangingIndent(line: string, width: number): number {
  const most = Math.max(0, Math.min(Math.floor(width / 2), width - NARROWEST));
  let indent = 0;
  for (const gap of line.matchAll(/^ +|\S {2,}(?=\S)/g)) {
    const end = gap.index + gap[0].length;
    if (end <= most) indent = end;
  }
  if (indent > 0) return indent;
  const word = /^[a-z]+: (?=\S)/i.exec(line)?.[0].length ?? 0;
  if (word > 0 && word <= Math.min(most, NARROWEST)) return word;
  return /^\w[\w ]{8} \S/.test(line) ? 10 : 0;
}

/** `cora` and what stands behind it, quoted or not, up to the end of its sentence or a word that goes on with prose. */
const COMMAND =
  /\b(?:sudo )?cora(?:(?<![.:]) (?!(?:and|or|in|to|for|lists|shows|says|names|brings|takes|ends)\b)(?:"[^"]*"|'[^']*'|[^\s"';,()]+(?:"[^"]*")?))*/g;

/** Words of a text; a command is one word. */
function wordsOf(text: string): string[] {
  const held = text.replace(COMMAND, (typed) => typed.replaceAll(' ', '\0'));
  return held.split(' ').map((word) => word.replaceAll('\0', ' '));
}

const RED = /^( *)((?:DAMAGED|BROKEN|CRITICAL|critical|SUSPECT|INCOMPLETE|LOST)\b)/;
const YELLOW = /^( *)((?:WARNING|warning)\b:?)/;
const NOT = /\b(?:NOT (?:good|GOOD|armed|installed|run|SEALED|PROVEN|delivered)[A-Z ]*)\b/g;
const GREEN = /^( *)((?:OK|HEALTHY)\b)/;

export type Paint = Readonly<Record<'red' | 'yellow' | 'green' | 'dim', (text: string) => string>>;

/** The words that a person looks for, in colour. */
export function paintLine(line: string, paint: Paint): string {
  return line
    .replace(RED, (_, space: string, word: string) => space + paint.red(word))
    .replace(YELLOW, (_, space: string, word: string) => space + paint.yellow(word))
    .replace(GREEN, (_, space: string, word: string) => space + paint.green(word))
    .replace(NOT, (words) => paint.red(words));
}
