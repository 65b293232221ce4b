// The first bytes of a SQLite database file (https://www.sqlite.org/fileformat.html, section 1.3).

const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');

/** True where the bytes begin with the 16-byte SQLite header string. */
export function isSqliteHeader(head: Uint8Array): boolean {
  if (head.length < 16) return false;
  for (let i = 0; i < 16; i++) if (head[i] !== MAGIC[i]) return false;
  return true;
}
