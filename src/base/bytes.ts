// Paths as bytes. A file name on Linux is bytes, not text, so inside Cora a path is a
// "byte string": a JavaScript string in which every character is one byte (0-255).
// Byte strings compare in the order of `LC_ALL=C sort`, and ASCII names cost nothing.

declare const byteString: unique symbol;

/** Bytes as a string, one character a byte (latin1). Made by `fromBuffer`, `fromText` or a directory read. */
export type Bytes = string & { readonly [byteString]: true };

const NON_ASCII = /[^\x00-\x7f]/;

/** Takes a latin1 string for what it is; only for literals and readdir with encoding latin1. */
export function bytes(latin1: string): Bytes {
  return latin1 as Bytes;
}

export function fromBuffer(buffer: Uint8Array): Bytes {
  return Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength).toString('latin1') as Bytes;
}

/** UTF-8 bytes of ordinary text (a command-line argument, a configuration value). */
export function fromText(text: string): Bytes {
  return (NON_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text) as Bytes;
}

export function toBuffer(value: Bytes): Buffer {
  return Buffer.from(value, 'latin1');
}

/** What node:fs takes: the string itself where it is ASCII, else a Buffer of the exact bytes. */
export function fsPath(value: Bytes): string | Buffer {
  return NON_ASCII.test(value) ? Buffer.from(value, 'latin1') : value;
}

export function isAscii(value: string): boolean {
  return !NON_ASCII.test(value);
}

/** Text for JSON: UTF-8 decoded; bytes that are not UTF-8 become U+FFFD (then also give `base64Of`). */
export function toText(value: Bytes): string {
  return NON_ASCII.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value;
}

/** True where `toText` keeps every byte. */
export function isText(value: Bytes): boolean {
  return !NON_ASCII.test(value) || fromText(toText(value)) === value;
}

export function base64Of(value: Bytes): string {
  return Buffer.from(value, 'latin1').toString('base64');
}

/** Text that is safe on a terminal: control characters (and ESC) shown as \xNN, never sent. */
export function printable(value: Bytes | string): string {
  const text = NON_ASCII.test(value) ? toText(value as Bytes) : value;
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Joins a directory and a relative path; `.` and the empty path are the directory itself. */
export function joinBytes(directory: Bytes, relative: Bytes | string): Bytes {
  if (relative === '' || relative === '.') return directory;
  return (directory.endsWith('/') ? directory + relative : `${directory}/${relative}`) as Bytes;
}

/** The part before the last slash; `.` where there is none. */
export function dirnameBytes(path: Bytes): Bytes {
  const slash = path.lastIndexOf('/');
  return (slash < 0 ? '.' : slash === 0 ? '/' : path.slice(0, slash)) as Bytes;
}

export function basenameBytes(path: Bytes): Bytes {
  return path.slice(path.lastIndexOf('/') + 1) as Bytes;
}
