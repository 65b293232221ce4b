// A repository's configuration without its secrets. Git itself parses the text (`git config --list -z`),
// so no quoting or continuation line can hide a credential from the rules here; comments are dropped.
// Invariant: nothing that these functions return holds the password of a URL or a secret's value.

import { type Bytes, bytes, fromBuffer } from '../base/bytes.ts';

/** One setting: `remote.origin.url`; a null value is a key without `=`. */
export type ConfigEntry = { readonly key: Bytes; readonly value: Bytes | null };

const REMOVED = '<removed>';
const SECRET_KEY = /(?:extraheader|cookie|passw(?:or)?d|passphrase|\.pass|smtppass|token|secret|api-?key|access-?key|private-?key)$/i;
const SECRET_QUERY = /([?&][^=&\s]*(?:token|key|secret|pass|auth|sig|credential)[^=&\s]*=)[^&\s"']*/gi;
const SECRET_ARGUMENT = /\b((?:password|passwd|token|secret)\s*[=:]\s*)[^\s;"'}]+/gi;
const HEADER = /\b(authorization\s*:\s*)[^"'\n]+/gi;
const WELL_KNOWN_TOKEN = /\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,})/g;

/** The output of `git config --list -z`. */
export function parseConfigList(output: Uint8Array): ConfigEntry[] {
  const entries: ConfigEntry[] = [];
  for (const item of fromBuffer(output).split('\0')) {
    if (item === '') continue;
    const end = item.indexOf('\n');
    entries.push(end < 0 ? { key: bytes(item), value: null } : { key: bytes(item.slice(0, end)), value: bytes(item.slice(end + 1)) });
  }
  return entries;
}

/**
 * A URL, or any text with URLs in it, without credentials. The name alone stays where it is no secret
 * (`ssh://git@host`); over http a name alone is often a token, so it goes too.
 */
export function withoutCredentials(text: string): Bytes {
  // Greedy up to the last @ before the path: a password may hold an @ that nobody escaped.
  const cleaned = text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^/\s?#]*)@/gi, (whole, scheme: string, user: string) => {
    if (!user.includes(':') && !/^(?:http|https|ftp|ftps)(?:\+|:)/i.test(scheme)) return whole;
    return `${scheme}${REMOVED}@`;
  });
  return bytes(
    cleaned
      .replace(SECRET_QUERY, `$1${REMOVED}`)
      .replace(SECRET_ARGUMENT, `$1${REMOVED}`)
      .replace(HEADER, `$1${REMOVED}`)
      .replace(WELL_KNOWN_TOKEN, REMOVED),
  );
}

/** The configuration as a file that git reads again, without secrets. */
export function redactedConfig(entries: readonly ConfigEntry[]): Bytes {
  let text = '';
  let current = '';
  for (const { key, value } of entries) {
    const first = key.indexOf('.');
    const last = key.lastIndexOf('.');
    if (first < 0) continue;
    const subsection = last > first ? ` "${withoutCredentials(key.slice(first + 1, last)).replace(/[\\"]/g, '\\$&')}"` : '';
    const header = `[${key.slice(0, first)}${subsection}]`;
    if (header !== current) {
      text += `${header}\n`;
      current = header;
    }
    const name = key.slice(last + 1);
    if (value === null) text += `\t${name}\n`;
    else text += `\t${name} = ${quoted(SECRET_KEY.test(key) ? REMOVED : withoutCredentials(value))}\n`;
  }
  return bytes(text);
}

function quoted(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\b', '\\b')}"`;
}

/** `name url` for every remote, URLs without credentials, in the order of the configuration. */
export function remotesOf(entries: readonly ConfigEntry[]): Bytes[] {
  const remotes: Bytes[] = [];
  for (const { key, value } of entries) {
    const name = /^remote\.(.+)\.(?:push)?url$/s.exec(key)?.[1];
    if (name === undefined || value === null) continue;
    const line = bytes(`${withoutCredentials(name)} ${withoutCredentials(value)}`);
    if (!remotes.includes(line)) remotes.push(line);
  }
  return remotes;
}

/** True where objects are missing on purpose (`git clone --filter`): a remote has them. */
export function isPartialClone(entries: readonly ConfigEntry[]): boolean {
  return entries.some(({ key, value }) => key === 'extensions.partialclone' || (/^remote\..+\.promisor$/s.test(key) && value !== 'false'));
}
