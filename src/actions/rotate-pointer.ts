// The line at the top of a rotated file that says where the rest is. It fits the kind of file: a comment
// in Markdown, an object in JSON lines, else a line that begins with `#`. The command in it works as it stands.

import { type Bytes, basenameBytes, isText, toText } from '../base/bytes.ts';

export type Cut = { readonly path: Bytes; readonly time: string; readonly lines: number; readonly size: number; readonly id: string };

const POINTER = /^(?:<!-- |# |\{"cora_rotate":")cora rotate, \d{4}-/;
/** Longer than any pointer; a name has 4,096 bytes at most, and each may need five characters. */
export const POINTER_MAX = 32_768;

/** With its newline. The save it names begins with the pointer to the rotation before, and so on back. */
export function pointerLine({ path, time, lines, size, id }: Cut): string {
  const text = `cora rotate, ${time}: ${lines} older lines (${size} bytes) are in the vault: ${restoreLine(path, id)}`;
  const name = basenameBytes(path);
  if (/\.(?:jsonl|ndjson)$/i.test(name)) return `${JSON.stringify({ cora_rotate: text })}\n`;
  return /\.(?:md|markdown|html)$/i.test(name) ? `<!-- ${text} -->\n` : `# ${text}\n`;
}

/** To be typed in the project's directory. */
export function restoreLine(path: Bytes, id: string): string {
  return `cora restore ${id} --to DIR -- ${shellWord(path)}`;
}

/** Length of the pointer with its newline at the beginning of a file, 0 where there is none. */
export function pointerLength(head: Buffer): number {
  const end = head.indexOf(10);
  return end >= 0 && POINTER.test(head.subarray(0, end).toString('latin1')) ? end + 1 : 0;
}

/** For any POSIX shell, on one line and printable, whatever bytes the name has. */
function shellWord(path: Bytes): string {
  if (/^[A-Za-z0-9_./-]+$/.test(path)) return path;
  if (isText(path) && !/[\x00-\x1f\x7f]/.test(path) && !path.includes('-->')) return `'${toText(path).replaceAll("'", "'\\''")}'`;
  const octal = path.replace(/[^A-Za-z0-9_./-]|-(?=->)/g, (byte) => `\\0${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return `"$(printf %b '${octal}')"`;
}
