// A unified diff as lines in pairs, for two columns: what went beside what came. Pure.

export type Half = { readonly number: number; readonly text: string } | undefined;
export type Pair = { readonly before: Half; readonly after: Half; readonly same: boolean };
export type Hunk = { readonly head: string; readonly pairs: readonly Pair[] };

/** The hunks with their lines in pairs. */
export function hunksOf(unified: string): Hunk[] {
  const hunks: { head: string; pairs: Pair[] }[] = [];
  let [left, right] = [0, 0];
  let [gone, come]: [NonNullable<Half>[], NonNullable<Half>[]] = [[], []];
  const flush = (): void => {
    const pairs = hunks.at(-1)?.pairs;
    for (let index = 0; index < Math.max(gone.length, come.length); index += 1) pairs?.push({ before: gone[index], after: come[index], same: false });
    [gone, come] = [[], []];
  };
  for (const line of unified.split('\n')) {
    const head = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (head !== null) {
      flush();
      [left, right] = [Number(head[1]), Number(head[2])];
      hunks.push({ head: line, pairs: [] });
    } else if (hunks.length === 0 || line === '' || line.startsWith('\\')) continue;
    else if (line.startsWith('-')) gone.push({ number: left++, text: line.slice(1) });
    else if (line.startsWith('+')) come.push({ number: right++, text: line.slice(1) });
    else {
      flush();
      hunks.at(-1)?.pairs.push({ before: { number: left++, text: line.slice(1) }, after: { number: right++, text: line.slice(1) }, same: true });
    }
  }
  flush();
  return hunks;
}
