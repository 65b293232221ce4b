// Which keys of [hook] the push hook would overlook. It reads the file with a few lines of awk, because it works without
// Node (hooks/pre-push, `read_toml`), and knows one `key = value` a line. Invariant: whatever smol-toml takes
// and that reader does not is found here, so that a setting never holds for one and not for the other.

/**
 * @param text of a valid configuration file
 * @param keys those that its `hook` table sets, as written (`warn_size`)
 * @returns the first key that is not in a form the hook reads; undefined where all are
 */
export function overlookedHookKey(text: string, keys: readonly string[]): string | undefined {
  const read = new Set<string>();
  let table = '';
  let inList = false;
  for (const line of text.split('\n')) {
    if (inList) {
      inList = !endsList(line);
      continue;
    }
    if (/^[ \t]*\[/.test(line)) {
      table = line.replace(/#.*/s, '').replace(/[ \t\r]/g, '');
      continue;
    }
    const match = table === '[hook]' ? /^[ \t]*([a-z_]+)[ \t]*=[ \t]*(.*)$/s.exec(line) : table === '' ? DOTTED.exec(line) : null;
    const [, key = '', value = ''] = match ?? [];
    if (match === null || !isPlain(value)) continue;
    read.add(key);
    inList = value.startsWith('[') && !endsList(value.slice(1));
  }
  return keys.find((key) => !read.has(key));
}

const DOTTED = /^[ \t]*hook[.]([a-z_]+)[ \t]*=[ \t]*(.*)$/s;

/** No table in the line, no text over several lines, no escapes. */
function isPlain(value: string): boolean {
  return !/^(\{|"""|''')/.test(value) && !(/["[]/.test(value.slice(0, 1)) && value.includes('\\'));
}

/** Whether a list ends in this line; brackets within strings and comments do not count. */
function endsList(line: string): boolean {
  return /^(?:"[^"]*"|'[^']*'|[^"'#\]])*\]/.test(line);
}
