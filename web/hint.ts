// What to do next, as Cora says it: a command alone, a command and what it does ("cora save puts it back"), or a sentence. Pure.

export type Hint = { readonly command: string; readonly rest: string };

/** Words that belong to a command of two words. */
const SECOND: Readonly<Record<string, readonly string[]>> = {
  backup: ['now', 'auto', 'list', 'verify'],
  db: ['backup', 'restore'],
  hook: ['pre-push'],
  hooks: ['install', 'status', 'remove'],
  key: ['new', 'show', 'test'],
  ledger: ['rebuild'],
  timers: ['install', 'status', 'remove'],
};

/** What an argument looks like, and a word of a sentence does not: a flag, an id, a path, a placeholder, `latest`. */
const ARGUMENT = /^(?:-.*|.*[\d/._~@:*=].*|[A-Z]{2,}|latest|["'].*)$/;

/** @returns an empty command where the text does not begin with one */
export function readHint(text: string): Hint {
  const words = text.split(' ');
  if (words[0] !== 'cora' || words[1] === undefined || !/^[a-z-]+[,;]?$/.test(words[1])) return { command: '', rest: text };
  let length = 2;
  const ends = (): boolean => /[,;]$/.test(words[length - 1] ?? '');
  if (!ends() && SECOND[words[1]]?.includes((words[2] ?? '').replace(/[,;]$/, '')) === true) length = 3;
  while (length < words.length && !ends() && ARGUMENT.test(words[length] ?? '')) length += 1;
  const said = words.slice(0, length).join(' ');
  const command = said.replace(/[,;]$/, '');
  return { command, rest: `${said.slice(command.length)} ${words.slice(length).join(' ')}`.trimEnd().replace(/^ (?=\S)/, '') };
}
